"""What is tried: the same for every arm, targets that are no present answer, bystanders that are other questions."""

from __future__ import annotations

from typing import Any

import pytest

from steering.analyse.control_cases import Case, asked_about, candidates, cases, tries
from steering.data.embedded.objects import Thing
from steering.errors import DataError

FORMS = {"choose": "iconqa", "pope": "pope", "weighed": "hellaswag", "graded": "mmvet"}
WANTED = {"benchmark": "choose", "questions": 3, "tokens": [1, 2, 4], "bystanders": 3}
CHOICES = ["cat", "dog", "bee"]
QUARTERS = {"top left": (0.0, 0.0, 0.5, 0.5), "bottom right": (0.5, 0.5, 1.0, 1.0)}
THINGS = [
    Thing(("cat", "cats", "top left"), QUARTERS["top left"]),
    Thing(("train", "trains", "bottom right"), QUARTERS["bottom right"]),
]


def record(number: int, benchmark: str = "choose", *, group: str | None = None, **facts: Any) -> dict[str, Any]:
    told = {"id": str(number), "benchmark": benchmark, "split": "test", "group": group or f"g{number // 2}"}
    words = {"question": "Which is at the top left?", "prompt": "Which?", "category": "", "target": "cat"}
    shown = {"image": f"{number}.png", "picture": f"icons/{number}.png"}
    return {**told, **words, **shown, "answers": ["cat"], "choices": CHOICES, "answer": "dog", **facts}


def chosen(records, *, things=lambda record: None, **wanted: Any) -> list[Case]:
    return cases(records, WANTED | wanted, forms=FORMS, grid=4, things=things)


def test_one_question_a_picture_is_tried_whatever_the_run_answered() -> None:
    records = [record(number) for number in range(10)]
    found = chosen(records)
    assert [case.question["id"] for case in found] == ["0", "2", "4"]
    other = chosen([one | {"answer": "cat"} for one in records])
    assert [(case.tries, case.candidates) for case in found] == [(case.tries, case.candidates) for case in other]


def test_the_target_and_the_decoy_are_other_answers_and_the_same_each_time() -> None:
    case = chosen([record(number) for number in range(4)])[0]
    for present in (*CHOICES, "Cat.", "nothing of the kind"):
        target, decoy = case.drawn(present)
        assert target != decoy and {target, decoy} <= set(CHOICES) - {present.rstrip(".").lower()}
        assert case.drawn(present) == (target, decoy)


def test_of_two_answers_one_is_left_and_no_decoy() -> None:
    asked = [record(n, "pope", choices=[], target=said, question="Is there?") for n, said in ((0, "yes"), (2, "no"))]
    case = chosen(asked, benchmark="pope")[0]
    assert (case.drawn("yes"), case.drawn("no")) == (("no", None), ("yes", None))


def test_candidates_are_choices_letters_or_the_answers_of_like_questions() -> None:
    assert candidates(record(0), [], lettered=False) == tuple(CHOICES)
    assert candidates(record(0), [], lettered=True) == ("A", "B", "C")
    count = {"choices": [], "question": "How many cats?"}
    asked = [record(n, **count, target=str(n)) for n in (3, 1)] + [record(5, choices=[], target="bus")]
    assert candidates(asked[0], asked, lettered=False) == ("1", "3")


def test_bystanders_are_other_generated_questions_of_its_own_and_of_other_pictures() -> None:
    records = [record(number) for number in range(6)]
    records += [record(10, "pope", group="g0", choices=[]), record(11, "weighed", group="g0")]
    records += [record(12, "graded", group="g0"), record(13, group="g0", picture=None)]
    case = chosen(records)[0]
    assert [one["id"] for one in case.same] == ["1", "10"]
    others = [one for pack in case.others for one in pack]
    assert len(others) == 3 and not {one["group"] for one in others} & {"g0"}
    assert all(len({one["group"] for one in pack}) == 1 for pack in case.others)


@pytest.mark.parametrize(
    ("question", "answers", "names"),
    [
        ("How many cats are there?", ["1"], ["cat"]),
        ("Which of these is at the bottom right?", ["train"], ["train"]),
        ("Which of these is in the picture?", ["train", "2"], ["train"]),
        ("Is there a bee in the image?", ["no"], []),
        ("Is there a scat or a traindriver?", ["no"], []),
    ],
)
def test_a_question_is_about_what_it_names_or_what_its_answer_names(question, answers, names) -> None:
    found = asked_about(record(0, question=question, answers=answers), THINGS)
    assert [thing.names[0] for thing in found] == names


def test_the_object_is_edited_where_it_stands_and_what_is_random_elsewhere() -> None:
    found = tries([1, 4, 8], [QUARTERS["bottom right"]], key="7", grid=4)
    patches = {(one.kind, one.tokens): set(one.patches) for one in found}
    assert patches["object", 4] == {10, 11, 14, 15} and ("object", 8) not in patches
    assert patches["random", 1] < patches["random", 4] < patches["random", 8]
    assert not patches["random", 8] & patches["object", 4]
    assert [(one.kind, one.tokens) for one in found if not one.patches] == [("none", 1)] + [
        ("text", n) for n in (1, 4, 8)
    ]


def test_without_boxes_there_is_no_object_and_any_patch_is_random() -> None:
    found = tries([16], None, key="7", grid=4)
    assert [(one.kind, len(one.patches)) for one in found] == [("none", 0), ("random", 16), ("text", 0)]


def test_a_question_about_nothing_that_has_a_box_is_not_tried() -> None:
    records = [record(0, question="Is there a bee?", answers=["bee"]), record(2), record(4)]
    assert [case.question["id"] for case in chosen(records, things=lambda record: THINGS)] == ["2", "4"]


def test_nothing_to_try_is_an_error() -> None:
    with pytest.raises(DataError, match="token_control: choose: no pictured question"):
        chosen([record(0, picture=None)])
