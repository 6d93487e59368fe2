"""The mixture stage writes the training conversations that its slice asks for, from the training split alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stages.mixture import main
from steering import layout
from steering.data.conversations import Conversation, read, write
from steering.errors import DataError

OUT = layout.mixture("tiny", "mix")


@pytest.fixture
def content(pictures, benchmark) -> dict[str, Any]:
    mixture = {"shares": {"pope": {"questions": 8, "per_picture": 3}}, "turns": 2, "seed": 0}
    return {"world": "tiny", "name": "mix", "mixture": mixture, "benchmarks": {"pope": benchmark}}


def test_shares_and_turns_are_kept(content, capsys):
    main(content)
    conversations = read(OUT)
    assert sum(len(conversation.turns) for conversation in conversations) == 8
    assert max(len(conversation.turns) for conversation in conversations) == 2
    assert f"8 questions in {len(conversations)} conversations" in capsys.readouterr().out


def test_pictures_are_of_the_training_split_and_named_with_their_data_set(content):
    main(content)
    assert {conversation.image.rsplit("/", 1)[0] for conversation in read(OUT)} == {"pictures/train"}


def test_answers_are_the_targets_of_the_benchmark(content):
    main(content)
    for conversation in read(OUT):
        for asked, said in conversation.turns:
            assert asked.endswith("Answer the question using a single word or phrase.")
            assert said == ("yes", "no")[int(asked.split("?")[0].split()[-1]) % 2]


def test_the_same_slice_writes_the_same_bytes_and_another_seed_others(content):
    main(content)
    first = OUT.read_bytes()
    main(content)
    assert OUT.read_bytes() == first
    main({**content, "mixture": {**content["mixture"], "seed": 1}})
    assert OUT.read_bytes() != first


@pytest.fixture
def after(content) -> Callable[[int], dict[str, Any]]:
    """The slice of a mixture that passes over what a start has drawn, *questions* of one picture each."""

    def after(questions: int) -> dict[str, Any]:
        shares = {"pope": {"questions": questions, "per_picture": 1}}
        seen = {"mixture": {"shares": shares, "seed": 0, "turns": 2}, "benchmarks": content["benchmarks"]}
        return {**content, "seen": seen}

    return after


def test_pictures_of_the_start_are_passed_over(content, after):
    def drawn(told: dict[str, Any]) -> set[str | None]:
        main(told)
        return {conversation.image for conversation in read(OUT)}

    seen = drawn({**content, "mixture": after(2)["seen"]["mixture"]})
    assert len(seen) == 2
    assert (
        drawn(after(2))
        == drawn(
            {**content, "mixture": {**content["mixture"], "shares": {"pope": {"questions": 99, "per_picture": 9}}}}
        )
        - seen
    )


def test_a_start_that_leaves_no_question_is_told(after):
    with pytest.raises(DataError, match=r"mixtures\.mix\.unseen: no question of pope is left"):
        main(after(3))


def test_fewer_conversations_are_part_of_more(pictures):
    told = [Conversation(str(number), None, ((f"{number}?", "yes"),)) for number in range(20)]
    write(layout.dataset("tiny", "pictures") / "conversations.json", told)

    def drawn(count: int, seed: int = 0) -> list[str]:
        mixture = {"conversations": "pictures", "count": count, "seed": seed}
        main({"world": "tiny", "name": "mix", "mixture": mixture, "benchmarks": {}})
        return [conversation.id for conversation in read(OUT)]

    assert drawn(12)[:5] == drawn(5) != drawn(5, seed=1)
    assert sorted(drawn(20), key=int) == [one.id for one in told]
    with pytest.raises(DataError, match=r"mixtures\.mix\.count: 21 of pictures; allowed up to 20"):
        drawn(21)


def test_a_data_set_s_own_conversations_come_whole_and_in_order(pictures):
    told = [
        Conversation("2", "train/1.png", (("Colour?", "red"), ("Sure?", "yes"))),
        Conversation("1", None, (("Two and two?", "four"),)),
    ]
    write(layout.dataset("tiny", "pictures") / "conversations.json", told)
    main({"world": "tiny", "name": "mix", "mixture": {"conversations": "pictures", "seed": 0}, "benchmarks": {}})
    assert read(OUT) == [Conversation("2", "pictures/train/1.png", told[0].turns), told[1]]
