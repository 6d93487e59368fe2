"""On several nodes a job is one job still: srun starts a stage on each, and the one that called it delivers.

srun is a stand-in that starts both "nodes" on this machine; on a real cluster: tests/slurm/test_cluster_nodes.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import Program

from steering.errors import SteeringError
from steering.interrupts import EXIT_CODE
from steering.train import nodes
from tests.train.launched import asked_to_stop

ROOT = Path(__file__).resolve().parents[2]
SRUN = """#!/usr/bin/env bash
echo "$@" > "$(dirname "$0")/srun.called"
while [[ $1 == --* ]]; do shift; done
export SLURM_LAUNCH_NODE_IPADDR=127.0.0.1
SLURM_NODEID=0 "$@" & first=$!
SLURM_NODEID=1 "$@" & second=$!
trap 'kill -TERM $first $second' TERM
highest=0
for node in $first $second; do
    wait $node; code=$?
    while kill -0 $node 2> /dev/null; do wait $node; code=$?; done
    (( code > highest )) && highest=$code
done
exit $highest
"""


@pytest.fixture
def srun(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "srun").write_text(SRUN)
    (folder / "srun").chmod(0o755)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def start(how: str, folder: Path, srun: Path, *, granted: int | None = 2) -> subprocess.Popen[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD_SIZE", "SLURM"))}
    told = {"NODES": "2", "OMP_NUM_THREADS": "4", "PATH": f"{srun}{os.pathsep}{known['PATH']}"}
    if granted:
        told["SLURM_JOB_ID"] = "7"
        Program(srun, "squeue", [{"stdout": f"{granted}\n"}])
    command = [sys.executable, "-m", "tests.train.launched", how, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=known | told, stderr=subprocess.PIPE, text=True)


def test_each_node_has_its_share_of_processes_and_the_caller_delivers(out: Path, srun: Path) -> None:
    parent = start("works", out, srun)
    assert parent.wait(120) == 0
    assert sorted(path.name for path in out.iterdir()) == ["delivered", "rank0", "rank1"]
    assert (out / "delivered").read_text() == str(parent.pid)
    assert (out / "rank1").read_text() == f"works {out} --threads 4"


def test_srun_is_asked_for_one_task_on_each_node_beside_the_job_s_own_step(out: Path, srun: Path) -> None:
    assert start("works", out, srun).wait(120) == 0
    words = (srun / "srun.called").read_text().split()
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--overlap"} <= set(words)


def test_a_fault_on_the_nodes_ends_the_job_with_its_code_and_delivers_nothing(out: Path, srun: Path) -> None:
    parent = start("diverges", out, srun)
    assert parent.wait(120) == 2
    assert parent.stderr is not None
    said = parent.stderr.read()
    assert "says no" in said
    assert "on one of 2 nodes ended with code 2" in said
    assert not (out / "delivered").exists()


def test_a_signal_to_the_caller_lets_the_processes_of_all_nodes_stop_and_says_75(out: Path, srun: Path) -> None:
    parent = start("stops", out, srun)
    assert asked_to_stop(parent, out) == EXIT_CODE
    assert not (out / "delivered").exists()


@pytest.mark.parametrize(("granted", "found"), [(None, "found no SLURM job"), (1, "found a SLURM job of 1")])
def test_without_its_nodes_a_job_says_how_to_get_them(out: Path, srun: Path, granted: int | None, found: str) -> None:
    parent = start("works", out, srun, granted=granted)
    assert parent.wait(60) == SteeringError.exit_code
    assert parent.stderr is not None
    said = parent.stderr.read()
    assert f"engine: nodes 2, {found}" in said
    assert "Traceback" not in said


def test_the_first_node_hosts_the_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    monkeypatch.setenv(nodes.PORT, "4000")
    for number, hosts in (("0", True), ("1", False)):
        monkeypatch.setenv("SLURM_NODEID", number)
        assert nodes.meeting() == nodes.Meeting("127.0.0.1:4000", "127.0.0.1", hosts)
