"""params.yaml is read as it is meant: nothing is silently dropped, converted or executed."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steering.errors import ParamsError
from steering.yaml_strict import load_yaml


@pytest.fixture
def read(tmp_path):
    def reading(text: str | bytes):
        path = tmp_path / "params.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_yaml(path)

    return reading


def refused(read, text: str | bytes) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        read(text)
    return [fault.split("params.yaml: ", 1)[1] for fault in caught.value.faults]


def test_a_duplicate_key_is_named_with_both_lines(read):
    assert refused(read, "a: 1\nb: 2\na: 3\n") == ["line 3: a is given twice (first on line 1); once is allowed"]


def test_all_duplicate_keys_are_told_at_once(read):
    faults = refused(read, "a: 1\na: 2\ndeep:\n  b: {c: 1, c: 2}\n")
    assert [fault.split(" is ")[0] for fault in faults] == ["line 2: a", "line 4: c"]


def test_the_same_key_in_two_mappings_is_no_duplicate(read):
    assert read("x: {a: 1}\ny: {a: 2}\n") == {"x": {"a": 1}, "y": {"a": 2}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 1e-3),
        ("2e-5", 2e-5),
        ("2E5", 2e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.5e+2", 150.0),
        ("-.inf", -math.inf),
        ("17", 17),
        ("-3", -3),
        ("010", 10),
        ("08", 8),
    ],
)
def test_numbers_are_decimal_numbers(read, written, meant):
    found = read(f"a: {written}\n")["a"]
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "off", "No", "Y", "True", "1_000", "0x1F", "0o17", "12:30", "2026-01-02", "1.0.1", "="]
)
def test_what_yaml_1_1_converts_stays_text(read, text):
    assert read(f"a: {text}\n") == {"a": text}


def test_true_false_and_null_are_what_they_say(read):
    assert read("a: true\nb: false\nc: null\nd: ~\ne:\n") == {"a": True, "b": False, "c": None, "d": None, "e": None}


def test_quoted_numbers_stay_text(read):
    assert read("""a: "1.0"\nb: 'true'\n""") == {"a": "1.0", "b": "true"}


def test_a_tab_is_refused_with_its_line(read):
    (fault,) = refused(read, "a:\n\tb: 1\n")
    assert fault.startswith("line 2, column 1: ")
    assert r"'\t'" in fault


def test_a_byte_order_mark_is_accepted(read):
    assert read(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "null\n"])
def test_an_empty_file_is_said_to_be_empty(read, text):
    assert refused(read, text) == ["empty; worlds, arms and experiments belong here"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "words\n", "3\n"])
def test_what_is_no_mapping_is_refused(read, text):
    assert refused(read, text) == ["not a mapping; worlds, arms and experiments belong here"]


def test_two_documents_are_refused(read):
    assert "line 2" in refused(read, "a: 1\n---\na: 2\n")[0]


def test_tags_are_refused_unread_all_at_once(read, tmp_path):
    trap = tmp_path / "trap"
    text = f"a: !!python/object/apply:os.mkdir ['{trap}']\nb: !!int '0x10'\nc: !!timestamp soon\nd: !mine x\n"
    faults = refused(read, text)
    assert [fault.split(";")[0] for fault in faults] == [
        "line 1: found the tag tag:yaml.org,2002:python/object/apply:os.mkdir",
        "line 2: found the tag tag:yaml.org,2002:int",
        "line 3: found the tag tag:yaml.org,2002:timestamp",
        "line 4: found the tag !mine",
    ]
    assert not trap.exists()


def test_a_list_as_a_key_is_refused(read):
    assert refused(read, "? [a, b]\n: c\n") == ["line 1, column 3: found unhashable key"]


def test_a_merge_key_lays_a_mapping_below_another(read):
    text = "base: &base {rank: 1, alpha: 2}\ntop: {<<: *base, rank: 4}\n"
    assert read(text)["top"] == {"rank": 4, "alpha": 2}


def test_an_unknown_anchor_is_refused(read):
    assert "undefined alias" in refused(read, "a: *nowhere\n")[0]


def test_other_encodings_are_refused(read):
    assert refused(read, "a: größe\n".encode("latin-1")) == ["byte 5 is not UTF-8; save the file as UTF-8"]


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ParamsError, match=r"params\.yaml: no such file; run from the project's root"):
        load_yaml(tmp_path / "params.yaml")


TEXT = st.text(st.characters(categories=["L", "N", "P", "S"]) | st.just(" "), min_size=1, max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(TEXT, PLAIN, min_size=1, max_size=4))
def test_a_plain_mapping_written_as_json_is_read_as_json(read, content):
    assert read(json.dumps(content, ensure_ascii=False)) == content
