"""What `make record` remembers comes back in another clone, byte for byte, and Snakemake has nothing to do there.

No more for other experiments than for the default one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from repositories import EVERYTHING, check_in, clone, done, made, make_finished, tried
from test_workflow import NOTHING, RUN_RULES, jobs, snakemake

pytestmark = pytest.mark.slow

OUTS = ("data", "models", "checkpoints", "results")
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    folder = make_finished(tmp_path_factory.mktemp("recorded"))
    done(folder, *made("record"))
    check_in(folder, "dvc.lock")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """The outputs in *folder*; Snakemake's own marks are none."""
    paths = [path for out in OUTS for path in (folder / out).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != ".snakemake_timestamp"}


def test_a_clone_gets_every_file_back_and_nothing_runs(recorded, tmp_path):
    other = clone(recorded, tmp_path / "other", remote=str(recorded / ".dvc-remote"))
    done(other, *made("restore"))
    assert files(other) == files(recorded)
    assert NOTHING in done(other, "snakemake", "--cores", "1", "--dry-run", *EVERYTHING)


def test_an_edit_after_a_restore_runs_what_it_touches_alone(recorded, tmp_path):
    other = clone(recorded, tmp_path / "other", remote=str(recorded / ".dvc-remote"))
    done(other, *made("restore"))
    params = other / "params.yaml"
    params.write_text(params.read_text().replace("lora, rank: 8", "lora, rank: 4"))
    counted = jobs(snakemake(other, "--cores", "1", "--dry-run"))
    assert counted == dict.fromkeys((*RUN_RULES, "report", "track", "tracking_database", "all"), 1) | {"total": 8}


def test_recording_twice_changes_nothing(recorded):
    before = (recorded / "dvc.lock").read_bytes()
    assert "up to date" in done(recorded, *made("record"))
    assert (recorded / "dvc.lock").read_bytes() == before


def test_a_clone_whose_remote_lacks_the_bytes_says_so(recorded, tmp_path):
    other = clone(recorded, tmp_path / "other", remote=str(tmp_path / "empty"))
    answer = tried(other, *made("restore"))
    assert answer.returncode != 0
    assert "Missing cache files" in answer.stdout + answer.stderr
    assert not (other / "results").exists()


@pytest.fixture
def bucket(monkeypatch):
    """An S3-type server on loopback with a bucket in it: its URL."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket="steering")
    yield url
    server.stop()


def test_a_bucket_serves_as_well_as_a_folder(recorded, bucket, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(recorded, source, symlinks=True)
    for option, value in (("url", "s3://steering/remote"), ("endpointurl", bucket)):
        done(source, "dvc", "remote", "modify", "local", option, value)
    done(source, *made("record"))
    check_in(source, "a bucket as the remote")
    other = tmp_path / "other"
    done(source, "git", "clone", "--quiet", str(source), str(other))
    done(other, *made("restore"))
    assert files(other) == files(recorded)
    assert NOTHING in done(other, "snakemake", "--cores", "1", "--dry-run")


def test_params_of_another_day_are_told_and_not_accepted(recorded, tmp_path):
    other = clone(recorded, tmp_path / "other", remote=str(recorded / ".dvc-remote"))
    params = other / "params.yaml"
    params.write_text(params.read_text().replace("lora, rank: 8", "lora, rank: 4"))
    answer = tried(other, *made("restore"))
    assert answer.returncode != 0
    assert "arms" in answer.stdout
