"""Which questions are asked: capped, by whole pictures, in an order of pictures that benchmarks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from steering.evaluate.benchmarks import Example
from steering.evaluate.questions import draw


def examples(counts: list[int], *, form: str = "pope") -> list[Example]:
    """counts[i] questions about picture i."""
    return [
        Example(f"{form}/{picture}/{number}", f"{picture}.png", "?", "x", ("x",))
        for picture, count in enumerate(counts)
        for number in range(count)
    ]


def drawn(
    asked: list[Example], questions: int, per_picture: int, *, seed: int = 0, seen: Collection[str] = ()
) -> list[Example]:
    share = {"questions": questions, "per_picture": per_picture}
    return draw(asked, share, identity=lambda example: str(example.image), seed=seed, seen=seen)


def pictures(asked: list[Example]) -> list[str]:
    """Pictures in the order in which they are first asked about."""
    return list(dict.fromkeys(str(example.image) for example in asked))


@given(
    counts=st.lists(st.integers(0, 5), max_size=12),
    questions=st.integers(1, 30),
    per_picture=st.integers(1, 6),
    seed=st.integers(0, 3),
)
def test_caps_hold_and_are_used_up(counts: list[int], questions: int, per_picture: int, seed: int) -> None:
    asked = examples(counts)
    chosen = drawn(asked, questions, per_picture, seed=seed)
    assert set(chosen) <= set(asked)
    assert len(set(chosen)) == len(chosen) == min(questions, sum(min(count, per_picture) for count in counts))
    assert all(count <= per_picture for count in Counter(example.image for example in chosen).values())


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=12), seed=st.integers(0, 3))
def test_questions_about_a_picture_come_together(counts: list[int], seed: int) -> None:
    chosen = drawn(examples(counts), 1000, 3, seed=seed)
    changes = sum(one.image != other.image for one, other in zip(chosen, chosen[1:], strict=False))
    assert changes == len(pictures(chosen)) - 1


def test_benchmarks_ask_about_the_same_pictures_in_the_same_order() -> None:
    pope, blank = drawn(examples([3] * 40), 30, 3), drawn(examples([2] * 40, form="iconqa"), 20, 2)
    assert pictures(pope) == pictures(blank)
    assert len(pictures(pope)) == 10


def test_a_larger_share_asks_about_the_same_pictures_and_more() -> None:
    few, many = (pictures(drawn(examples([2] * 40), questions, 2)) for questions in (20, 40))
    assert many[: len(few)] == few


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    asked = examples([4] * 30)
    assert drawn(asked, 20, 2) == drawn(asked, 20, 2)
    assert pictures(drawn(asked, 20, 2)) != pictures(drawn(asked, 20, 2, seed=1))


def test_which_questions_are_asked_about_a_picture_is_drawn() -> None:
    chosen = drawn(examples([9] * 30), 1000, 1)
    assert len({example.id.rsplit("/", 1)[1] for example in chosen}) > 3


def test_pictures_do_not_hang_on_the_order_of_the_file() -> None:
    asked = examples([2] * 20)
    assert pictures(drawn(asked, 12, 2)) == pictures(drawn(asked[::-1], 12, 2))


def test_pictures_that_were_seen_are_passed_over_and_the_next_ones_take_their_place() -> None:
    asked = examples([2] * 9)
    everything = pictures(drawn(asked, 18, 2))
    seen = pictures(drawn(asked, 8, 2))
    assert pictures(drawn(asked, 6, 2, seen=seen)) == everything[4:7]
    assert drawn(asked, 6, 2, seen=everything) == []
