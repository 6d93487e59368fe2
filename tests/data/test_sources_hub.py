"""Files of a hub repository come at one commit, each with the bytes the hub names, and never a pickle."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from steering.data.sources import RECORD, fetch, hub
from steering.errors import SourceError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model-00001.safetensors": b"weights" * 100,
    "sub/tokenizer.model": b"pieces",
    "pytorch_model.bin": b"pickle",
    "modeling.py": b"print()",
    "README.md": b"hello",
}
LARGE = ("model-00001.safetensors", "pytorch_model.bin")
SOURCE = {"kind": "hub", "repo": "owner/tiny", "revision": COMMIT, "files": ["*.json", "*.safetensors"]}


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> SimpleNamespace:
    lfs = SimpleNamespace(sha256=hashlib.sha256(content).hexdigest()) if path in LARGE else None
    return SimpleNamespace(path=path, size=len(content), blob_id=blob_id(content), lfs=lfs)


@pytest.fixture
def asked(monkeypatch):
    """The names asked of a hub that serves `files` of the fixture's own dict, and fails where `fault` is set."""
    state = SimpleNamespace(files=dict(FILES), names=[], fault=None)

    def tree(_self, repo, *, recursive, revision, repo_type):
        assert (repo, recursive, revision) == ("owner/tiny", True, COMMIT)
        if state.fault:
            raise state.fault
        return [SimpleNamespace(path="sub"), *(entry(path, content) for path, content in FILES.items())]

    def download(repo, name, *, revision, repo_type, local_dir, endpoint):
        state.names.append(name)
        path = Path(local_dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(state.files[name])
        return str(path)

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", tree)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return state


def there(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_come_as_plain_files_and_are_then_left_alone(asked, tmp_path):
    home = fetch(SOURCE, tmp_path)
    assert home == tmp_path / "tiny"
    assert there(tmp_path) == [RECORD, "tiny/config.json", "tiny/model-00001.safetensors"]
    asked.names.clear()
    asked.fault = AssertionError("the hub was asked")
    assert fetch(SOURCE, tmp_path) == home
    assert asked.names == []


def test_a_missing_or_damaged_file_alone_is_fetched_again(asked, tmp_path):
    home = fetch(SOURCE, tmp_path)
    (home / "config.json").write_bytes(b"[]")
    asked.names.clear()
    fetch(SOURCE, tmp_path)
    assert asked.names == ["config.json"]
    assert (home / "config.json").read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["config.json", "model-00001.safetensors"])
def test_bytes_other_than_the_hub_names_are_not_kept(asked, tmp_path, name):
    asked.files[name] = bytes(len(FILES[name]))
    with pytest.raises(
        SourceError, match=f"owner/tiny@0123456789ab: {name}: .* expected .*, got .*; the file was removed"
    ):
        fetch(SOURCE, tmp_path)
    assert not (tmp_path / "tiny" / name).exists()


def test_what_another_entry_brought_goes(asked, tmp_path):
    fetch(SOURCE, tmp_path)
    fetch({**SOURCE, "files": ["sub/tokenizer.model"]}, tmp_path)
    assert there(tmp_path) == [RECORD, "tiny/sub/tokenizer.model"]
    assert list(json.loads((tmp_path / RECORD).read_text())["files"]) == ["tiny/sub/tokenizer.model"]


def test_what_a_killed_fetch_left_goes(asked, tmp_path):
    (tmp_path / ".hub").mkdir()
    (tmp_path / ".hub/x.incomplete").write_bytes(b"half")
    fetch(SOURCE, tmp_path)
    assert not (tmp_path / ".hub").exists()


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], None])
def test_a_revision_that_is_no_commit_is_refused(asked, tmp_path, revision):
    with pytest.raises(SourceError, match=f"revision: {revision}; allowed is a commit, 40 hexadecimal digits"):
        fetch({**SOURCE, "revision": revision}, tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "*.pt", "modeling.py", "*.ckpt"])
