"""What is said about pictures that the check leaves out is left out with them, and counted."""

from __future__ import annotations

import pytest

from steering import layout
from steering.data.conversations import Conversation, write
from steering.data.usable import conversations, excluded, tell_left_out
from steering.manifest import write_json

TURNS = (("What?", "That."),)
TOLD = [Conversation(name or "text", name, TURNS) for name in ("a.jpg", "b.jpg", None, "a.jpg")]


@pytest.fixture(autouse=True)
def said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(layout.dataset("w", "d") / "captions.json", TOLD)


def checked(*names: str) -> None:
    write_json(layout.check("w", "d"), {"excluded": list(names)})


def test_everything_is_used_of_a_data_set_that_was_never_checked():
    assert excluded("w", "d") == set()
    used, left_out = conversations("w", "d", "captions.json")
    assert [one.image for one in used] == ["d/a.jpg", "d/b.jpg", None, "d/a.jpg"]
    assert [(one.id, one.turns) for one in used] == [(one.id, one.turns) for one in TOLD]
    assert left_out == {}


def test_what_is_said_about_an_excluded_picture_is_left_out_and_counted():
    checked("a.jpg", "another.jpg")
    assert excluded("w", "d") == {"a.jpg", "another.jpg"}
    used, left_out = conversations("w", "d", "captions.json")
    assert [one.image for one in used] == ["d/b.jpg", None]
    assert left_out == {"d/captions.json": 2}


def test_a_check_that_found_nothing_leaves_nothing_out():
    checked()
    assert len(conversations("w", "d", "captions.json")[0]) == len(TOLD)


def test_what_was_left_out_is_told_on_one_line_or_none(capsys):
    tell_left_out({})
    assert capsys.readouterr().out == ""
    tell_left_out({"d/captions.json": 2, "d/pope/train": 1200})
    told = "left out with pictures that cannot be used: d/captions.json 2, d/pope/train 1,200\n"
    assert capsys.readouterr().out == told
