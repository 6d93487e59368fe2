"""What a run's manifests say of its data and weights, and where DVC remembers them; reads files, imports no tool."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from steering import layout
from steering.manifest import read_json
from steering.tracking.record import DataInput, Weights

BASE = "adapter/adapter_base.json"
CACHE = Path(".dvc/cache/files/md5")
LOCK = Path("dvc.lock")


def data_inputs(trained: Mapping[str, Any], asked: Mapping[str, Any]) -> list[DataInput]:
    """The data of a run by the manifests of its training and of its predictions; what is in both is told once."""
    found: dict[tuple[str, str], DataInput] = {}
    for told in (*_trained_on(trained), *_asked_on(asked)):
        before = found.get((told.name, told.digest), told)
        contexts = dict.fromkeys((before.context, told.context))
        found[told.name, told.digest] = DataInput(told.name, told.digest, before.path, ", ".join(contexts))
    return list(found.values())


def _trained_on(manifest: Mapping[str, Any]) -> list[DataInput]:
    inputs, world, data = manifest.get("inputs", {}), str(manifest.get("world")), str(manifest.get("data"))
    paths = {
        "conversations": layout.mixture(world, data),
        **_paths(manifest.get("slice", {}).get("datasets", ()), world),
    }
    names = {"conversations": data}
    return _inputs(inputs, paths, names, context="training")


def _asked_on(manifest: Mapping[str, Any]) -> list[DataInput]:
    told = manifest.get("slice", {})
    datasets = sorted({benchmark["dataset"] for benchmark in told.get("benchmarks", {}).values()})
    paths = {name: layout.dataset(told["world"], name) for name in datasets}
    return _inputs(manifest.get("inputs", {}), paths, {}, context="evaluation")


def _paths(datasets: Any, world: str) -> dict[str, Path]:
    """What a training reads of pictures: the features computed once, or the pictures themselves."""
    once = {f"features_{name}": layout.features(world, name) for name in datasets}
    return once | {name: layout.dataset(world, name) for name in datasets}


def _inputs(
    inputs: Mapping[str, str], paths: Mapping[str, Path], names: Mapping[str, str], *, context: str
) -> list[DataInput]:
    known = {key: path for key, path in paths.items() if key in inputs}
    return [DataInput(names.get(key, key), inputs[key], path, context) for key, path in known.items()]


def weights_of(folder: Path, manifest: Mapping[str, Any]) -> Weights | None:
    """What the run in *folder* trained, by the sums that its manifest keeps; None where it keeps none."""
    sums = {name: total for name, total in manifest.get("outputs", {}).items() if name.endswith(".safetensors")}
    if not sums or not (folder / BASE).exists():
        return None
    return Weights(folder, sums, read_json(folder / BASE))


def recorded(folder: Path) -> dict[str, str]:
    """Where DVC remembers *folder*, a run's: dvc_out and dvc_md5; nothing unless these very bytes are recorded.

    dvc.lock may be older than the run, so the listing that it names must hold the run's manifest as it is now.
    """
    if not LOCK.exists():
        return {}
    stages = (yaml.safe_load(LOCK.read_text(encoding="utf-8")) or {}).get("stages", {})
    outs = {Path(out["path"]): out.get("md5", "") for stage in stages.values() for out in stage.get("outs", ())}
    for out in (folder, *folder.parents):
        if out in outs and _lists(outs[out], folder.relative_to(out) / "manifest.json", folder / "manifest.json"):
            return {"dvc_out": out.as_posix(), "dvc_md5": outs[out]}
    return {}


def _lists(md5: str, name: Path, file: Path) -> bool:
    """Whether the folder that DVC remembers as *md5* has *file*, as it is now, under *name*."""
    listing = CACHE / md5[:2] / md5[2:]
    if not listing.exists() or not file.exists():
        return False
    held = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8"))}
    return held.get(name.as_posix()) == hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
