"""A folder is replaced as a whole or not at all."""

from __future__ import annotations

import json

import pytest

from steering.data.embedded.writing import whole_folder, write_json, write_lines


def test_a_finished_folder_takes_the_place_of_the_former(tmp_path):
    for text in ("old", "new"):
        with whole_folder(tmp_path / "set") as folder:
            write_json(folder / "deep" / "a.json", {"text": text})
    assert json.loads((tmp_path / "set/deep/a.json").read_text()) == {"text": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_unfinished_folder_vanishes(tmp_path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "set") as folder:
        write_json(folder / "a.json", 1)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_lines_are_one_json_object_each(tmp_path):
    write_lines(tmp_path / "x.json", [{"a": "é"}, {"a": 2}])
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{"a": "é"}\n{"a": 2}\n'
