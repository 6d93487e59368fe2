"""LLaVA's JSON is read with the placeholder in either place, refused with all faults at once, and written back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.data.conversations import PLACEHOLDER, Conversation, group_by_picture, read, write
from steering.errors import DataError


def row(*values, image="a.png", **changes):
    messages = [{"from": ("human", "gpt")[at % 2], "value": value} for at, value in enumerate(values)]
    found = {"id": "1", "image": image, "conversations": messages} | changes
    return found if found["image"] is not None else {name: found[name] for name in found if name != "image"}


def save(folder, *rows):
    path = folder / "train.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("first", ["<image>\nWhat is it?", "What is it?\n<image>", "<image>What is it? "])
def test_placeholder_before_or_after_the_instruction_is_stripped(tmp_path, first):
    found = read(save(tmp_path, row(first, "A cat.", "Sure?", "Yes.")))
    assert found == [Conversation("1", "a.png", (("What is it?", "A cat."), ("Sure?", "Yes.")))]


def test_text_only_rows_and_further_fields_are_read(tmp_path):
    found = read(save(tmp_path, row("Hello", "Hi", image=None, id=7, model="")))
    assert found == [Conversation("7", None, (("Hello", "Hi"),))]


def test_a_null_image_is_text_only(tmp_path):
    assert read(save(tmp_path, {**row("Hello", "Hi", image=None), "image": None}))[0].image is None


FAULTY = {
    "missing placeholder": (row("What?", "A cat."), "0 <image> in the text; allowed is 1 with a picture"),
    "two placeholders": (row("<image>\n<image>\nWhat?", "A cat."), "2 <image> in the text; allowed is 1"),
    "placeholder without picture": (row("<image>\nWhat?", "x", image=None), "1 <image> in the text; allowed is 0"),
    "late placeholder": (row("What?", "x", "<image> and?", "y"), "<image> in a later message; allowed is the first"),
    "empty answer": (row("<image>\nWhat?", " \n"), "message 1: empty answer"),
    "odd": (row("<image>\nWhat?", "x", "And?"), "odd number of messages (3)"),
    "no messages": (row(), "conversations is not a list of from and value"),
    "not messages": (row(conversations=["x"]), "conversations is not a list of from and value"),
    "no id": ({"conversations": []}, "row 0: has no id"),
    "not a row": ("x", "row 0: has no id"),
    "bad image": (row("<image>\nWhat?", "x", image=3), "image is 3; allowed is the name of a picture"),
    "unknown role": (
        row(conversations=[{"from": "user", "value": "<image>"}, {"from": "gpt", "value": "x"}]),
        "unknown role user; allowed are human, gpt",
    ),
    "order": (
        row(conversations=[{"from": "gpt", "value": "<image>"}, {"from": "human", "value": "x"}]),
        "roles do not alternate",
    ),
}


@pytest.mark.parametrize(("bad", "message"), FAULTY.values(), ids=FAULTY)
def test_fault_is_named(tmp_path, bad, message):
    with pytest.raises(DataError) as error:
        read(save(tmp_path, bad))
    assert message in str(error.value)
    assert "train.json: 1 fault\n" in str(error.value)


def test_all_faults_are_counted_and_ten_named(tmp_path):
    rows = [row("What?", "") for _ in range(7)]
    with pytest.raises(DataError) as error:
        read(save(tmp_path, *rows))
    lines = str(error.value).splitlines()
    assert "14 faults" in lines[0]
    assert len(lines) == 12
    assert lines[1].startswith("  row 0 (id 1): ")
    assert lines[-1] == "  and 4 more"


def test_broken_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "train.json"
    path.write_text('[\n{"id": "1"},\n{"id": }\n]')
    with pytest.raises(DataError, match=r"train\.json: line 3: broken JSON"):
        read(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "train.json"
    with pytest.raises(DataError, match="not found"):
        read(path)
    path.write_text("{}")
    with pytest.raises(DataError, match="holds a dict; it takes a list"):
        read(path)
    path.write_bytes(b"[\xff]")
    with pytest.raises(DataError, match="byte 1 is not UTF-8"):
        read(path)


TEXT = st.text(min_size=1).map(str.strip).filter(lambda text: text and PLACEHOLDER not in text)
TURNS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3).map(tuple)
CONVERSATIONS = st.lists(st.builds(Conversation, st.text(), st.none() | st.text(min_size=1), TURNS), max_size=4)


@given(CONVERSATIONS)
def test_what_is_written_is_read_back(tmp_path_factory, conversations):
    path = tmp_path_factory.mktemp("written") / "deep" / "train.json"
    write(path, conversations)
    assert read(path) == conversations


@given(CONVERSATIONS)
def test_rows_written_one_by_one_are_one_dump_of_all(tmp_path_factory, conversations):
    path = tmp_path_factory.mktemp("written") / "train.json"
    write(path, iter(conversations))
    text = path.read_bytes().decode()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1)


def test_a_conversation_that_read_would_refuse_is_not_written(tmp_path):
    path = tmp_path / "train.json"
    for turns in ((), (("What?", ""),), (("<image>", "x"),)):
        with pytest.raises(DataError):
            write(path, [Conversation("1", "a.png", turns)])
    assert list(tmp_path.iterdir()) == []


def items(pictures, questions):
    return [
        (f"key{picture}", f"{picture}.png", f"q{picture}.{number}", f"a{picture}.{number}")
        for number in range(questions)
        for picture in range(pictures)
    ]


@given(st.integers(0, 4), st.integers(0, 7), st.integers(1, 4), st.integers(0, 3))
def test_every_question_comes_once_with_its_own_picture(pictures, questions, size, seed):
    wanted = items(pictures, questions)
    grouped = group_by_picture(wanted, size, seed)
    found = [(one.image, *turn) for one in grouped for turn in one.turns]
    assert sorted(found) == sorted(item[1:] for item in wanted)
    assert all(1 <= len(one.turns) <= size for one in grouped)
    assert len(grouped) == pictures * -(-questions // size)
    assert len({one.id for one in grouped}) == len(grouped)


def test_grouping_is_the_same_for_the_same_seed_and_other_for_another():
    assert group_by_picture(items(5, 6), 3, 1) == group_by_picture(items(5, 6), 3, 1)
    assert group_by_picture(items(5, 6), 3, 1) != group_by_picture(items(5, 6), 3, 2)


def test_a_further_picture_does_not_change_the_others():
    assert group_by_picture(items(2, 6), 3, 1) == group_by_picture(items(3, 6), 3, 1)[:4]


def test_two_names_of_one_picture_are_one_picture():
    grouped = group_by_picture([("k", "x.png", "q1", "a1"), ("k", "y.png", "q2", "a2")], 2, 0)
    assert [(one.image, len(one.turns)) for one in grouped] == [("x.png", 2)]


def test_text_only_questions_share_conversations_without_a_picture():
    items = [(None, None, f"q{number}", f"a{number}") for number in range(5)]
    grouped = group_by_picture(items, 2, 0)
    assert [(c.image, len(c.turns)) for c in grouped] == [(None, 2), (None, 2), (None, 1)]
    assert sorted(turn for c in grouped for turn in c.turns) == [(q, a) for _, _, q, a in items]


def test_no_turns_and_a_nameless_picture_are_refused():
    with pytest.raises(DataError, match="turns_per_conversation is 0; allowed is 1 or more"):
        group_by_picture([], 0, 0)
    with pytest.raises(DataError, match="picture k has no name"):
        group_by_picture([("k", None, "q", "a")], 1, 0)
