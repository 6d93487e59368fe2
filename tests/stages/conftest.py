"""A tiny world on disk: six pictures with yes/no questions, and the folders a job finds before it starts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_runs import EXAMPLE, LIKE, SEEDS, finish
from PIL import Image

from stages import check
from steering import layout
from steering.data.shards import write_images
from steering.evaluate import journal
from steering.manifest import sha256_file, write_json
from steering.params import load
from steering.plan import Plan
from steering.standing import Standing

CATEGORIES = ("random", "popular", "adversarial")
COLOURS = ("red", "green", "blue", "white", "black", "yellow")


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(file, "PNG")
    return file.getvalue()


def put_manifest(folder: Path, **facts: Any) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    sums = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    write_json(folder / "manifest.json", {"outputs": sums, **facts})


def pope_line(number: int, picture: str) -> str:
    said = ("yes", "no")[number % 2]
    return json.dumps({"question_id": number, "image": picture, "text": f"Is there a {number}?", "label": said})


@pytest.fixture(scope="session", name="put_manifest")
def put_manifest_fixture() -> Callable[..., None]:
    return put_manifest


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pictures(here) -> Path:
    """The data set `pictures` of world `tiny`: three pictures a split, twelve POPE questions in each; checked."""
    folder = layout.dataset("tiny", "pictures")
    names = {split: [f"{split}/{number}.png" for number in range(3)] for split in ("train", "test")}
    shown = [name for split in names for name in names[split]]
    write_images(folder, [(name, png(colour)) for name, colour in zip(shown, COLOURS, strict=True)])
    for split, own in names.items():
        (folder / "pope" / split).mkdir(parents=True)
        for category in CATEGORIES:
            lines = [pope_line(number, own[number % 3]) for number in range(4)]
            (folder / "pope" / split / f"{category}.json").write_text("\n".join(lines))
    put_manifest(folder)
    check.main({"world": "tiny", "name": "pictures", "faulty_pictures": "fail"})
    return folder


@pytest.fixture
def benchmark() -> dict[str, Any]:
    return {"form": "pope", "dataset": "pictures", "folder": "pope", "subset": None, "instruction": True}


@pytest.fixture
def before(monkeypatch) -> Callable[[int, Callable[[Path], None]], None]:
    """before(n, what): do *what* where the n-th record of a journal is about to be written, this once."""

    def patch(number: int, what: Callable[[Path], None]) -> None:
        count, append = iter(range(100)), journal.append

        def appending(path: Path, records: Any) -> None:
            if next(count) == number:
                monkeypatch.setattr(journal, "append", append)
                what(path)
            append(path, records)

        monkeypatch.setattr(journal, "append", appending)

    return patch


@pytest.fixture
def finished(here, monkeypatch) -> Plan:
    """Runs of `longer` that are all finished."""
    Path("params.yaml").write_text(EXAMPLE, encoding="utf-8")
    plan = Plan(load(Path("params.yaml")))
    for arm in LIKE:
        for seed in SEEDS:
            finish(arm, seed)
    rules = ("tune", "predict", "score", "attention")
    monkeypatch.setattr(Standing, "run", lambda self, run: dict.fromkeys(rules, "done"))
    return plan
