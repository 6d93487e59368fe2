"""Data by the digests of the manifests, weights by their sums, and DVC's hash only of these very bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from steering import layout
from steering.manifest import write_json
from steering.tracking.provenance import data_inputs, recorded, weights_of
from steering.tracking.record import DataInput

RUN = layout.run("w", "mix", "mores_b", 0)
OUT = Path("checkpoints/runs")


def tuned(**inputs: str) -> dict[str, Any]:
    return {"world": "w", "data": "mix", "slice": {"datasets": ["icons"]}, "inputs": {"base": "b", **inputs}}


def asked(**inputs: str) -> dict[str, Any]:
    benchmarks = {"pope": {"dataset": "icons"}, "vqa": {"dataset": "flags"}}
    return {"slice": {"world": "w", "benchmarks": benchmarks}, "inputs": {"run": "r", **inputs}}


def test_data_are_named_by_what_the_manifests_say() -> None:
    found = data_inputs(tuned(conversations="c", features_icons="f"), asked(icons="i", flags="l", check_icons="k"))
    assert found == [
        DataInput("mix", "c", Path("data/w/mixtures/mix.json"), "training"),
        DataInput("features_icons", "f", Path("data/w/features/icons.safetensors"), "training"),
        DataInput("flags", "l", Path("data/w/flags"), "evaluation"),
        DataInput("icons", "i", Path("data/w/icons"), "evaluation"),
    ]


def test_pictures_read_live_in_both_are_told_once_for_both() -> None:
    found = data_inputs(tuned(icons="i"), asked(icons="i"))
    assert found == [DataInput("icons", "i", Path("data/w/icons"), "training, evaluation")]


def test_manifests_that_tell_nothing_give_nothing() -> None:
    assert data_inputs({}, {}) == []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The manifest of a run on disk."""
    monkeypatch.chdir(tmp_path)
    sums = {"adapter/adapter_model.safetensors": "1", "connector.safetensors": "2", "metrics.jsonl": "3"}
    write_json(RUN / "manifest.json", {"outputs": sums})
    write_json(RUN / "adapter" / "adapter_base.json", {"base_hash": "ba5e"})
    return {"outputs": sums}


def test_weights_are_the_tensors_that_the_manifest_sums(run: dict[str, Any]) -> None:
    found = weights_of(RUN, run)
    assert found
    assert set(found.sums) == {"adapter/adapter_model.safetensors", "connector.safetensors"}
    assert (found.folder, found.base) == (RUN, {"base_hash": "ba5e"})
    assert weights_of(RUN, {}) is None


def remember(name: str, *, out: Path = OUT) -> str:
    """DVC's lock and cache as `dvc commit` leaves them, listing the run's manifest as *name*; the out's hash."""
    entry = {
        "relpath": name,
        "md5": hashlib.md5((RUN / "manifest.json").read_bytes(), usedforsecurity=False).hexdigest(),
    }
    md5 = "0123456789abcdef.dir"
    write_json(Path(".dvc/cache/files/md5") / md5[:2] / md5[2:], [entry])
    lock = {"schema": "2.0", "stages": {"tune": {"outs": [{"path": out.as_posix(), "hash": "md5", "md5": md5}]}}}
    Path("dvc.lock").write_text(json.dumps(lock))  # which is YAML too
    return md5


@pytest.mark.parametrize("out", [OUT, RUN])
def test_where_dvc_remembers_a_run_is_the_out_that_lists_it(run: dict[str, Any], out: Path) -> None:
    md5 = remember((RUN / "manifest.json").relative_to(out).as_posix(), out=out)
    assert recorded(RUN) == {"dvc_out": out.as_posix(), "dvc_md5": md5}


def test_bytes_that_dvc_does_not_remember_have_no_hash(run: dict[str, Any]) -> None:
    assert recorded(RUN) == {}
    remember((RUN / "manifest.json").relative_to(OUT).as_posix())
    write_json(RUN / "manifest.json", {"outputs": {}})  # trained anew since
    assert recorded(RUN) == {}


def test_a_cache_that_is_elsewhere_or_an_out_without_this_run_tells_nothing(run: dict[str, Any]) -> None:
    remember("another/manifest.json")
    assert recorded(RUN) == {}
    Path(".dvc/cache/files/md5/01/23456789abcdef.dir").unlink()
    assert recorded(RUN) == {}
