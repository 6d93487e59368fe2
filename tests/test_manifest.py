"""Files appear whole or not at all; a digest names a value whatever the order of its keys."""

from __future__ import annotations

import platform
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.manifest import (
    commit,
    digest,
    flush_to_disk,
    folder_digest,
    provenance,
    read_json,
    sha256_file,
    whole,
    write_json,
)

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def turned(value):
    """*value* with the keys of every mapping the other way round."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def test_a_file_is_there_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with whole(path) as aside:
        aside.write_text("done")
        assert not path.exists()
        assert aside.parent == path.parent
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_block_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole(tmp_path / "out.txt") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with whole(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_file_may_be_read_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "out.json", 1)
    assert stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == 0o644


def test_json_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "out.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@given(value=VALUES)
def test_json_is_read_as_it_was_written(value, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round.json"
    write_json(path, value)
    assert read_json(path) == value


@given(value=VALUES)
def test_a_digest_does_not_hang_on_the_order_of_keys(value) -> None:
    assert digest(value) == digest(turned(value))
    assert len(digest(value)) == 16


@pytest.mark.parametrize(
    ("one", "other"), [({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}), ([1, 2], [2, 1]), ("1", 1), (None, {}), (1, 1.5)]
)
def test_other_values_have_other_digests(one, other) -> None:
    assert digest(one) != digest(other)


def test_the_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == ABC
    assert folder_digest([tmp_path / "abc"]) == {str(tmp_path / "abc"): ABC}


def test_flushing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    flush_to_disk(tmp_path)
    assert (tmp_path / "a").read_text() == "a"


def test_provenance_says_what_made_a_file_and_from_what() -> None:
    told = provenance(kind="tune", started="then", runtime_seconds=1.234, inputs={"base": ABC})
    assert (told["kind"], told["inputs"], told["runtime_seconds"]) == ("tune", {"base": ABC}, 1.23)
    assert (told["commit"], told["started"]) == (commit(), "then")
    assert {"python", "torch", "transformers", "peft"} <= told["versions"].keys()
    assert told["peak_memory_bytes"] > 1e6
    assert told["finished"] > "2020"


def test_provenance_says_where_and_in_which_slurm_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    told = provenance(kind="tune", started="then", runtime_seconds=1.0, inputs={})
    assert told["host"] == platform.node()
    assert "slurm_job" not in told
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert provenance(kind="tune", started="then", runtime_seconds=1.0, inputs={})["slurm_job"] == "4711"
