"""The fetch stage leaves one checked file with its manifest, or one line that says what was wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages.fetch import main
from steering import layout
from steering.errors import SourceError
from steering.job import fetched, run_stage

WHEEL = b"PK\x05\x06" + bytes(18)  # an empty zip archive
NAME = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
def calls(here, monkeypatch) -> list[list[str]]:
    """The commands given to a pip that always delivers WHEEL."""
    given: list[list[str]] = []

    def pip(command, **_kwargs):
        given.append(command)
        Path(command[command.index("--dest") + 1], NAME).write_bytes(WHEEL)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr("steering.manifest.commit", lambda: "unknown")
    return given


def content(sha256: str = hashlib.sha256(WHEEL).hexdigest()) -> dict:
    return {"name": "tiny", "source": {"kind": "pypi", "package": "tiny", "version": "1.0", "sha256": sha256}}


def test_a_source_is_fetched_once_and_found_by_its_manifest(calls):
    main(content())
    assert fetched(layout.download("tiny")).read_bytes() == WHEEL
    main(content())
    assert len(calls) == 1


def test_a_source_for_a_person_is_asked_for_and_then_taken(here):
    by_hand = {"kind": "manual", "url": "https://host/page", "file": "eval.zip"}
    with pytest.raises(SourceError, match=r"eval\.zip: not there; this one is fetched by hand: open https://host/page"):
        main({"name": "eval", "source": by_hand})
    layout.download("eval").joinpath("eval.zip").write_bytes(WHEEL)
    main({"name": "eval", "source": by_hand})
    assert fetched(layout.download("eval")).read_bytes() == WHEEL


def test_the_manifest_tells_the_source_and_the_sum_of_its_file(calls):
    main(content())
    told = json.loads((layout.download("tiny") / "manifest.json").read_text())
    assert told["kind"] == "fetch"
    assert told["file"] == NAME
    assert told["slice"] == content()
    assert told["outputs"] == {NAME: content()["source"]["sha256"]}


def test_a_wrong_checksum_leaves_neither_file_nor_manifest(calls):
    with pytest.raises(SourceError, match=f"tiny==1.0: {NAME}: sha256 expected {'0' * 64}, got "):
        main(content("0" * 64))
    assert list(layout.download("tiny").iterdir()) == []


def test_on_the_command_line_a_wrong_checksum_is_one_line_and_code_2(calls, monkeypatch, capsys):
    for name in ("OMP_NUM_THREADS", "TRANSFORMERS_VERBOSITY", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "1")
    Path("slice.json").write_text(json.dumps(content("0" * 64)))
    monkeypatch.setattr(sys, "argv", ["fetch", "slice.json"])
    with pytest.raises(SystemExit) as end:
        run_stage(main, about="Fetch.")
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("source tiny==1.0: ")
    assert told.count("\n") == 1
