"""Verification reads every file that a manifest vouches for, and names each that is not what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import verify
from steering.errors import DataError, ParamsError
from steering.manifest import sha256_file, write_json


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in (Path("data/w/set"), Path("checkpoints/runs/w/d/a/seed0")):
        (folder / "inner").mkdir(parents=True)
        names = ("weights.safetensors", "inner/settings.json")
        for name in names:
            (folder / name).write_bytes(f"{folder}{name}".encode())
        write_json(folder / "manifest.json", {"outputs": {name: sha256_file(folder / name) for name in names}})
    return tmp_path


def flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[3] ^= 1
    path.write_bytes(held)


def test_whole_files_are_counted():
    assert verify.main([]) == "2 manifests: every file is as they say"


def test_a_flipped_bit_and_a_missing_file_are_named_together():
    flip(Path("data/w/set/weights.safetensors"))
    Path("checkpoints/runs/w/d/a/seed0/inner/settings.json").unlink()
    with pytest.raises(DataError) as caught:
        verify.main([])
    lines = str(caught.value).splitlines()
    assert [line.split(": damaged")[0] for line in lines] == [
        "checkpoints/runs/w/d/a/seed0/inner/settings.json",
        "data/w/set/weights.safetensors",
    ]
    assert "found no file" in lines[0]


def test_only_what_is_asked_is_read():
    flip(Path("data/w/set/weights.safetensors"))
    assert verify.main(["checkpoints"]).startswith("1 manifests")


def test_nothing_to_compare_is_no_success():
    with pytest.raises(DataError, match="nowhere: no manifest in there"):
        verify.main(["nowhere"])


def test_an_unknown_option_is_refused():
    with pytest.raises(ParamsError, match="--all"):
        verify.main(["--all"])
