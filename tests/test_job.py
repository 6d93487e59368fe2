"""A job's state is named by what it depends on, finished work is not done twice, faults are told plainly."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from steering import layout
from steering.errors import DataError, SourceError, SteeringError
from steering.job import Job, check_outputs, contents, fetched, offline, read_slice, run_stage
from steering.manifest import sha256_file, write_json

SLICE = {"world": "w", "arm": {"rank": 1}}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder: Path, **files: str) -> Path:
    """A folder with *files* and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    write_json(folder / "manifest.json", {"outputs": {name: sha256_file(folder / name) for name in files}})
    return folder


def work(job: Job, text: str = "weights") -> None:
    with job.making() as folder:
        (folder / "model.bin").write_text(text)
        (folder / "adapter").mkdir()
        (folder / "adapter" / "config.json").write_text("{}")
        job.manifest(folder, arm="none")


def key(content=SLICE, kind: str = "tune", **inputs: Path) -> str:
    return Job(kind, content, inputs).key


def test_the_key_names_kind_slice_and_inputs():
    base = made(Path("base"), weights="a")
    keys = [key(), key(kind="predict"), key({**SLICE, "world": "v"}), key(base=base), key(other=base)]
    assert len(set(keys)) == len(keys)
    assert key({"arm": {"rank": 1}, "world": "w"}) == key()


def test_the_key_follows_the_contents_of_an_input_folder():
    before = key(base=made(Path("base"), weights="a"))
    assert key(base=made(Path("base"), weights="b")) != before
    assert key(base=made(Path("base"), weights="a")) == before


def test_the_key_follows_the_bytes_of_an_input_file_not_its_time():
    file = Path("mixture.json")
    file.write_text("[]")
    before = key(data=file)
    os.utime(file, (1, 1))
    assert key(data=file) == before
    file.write_text("[1]")
    assert key(data=file) != before


def test_an_input_that_was_never_made_says_what_to_run():
    with pytest.raises(DataError, match=r"base/manifest\.json: not there; run the rule that makes this folder"):
        contents(Path("base"))


def test_a_broken_manifest_is_told_without_json_errors():
    made(Path("base"), weights="a")
    Path("base/manifest.json").write_text('{"outputs": ')
    with pytest.raises(DataError, match=r"base/manifest\.json: not JSON; run the rule"):
        contents(Path("base"))


def test_a_finished_state_is_delivered_again_without_work():
    job, out = Job("tune", SLICE, {}), Path("out")
    work(job)
    job.deliver(out)
    first = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for path in out.rglob("*.*"):
        path.unlink()
    again = Job("tune", SLICE, {})
    assert again.finished.exists()
    again.deliver(out)
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first
    assert set(first) == {"model.bin", "config.json", "manifest.json"}


def test_delivered_files_replace_those_of_an_earlier_state():
    out = made(Path("out"), stale="of another method")
    job = Job("tune", SLICE, {})
    work(job)
    job.deliver(out)
    assert not (out / "stale").exists()