def test_what_may_run_code_is_refused_before_the_hub_is_asked(asked, tmp_path, name):
    asked.fault = AssertionError("the hub was asked")
    with pytest.raises(SourceError, match="may run code when it is read"):
        fetch({**SOURCE, "files": [name]}, tmp_path)


def test_a_glob_that_reaches_refused_files_names_them_all(asked, tmp_path):
    with pytest.raises(SourceError) as caught:
        fetch({**SOURCE, "files": ["*"]}, tmp_path)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "README.md",
        "modeling.py",
        "pytorch_model.bin",
    ]
    assert asked.names == []


def test_a_data_set_may_hold_other_data(asked, tmp_path):
    assert there(fetch({**SOURCE, "repo_type": "dataset", "files": "README.md"}, tmp_path)) == ["README.md"]


def test_a_name_that_is_not_there_is_told_with_a_near_one(asked, tmp_path):
    with pytest.raises(SourceError, match=r"confg\.json: no such file \(did you mean config\.json\?\); it has 6 files"):
        fetch({**SOURCE, "files": ["confg.json"]}, tmp_path)


def test_all_that_is_wrong_in_an_entry_is_told_at_once(tmp_path):
    with pytest.raises(SourceError) as caught:
        fetch({"kind": "hub", "repo": "a/../b", "repo_type": "space", "files": ["../x"], "revision": "main"}, tmp_path)
    starts = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert starts == ["repo", "revision", "repo_type", "../x"]


def test_a_full_disk_is_told_before_the_fetch(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(SourceError, match="GB to fetch, 1e-09 GB free"):
        fetch(SOURCE, tmp_path)
    assert asked.names == []


def http_error(kind: type, status: int) -> Exception:
    fault = kind.__new__(kind)
    fault.args = (f"{status} Client Error",)
    return fault


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (http_error(errors.GatedRepoError, 403), "terms must be accepted"),
        (http_error(errors.RepositoryNotFoundError, 404), "no such repository"),
        (http_error(errors.RevisionNotFoundError, 404), "no such commit"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (ConnectionError("no route to https://me:secret@host\nmore"), r"hub not reached \(no route to https://host\)"),
    ],
)
def test_faults_of_the_hub_are_one_line(asked, tmp_path, fault, says):
    asked.fault = fault
    with pytest.raises(SourceError, match=says) as caught:
        fetch(SOURCE, tmp_path)
    assert str(caught.value).startswith("source owner/tiny@0123456789ab: ")
    assert "\n" not in str(caught.value)


def test_a_fault_of_ours_is_not_taken_for_the_network(asked, tmp_path):
    asked.fault = TypeError("a bug")
    with pytest.raises(TypeError):
        fetch(SOURCE, tmp_path)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as listing and fetching files takes."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        resolve = f"/owner/tiny/resolve/{COMMIT}/"
        if path == f"/api/models/owner/tiny/tree/{COMMIT}":
            return self.reply(json.dumps([self.told(name) for name in FILES]).encode())
        if path.startswith(resolve):
            return self.reply(FILES[path.removeprefix(resolve)])
        self.send_error(404)

    def told(self, name: str) -> dict:
        content = FILES[name]
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
        told = {"type": "file", "path": name, "size": len(content), "oid": blob_id(content)}
        return told | ({"lfs": lfs} if name in LARGE else {})

    def reply(self, body: bytes):
        self.send_response(200)
        for name, value in {
            "Content-Length": str(len(body)),
            "ETag": f'"{blob_id(body)}"',
            "X-Repo-Commit": COMMIT,
            "Content-Type": "application/json",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_the_hub_client_fetches_from_an_endpoint_of_the_environment(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        home = fetch({**SOURCE, "files": ["*.safetensors", "*.json", "sub/*"]}, tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert there(home) == ["config.json", "model-00001.safetensors", "sub/tokenizer.model"]
    assert all((home / name).read_bytes() == FILES[name] for name in there(home))
