"""A JSON list is read row by row, as json.loads would, and broken files are named with their line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.data.converters import stream
from steering.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_any_list_is_read_as_json_reads_it_however_it_is_cut(tmp_path_factory, values, chunk, indent, ascii_only):
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "CHUNK_BYTES", chunk)
        assert list(stream.stream_rows(path)) == values


BROKEN = {
    "[\n1,\n{,\n]": "line 3: broken JSON",
    "[1 2]": r"line 1: broken JSON: Expecting ',' or '\]'",
    "[1,\n2": r"line 2: broken JSON: Expecting ',' or '\]'",
    "[1,]": "line 1: broken JSON",
    "[1]\n[2]": "line 2: broken JSON: Extra data",
    '{"a": 1}': r"does not begin with \[; it takes a list",
    "": r"does not begin with \[",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_list_of_rows_is_named(tmp_path, text):
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(DataError, match=BROKEN[text]):
        list(stream.stream_rows(tmp_path / "rows.json"))


def test_a_missing_file_and_other_encodings_are_named(tmp_path):
    with pytest.raises(DataError, match="not found"):
        list(stream.stream_rows(tmp_path / "rows.json"))
    (tmp_path / "rows.json").write_bytes(b'["\xff"]')
    with pytest.raises(DataError, match="not UTF-8"):
        list(stream.stream_rows(tmp_path / "rows.json"))


def test_a_byte_order_mark_is_no_part_of_the_list(tmp_path):
    (tmp_path / "rows.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert list(stream.stream_rows(tmp_path / "rows.json")) == [1]
