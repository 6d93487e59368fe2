"""Sources are fetched once, by checksum, and every failure is one line that says what to do."""

from __future__ import annotations

import errno
import subprocess
import zipfile

import pytest

from steering.data.sources import fetch, member_names, pypi, read_member, read_members, sha256_of, without_credentials
from steering.errors import SourceError

METADATA = "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its index, holding tiny-data 1.0."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_data-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_data/facts.json", "{}")
        wheel.writestr("tiny_data-1.0.dist-info/METADATA", METADATA)
        wheel.writestr(
            "tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def source(index):
    wheel = next(index.glob("*.whl"))
    return {"kind": "pypi", "package": "tiny-data", "version": "1.0", "sha256": sha256_of(wheel), "licence": "MIT"}


def no_pip(*_args, **_kwargs):
    raise AssertionError("pip was called")


def answering(returncode: int, stderr: str):
    return lambda command, **_: subprocess.CompletedProcess(command, returncode, "", stderr)


def test_a_wheel_is_fetched_and_then_left_alone(source, tmp_path, monkeypatch):
    path = fetch(source, tmp_path / "sources")
    assert path.name == "tiny_data-1.0-py3-none-any.whl"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    monkeypatch.setattr(pypi.subprocess, "run", no_pip)
    assert fetch(source, tmp_path / "sources") == path


def test_a_damaged_wheel_is_fetched_again(source, tmp_path):
    path = fetch(source, tmp_path / "sources")
    path.write_bytes(b"cut off")
    assert sha256_of(fetch(source, tmp_path / "sources")) == source["sha256"]


def test_other_versions_in_the_folder_are_left_alone(source, tmp_path):
    other = tmp_path / "tiny_data-1.0.1-py3-none-any.whl"
    other.write_bytes(b"another version")
    fetch(source, tmp_path)
    assert other.read_bytes() == b"another version"


def test_a_wrong_checksum_names_both_and_keeps_nothing(source, tmp_path):
    with pytest.raises(SourceError, match=f"expected {'0' * 64}, got {source['sha256']}.*may have changed"):
        fetch({**source, "sha256": "0" * 64}, tmp_path / "sources")
    assert list((tmp_path / "sources").iterdir()) == []


def test_an_unknown_version_is_one_line(source, tmp_path):
    with pytest.raises(
        SourceError, match=r"tiny-data==9: pip could not fetch it \(ERROR: .*check the version"
    ) as caught:
        fetch({**source, "version": "9"}, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unreachable_index_says_so_without_credentials(source, tmp_path, monkeypatch):
    stderr = (
        "WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: no luck at https://me:secret@host/simple\n"
    )
    monkeypatch.setattr(pypi.subprocess, "run", answering(1, stderr))
    with pytest.raises(SourceError, match="package index not reached") as caught:
        fetch(source, tmp_path)
    assert "secret" not in str(caught.value)
    assert "https://host/simple" in str(caught.value)


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("/usr/bin/python: No module named pip", "ensurepip"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk full"),
        ("", "pip said nothing"),
    ],
)
def test_pip_faults_say_what_to_do(source, tmp_path, monkeypatch, stderr, says):
    monkeypatch.setattr(pypi.subprocess, "run", answering(1, stderr))
    with pytest.raises(SourceError, match=says):
        fetch(source, tmp_path)


def test_a_full_disk_is_named(source, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pypi.os, "replace", full)
    with pytest.raises(SourceError, match="disk full at"):
        fetch(source, tmp_path)


def test_an_unknown_kind_names_the_allowed_ones(source, tmp_path):
    with pytest.raises(
        SourceError, match=r"kind pypii: unknown; allowed: pypi, http, hub, manual \(did you mean pypi\?\)"
    ):
        fetch({**source, "kind": "pypii"}, tmp_path)


def test_missing_keys_are_named(tmp_path):
    with pytest.raises(SourceError, match="version, sha256: missing"):
        fetch({"kind": "pypi", "package": "tiny-data"}, tmp_path)


def test_a_promised_member_must_be_there(source, tmp_path):
    fetch({**source, "members": ["tiny_data/*.json"]}, tmp_path)
    with pytest.raises(SourceError, match=r"no member tiny_data/fact\.json \(did you mean tiny_data/facts\.json"):
        fetch({**source, "member": "tiny_data/fact.json"}, tmp_path)


def test_members_are_read_from_the_wheel(source, tmp_path):
    wheel = fetch(source, tmp_path)
    assert "tiny_data/facts.json" in member_names(wheel)
    assert read_member(wheel, "tiny_data/facts.json") == b"{}"
    with pytest.raises(SourceError, match="facts: no such member"):
        read_members(wheel, ["facts"])


def test_what_is_no_wheel_is_refused(tmp_path):
    with pytest.raises(SourceError, match="not found"):
        member_names(tmp_path / "none.whl")
    (tmp_path / "page.whl").write_text("<html>")
    with pytest.raises(SourceError, match="not a zip archive"):
        member_names(tmp_path / "page.whl")


def test_credentials_are_taken_out_of_every_url():
    assert without_credentials("a http://u:p@h/x b https://tok@i/ c") == "a http://h/x b https://i/ c"


def test_secrets_in_the_query_of_an_address_are_hidden():
    assert without_credentials("https://h/f?id=7&X-Amz-Signature=abc&token=t") == (
        "https://h/f?id=7&X-Amz-Signature=...&token=..."
    )
