"""The check stage ends with all faults at once, or writes what to leave out; what rests on it then goes without."""

from __future__ import annotations

from typing import Any

import pytest

from stages import check, mixture
from steering import layout
from steering.data.conversations import Conversation, read, write
from steering.data.picture_check import Findings
from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError
from steering.evaluate.asking import Asked
from steering.manifest import read_json

OUT = layout.check("tiny", "pictures")
FAULTY = {"train/1.png": b"", "test/2.png": b"<html>"}


def content(policy: str) -> dict[str, Any]:
    return {"world": "tiny", "name": "pictures", "faulty_pictures": policy}


@pytest.fixture
def faulty(pictures) -> None:
    """The data set with two pictures that cannot be used, not yet checked."""
    archive = ImageArchive(pictures)
    write_images(pictures, [(name, FAULTY.get(name, archive.read(name))) for name in archive.names()])
    OUT.unlink()


@pytest.fixture
def mixing(benchmark) -> dict[str, Any]:
    drawn = {"shares": {"pope": {"questions": 20, "per_picture": 9}}, "turns": 3, "seed": 0}
    return {"world": "tiny", "name": "mix", "mixture": drawn, "benchmarks": {"pope": benchmark}}


def test_sound_pictures_leave_nothing_out(pictures, capsys):
    check.main(content("fail"))
    assert read_json(OUT) == {"pictures": 6, "faults": {}, "oddities": {}, "excluded": []}
    assert "data/tiny/pictures: 6 pictures decoded" in capsys.readouterr().out


def test_the_policy_changes_nothing_where_nothing_is_wrong(pictures):
    written = []
    for policy in ("fail", "exclude"):
        check.main(content(policy))
        written.append(OUT.read_bytes())
    assert written[0] == written[1]


def test_faults_end_the_stage_and_leave_no_output(faulty):
    with pytest.raises(DataError, match="data/tiny/pictures: 2 of 6 pictures cannot be used"):
        check.main(content("fail"))
    assert not OUT.exists()


def test_excluded_pictures_are_not_asked_about(faulty, benchmark):
    check.main(content("exclude"))
    asked = Asked("tiny")
    for split, gone in (("train", "train/1.png"), ("test", "test/2.png")):
        shown = {example.image for example in asked.examples(benchmark, split)}
        assert shown == {f"{split}/{number}.png" for number in range(3)} - {gone}
    assert asked.left_out == {"pictures/pope/train": 3, "pictures/pope/test": 3}


def test_a_mixture_says_how_many_questions_it_goes_without(faulty, mixing, capsys):
    check.main(content("exclude"))
    mixture.main(mixing)
    conversations = read(layout.mixture("tiny", "mix"))
    assert {conversation.image for conversation in conversations} == {"pictures/train/0.png", "pictures/train/2.png"}
    assert read_json(layout.mixture_facts("tiny", "mix")) == {
        "questions": 9,
        "conversations": len(conversations),
        "left_out": {"pictures/pope/train": 3},
    }
    assert "left out with pictures that cannot be used: pictures/pope/train 3" in capsys.readouterr().out


def test_a_mixture_of_a_data_sets_own_conversations_goes_without_them_too(faulty, mixing):
    told = [Conversation(name, name, (("What?", "That."),)) for name in ("train/0.png", "train/1.png")]
    write(layout.dataset("tiny", "pictures") / "conversations.json", told)
    check.main(content("exclude"))
    mixture.main(mixing | {"mixture": {"conversations": "pictures"}})
    assert [conversation.image for conversation in read(layout.mixture("tiny", "mix"))] == ["pictures/train/0.png"]
    facts = read_json(layout.mixture_facts("tiny", "mix"))
    assert facts == {"questions": 1, "conversations": 1, "left_out": {"pictures/conversations.json": 1}}


def test_pictures_are_decoded_by_as_many_processes_as_the_command_line_gives(pictures, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    asked = []
    monkeypatch.setattr(check, "check_pictures", lambda archive, processes: asked.append(processes) or Findings())
    check.main(content("fail"))
    assert asked == [3]
