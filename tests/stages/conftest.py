"""A tiny world on disk, with the folders that a job finds before it starts, and the page that answers about it."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_world import built
from finished_runs import EXAMPLE, LIKE, SEEDS, finish
from PIL import Image
from transformers import PreTrainedTokenizerBase

from stages import check
from steering import layout
from steering.chat.answering import Answering
from steering.chat.pictures import WorldPictures
from steering.chat.runs import Finished
from steering.chat.server import Page
from steering.chat.session import Session
from steering.data.shards import write_images
from steering.evaluate import journal
from steering.manifest import sha256_file, write_json
from steering.params import load
from steering.plan import Plan
from steering.standing import Standing
from tests.stages.chat_page import EDIT, JSON, Reply

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


@pytest.fixture(scope="module")
def page_world(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: PreTrainedTokenizerBase,
    make_language_model: Callable[..., Any],
    put_manifest: Callable[..., None],
) -> Iterator[tuple[Plan, list[Finished]]]:
    """The plan of a tiny world and its finished runs, in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        yield built(make_language_model(), tokenizer, put_manifest)


@pytest.fixture(scope="module")
def page(page_world: tuple[Plan, list[Finished]]) -> Iterator[Page]:
    plan, runs = page_world
    run = next(run for run in runs if run.name == EDIT)
    with Page(Answering(Session(longest=6), WorldPictures(plan, "tiny"), runs, run), 0) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def send(page: Page) -> Callable[..., Reply]:
    def request(method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=120)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        told = json.loads(content) if reply.headers["Content-Type"] == JSON else content
        return reply.status, told, reply.headers

    return request


@pytest.fixture
def post(send: Callable[..., Reply]) -> Callable[..., Reply]:
    return lambda path, told, **headers: send("POST", path, json.dumps(told).encode(), Content_Type=JSON, **headers)


@pytest.fixture
def ask(post: Callable[..., Reply]) -> Callable[..., Reply]:
    return lambda **told: post("/api/ask", {"run": EDIT, "question": "Is there a 1?", **told})