def test_the_manifest_is_delivered_last(monkeypatch):
    job, out = Job("tune", SLICE, {}), made(Path("out"), stale="x")
    work(job)

    def dies(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("steering.job.shutil.copytree", dies)
    with pytest.raises(OSError, match="No space"):
        job.deliver(out)
    assert not (out / "manifest.json").exists()


def test_an_interrupted_making_is_kept_for_a_resume():
    job = Job("tune", SLICE, {})
    with pytest.raises(KeyboardInterrupt), job.making() as folder:
        (folder / "metrics.jsonl").write_text("step 1\n")
        raise KeyboardInterrupt
    assert not job.finished.exists()
    with Job("tune", SLICE, {}).making() as folder:
        assert (folder / "metrics.jsonl").read_text() == "step 1\n"
    assert job.finished.exists()


def test_checkpoints_live_until_the_end_and_no_longer():
    job = Job("tune", SLICE, {})
    (job.state / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="stop"), job.making():
        raise ValueError("stop")
    assert (job.state / "checkpoints").exists()
    with job.making():
        pass
    assert not (job.state / "checkpoints").exists()


def test_a_manifest_holds_provenance_slice_facts_and_sums():
    job = Job("tune", SLICE, {"base": made(Path("base"), weights="a")})
    work(job)
    told = json.loads((job.finished / "manifest.json").read_text())
    assert (told["kind"], told["slice"], told["arm"]) == ("tune", SLICE, "none")
    assert told["inputs"] == {"base": contents(Path("base"))}
    assert list(told["outputs"]) == ["adapter/config.json", "model.bin"]
    assert {"commit", "code", "versions", "started", "finished", "runtime_seconds"} <= told.keys()


def test_a_flipped_byte_is_found_by_name():
    folder = made(Path("base"), first="aaaa", second="bbbb")
    check_outputs(folder, ["first", "second"])
    (folder / "second").write_text("bbcb")
    check_outputs(folder, ["first"])
    with pytest.raises(DataError, match=r"base/second: damaged: its manifest says \w{64}, found \w{64}; make it again"):
        check_outputs(folder, ["first", "second"])


def test_a_vanished_file_is_found_by_name():
    folder = made(Path("base"), weights="a")
    (folder / "weights").unlink()
    with pytest.raises(DataError, match=r"base/weights: damaged: .*found no file; make it again"):
        check_outputs(folder, ["weights"])
    with pytest.raises(DataError, match=r"nowhere/manifest\.json: not there"):
        check_outputs(Path("nowhere"), ["weights"])


def test_a_source_that_was_never_fetched_says_what_to_run():
    with pytest.raises(DataError, match=r"downloads/x/manifest\.json: not there; run the fetch rule"):
        fetched(layout.download("x"))


def test_a_slice_that_is_missing_or_cut_off_says_where_slices_come_from():
    with pytest.raises(SteeringError, match="none.json: not there; `snakemake -n -p` writes the slices"):
        read_slice(Path("none.json"))
    Path("cut.json").write_text('{"world": ')
    with pytest.raises(SteeringError, match="cut.json: not JSON; `snakemake -n -p` writes the slices"):
        read_slice(Path("cut.json"))


@pytest.fixture
def command(monkeypatch):
    """Runs a stage's main on a slice; returns its exit code, 0 where it ends by itself."""
    for name in ("OMP_NUM_THREADS", "TRANSFORMERS_VERBOSITY", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "1")

    def running(main, content=SLICE, *arguments: str) -> int:
        Path("slice.json").write_text(json.dumps(content))
        monkeypatch.setattr(sys, "argv", ["stage", "slice.json", *arguments])
        try:
            run_stage(main, about="A stage.")
        except SystemExit as end:
            return end.code
        return 0

    return running


def raising(error: Exception):
    def main(_content):
        raise error

    return main


def test_a_stage_gets_its_slice_and_threads(command):
    seen = []
    assert command(lambda content: seen.append((content, os.environ["OMP_NUM_THREADS"])), SLICE, "--threads", "3") == 0
    assert seen == [(SLICE, "3")]


def test_a_users_own_fault_is_its_text_and_its_code(command, capsys):
    fault = SourceError("source x==1: sha256 expected a, got b")
    assert command(raising(fault)) == fault.exit_code == 2
    assert capsys.readouterr().err == "source x==1: sha256 expected a, got b\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "data/x.tar"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_to_be_full(command, capsys, error):
    assert command(raising(error)) == 2
    told = capsys.readouterr().err
    assert "the disk is full; free some space, then run again" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), RuntimeError("shapes differ"), KeyError("arm")])
def test_a_fault_of_the_code_keeps_its_traceback(command, error):
    with pytest.raises(type(error)):
        command(raising(error))


def test_a_stage_without_its_slice_ends_with_one_line_and_code_2(here):
    root = Path(__file__).resolve().parent.parent
    run = [sys.executable, "-m", "stages.fetch", "none.json"]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 2
    assert done.stderr.startswith("none.json: not there; ")
    assert done.stderr.count("\n") == 1


def test_a_stage_prints_no_warning_that_only_a_library_could_heed(make_language_model):
    from peft import IA3Config, get_peft_model

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        offline()
        get_peft_model(make_language_model(), IA3Config(target_modules=["v_proj"], feedforward_modules=[]))
        warnings.warn("another", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in told] == ["another"]
