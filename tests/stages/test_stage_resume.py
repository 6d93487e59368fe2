"""`python -m stages.resume`: never beside a living head; orphans seen to, the lock lifted, the same words typed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
from programs import Program, in_front
from test_slurm import line

from steering import heads, layout
from steering.heads import Head
from steering.manifest import write_json

ROOT = Path(__file__).resolve().parent.parent.parent
DEAD = 2**22 + 7  # above the largest process number there is


class Place:
    """A folder with stand-ins for squeue, scancel and snakemake, and a way to resume in it."""

    def __init__(self, folder: Path):
        self.folder, self.programs = folder, folder / "programs"
        self.programs.mkdir()
        self.snakemake = Program(self.programs, "snakemake", [{"stdout": "done\n"}])
        self.scancel = Program(self.programs, "scancel", [{"stdout": ""}])
        self.squeue = Program(self.programs, "squeue", [{"stdout": ""}])

    def queue(self, *answers: list[str]) -> None:
        self.squeue = Program(self.programs, "squeue", [{"stdout": "".join(lines)} for lines in answers])

    def resume(self, *words: str, path: str | None = None) -> subprocess.CompletedProcess:
        settings = os.environ | {"PATH": path or in_front(self.programs), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "stages.resume", *words]
        return subprocess.run(command, cwd=self.folder, env=settings, capture_output=True, text=True, timeout=60)


def head(**told) -> None:
    known = replace(Head.here(submits=True), arguments=["table", "--jobs", "9"], pid=DEAD)
    write_json(layout.HEAD, asdict(replace(known, **told)))


def lock() -> None:
    heads.LOCKS.mkdir(parents=True)
    (heads.LOCKS / "0.output.lock").touch()


@pytest.fixture
def place(here) -> Place:
    return Place(here)


def test_nothing_is_resumed_where_nothing_was_killed(place):
    answer = place.resume()
    assert (answer.returncode, place.snakemake.calls) == (0, [])
    assert answer.stdout.startswith("Nothing to resume")


def test_a_living_head_is_named_and_left_alone(place):
    head(pid=1, born=psutil.Process(1).create_time())
    lock()
    answer = place.resume()
    assert (answer.returncode, place.snakemake.calls) == (2, [])
    assert "running already: `snakemake table --jobs 9`" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_one_on_another_machine_must_be_said_to_be_dead(place):
    head(host="login9")
    assert "--dead" in place.resume().stderr
    assert place.resume("--dead").returncode == 0
    assert place.snakemake.calls == [["table", "--jobs", "9"]]


def test_the_lock_is_lifted_and_the_dead_one_s_command_typed(place):
    head()
    lock()
    answer = place.resume()
    assert answer.returncode == 0, answer.stderr
    assert place.snakemake.calls == [["--unlock"], ["table", "--jobs", "9"]]
    assert answer.stdout == "done\ndone\n"


def test_other_words_are_typed_instead(place):
    head()
    place.resume("--", "other", "--jobs", "1")
    assert place.snakemake.calls == [["other", "--jobs", "1"]]


def test_this_environment_s_own_snakemake_is_typed_where_the_path_has_none(place):
    head()
    (place.programs / "snakemake").unlink()
    answer = place.resume("--", "--version", path=os.pathsep.join([str(place.programs), os.defpath]))
    assert (answer.returncode, answer.stdout.strip()) == (0, version("snakemake")), answer.stderr


def test_orphans_that_run_are_waited_for_and_those_that_wait_cancelled(place):
    head()
    running, waiting = line("7_1", "RUNNING", folder=place.folder), line("8", "PENDING", folder=place.folder)
    ended = line("7_1", "COMPLETED", folder=place.folder)
    place.queue([running, waiting], [ended])
    answer = place.resume()
    assert place.scancel.calls == [["8"]]
    assert "waiting for SLURM jobs of the dead head: 7_1" in answer.stderr
    assert place.snakemake.calls == [["table", "--jobs", "9"]]


def test_all_orphans_are_cancelled_for_who_wants_it(place):
    head()
    place.queue([line("7_1", "RUNNING", folder=place.folder)], [line("7_1", "CANCELLED", folder=place.folder)])
    place.resume("--cancel")
    assert place.scancel.calls == [["7_1"]]


def test_slurm_is_not_asked_after_a_head_that_ran_jobs_here(place):
    head(submits=False)
    place.squeue = Program(place.programs, "squeue", [{"stdout": "", "stderr": "no controller\n", "code": 1}])
    assert place.resume().returncode == 0
    assert place.squeue.calls == []


def test_nothing_goes_on_while_slurm_is_silent(place):
    head()
    place.squeue = Program(place.programs, "squeue", [{"stdout": "", "stderr": "no controller\n", "code": 1}])
    answer = place.resume()
    assert (answer.returncode, place.snakemake.calls) == (2, [])
    assert answer.stderr == "squeue: no controller\n"


def test_an_unknown_option_ends_with_what_is_allowed(place):
    answer = place.resume("--cancle")
    assert answer.returncode == 2
    assert "--cancel" in answer.stderr
