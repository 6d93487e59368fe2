"""A real SLURM cluster on this machine, on loopback: munge, slurmctld and slurmd nodes with fake GPUs.

For tests, and for trying what a cluster does: `python tests/slurm/cluster.py COMMAND ...` starts it, runs the command
and takes it down again. It needs root and Debian's packages (PACKAGES), no systemd, no cgroups and no accounting
database. Scheduling, queueing, limits and CUDA_VISIBLE_DEVICES are real; the GPUs are device files that do nothing.
SLURM finds its configuration in /etc/slurm, through links that are there while the cluster is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
SETTINGS = Path("/etc/slurm")
LINKS = [SETTINGS / name for name in ("slurm.conf", "gres.conf")]
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
PATIENCE_SECONDS = 60
DYING = ("setpriv", "--pdeathsig=KILL")  # with whoever started it
OWNER = "owner.pid"
FIELDS = ("jobarrayid", "name", "state", "partition", "nodelist", "reason", "tres-alloc", "comment", "timelimit")
FIELDS += ("tres-per-job", "tres-per-node")
SHOWN = (
    "JobArrayID:10,State:12,Partition:10,NodeList:9,tres-per-job:16,SubmitTime:20,StartTime:20,EndTime:20,Comment:60"
)

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
AuthType=auth/munge
AuthInfo=cred_expire=15
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=UsePss,OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=0
MinJobAge=3600
KillWait={kill_wait}
SlurmctldTimeout=30
SlurmdTimeout=20
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory_mb} "
    "Gres=gpu:fake:{gpus}\n"
)
PARTITIONS = "PartitionName=cpu Nodes=ALL Default=YES State=UP\nPartitionName=gpu Nodes=ALL State=UP\n"


class ClusterError(RuntimeError):
    """The cluster cannot be had, and why."""


class Cluster:
    """Nodes n1, n2, ... with *cpus*, *memory_mb* and *gpus* each; a context manager.

    Raises:
        ClusterError: not root, a package is missing, another cluster is configured here, or a daemon does not start.
    """

    def __init__(self, *, nodes: int = 2, cpus: int = 2, memory_mb: int = 64_000, gpus: int = 2, kill_wait: int = 10):
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus, self.memory_mb, self.gpus, self.kill_wait = cpus, memory_mb, gpus, kill_wait
        self.folder = Path()
        self._daemons: dict[str, subprocess.Popen] = {}
        self._munge: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        refuse_where_impossible()
        self.folder = Path(tempfile.mkdtemp(prefix="slurm."))
        try:
            self._configure()
            self._start_munge()
            self.start_controller()
            for name in self.names:
                self.start_node(name)
            _wait(self._idle, "nodes that are idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*self.names, "slurmctld"]:
            self.kill(name)
        if self._munge is not None:
            _end(self._munge)
        for link in LINKS:
            if link.is_symlink():
                link.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_controller(self) -> None:
        """Start slurmctld, again where its port is not free yet."""

        def up() -> bool:
            if "slurmctld" not in self._daemons or self._daemons["slurmctld"].poll() is not None:
                self._daemon("slurmctld", "slurmctld", "-D")
            return "is UP" in _said("scontrol", "ping")

        _wait(up, "slurmctld")

    def start_node(self, name: str) -> None:
        self._daemon(name, "slurmd", "-D", "-N", name)

    def kill(self, name: str) -> None:
        """End slurmctld or a node's slurmd at once; of a node its jobs too, as a power cut would."""
        if daemon := self._daemons.pop(name, None):
            _end(daemon)
        for process in psutil.process_iter() if name in self.names else ():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURMD_NODENAME") == name or self._is_step(process, name):
                    process.kill()

    def jobs(self, *options: str) -> list[dict[str, str]]:
        """Each job that SLURM remembers: id, name, state, partition, node list, reason, what was granted, comment."""
        form = ",".join(f"{field}:|" for field in FIELDS)
        lines = _said("squeue", "--states=all", "--noheader", f"--Format={form}", *options).splitlines()
        return [dict(zip(FIELDS, map(str.strip, line.split("|")), strict=False)) for line in lines]

    def _is_step(self, process: psutil.Process, node: str) -> bool:
        """Whether *process* is a slurmstepd of *node*, by its socket."""
        spool = str(self.folder / f"spool.{node}/")
        return process.name() == "slurmstepd" and any(
            str(end.laddr).startswith(spool) for end in process.net_connections("unix")
        )

    def _idle(self) -> bool:
        return _said("sinfo", "--noheader", "--Node", "--partition=cpu", "--format=%T").split() == ["idle"] * len(
            self.names
        )

    def _configure(self) -> None:
        (self.folder / "state").mkdir()
        host = socket.gethostname()
        text = CONFIGURATION.format(host=host, port=_free_port(), folder=self.folder, kill_wait=self.kill_wait)
        gres = ""
        for name in self.names:
            told = {"cpus": self.cpus, "memory_mb": self.memory_mb, "gpus": self.gpus}
            text += NODE.format(name=name, host=host, port=_free_port(), **told)
            gres += "".join(f"NodeName={name} Name=gpu Type=fake File={gpu}\n" for gpu in self._fake_gpus(name))
        (self.folder / OWNER).write_text(str(os.getpid()))
        SETTINGS.mkdir(exist_ok=True)
        for link, content in zip(LINKS, (text + PARTITIONS, gres), strict=True):
            (self.folder / link.name).write_text(content)
            link.symlink_to(self.folder / link.name)

    def _fake_gpus(self, node: str) -> list[Path]:
        """Device files, which SLURM wants to see: copies of /dev/null."""
        paths = [self.folder / f"{node}-gpu{number}" for number in range(self.gpus)]
        for path in paths:
            os.mknod(path, 0o666 | 0o020000, os.makedev(1, 3))
        return paths

    def _start_munge(self) -> None:
        if MUNGE_SOCKET.exists() and subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
            return
        MUNGE_SOCKET.parent.mkdir(exist_ok=True)
        shutil.chown(MUNGE_SOCKET.parent, "munge", "munge")
        as_munge = [*DYING, "--reuid=munge", "--regid=munge", "--clear-groups"]
        self._munge = subprocess.Popen([*as_munge, "munged", "--foreground", "--force"], **self._log("munged"))
        _wait(lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0, "munged")

    def _daemon(self, name: str, *command: str) -> None:
        self._daemons[name] = subprocess.Popen([*DYING, *command], **self._log(name), start_new_session=True)

    def _log(self, name: str) -> dict:
        return {"stdin": subprocess.DEVNULL, "stdout": (self.folder / f"{name}.out").open("ab"), "stderr": -2}


def refuse_where_impossible() -> None:
    """Raises ClusterError where no cluster can be started here."""
    if os.geteuid() != 0:
        raise ClusterError("a test cluster needs root; run as root, or in a container where you are")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise ClusterError(
            f"not installed: {', '.join(missing)}; on Debian: "
            f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
        )
    for link in LINKS:
        if link.is_symlink() and not _owned(link):
            link.unlink()
        if link.exists():
            raise ClusterError(f"{link}: a cluster is configured on this machine; a test cluster would take its place")


def _owned(link: Path) -> bool:
    """Whether the test cluster that made *link* still runs; true of every other file."""
    owner = link.resolve().parent / OWNER
    if link.exists() and not owner.exists():
        return True
    return owner.exists() and psutil.pid_exists(int(owner.read_text()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _wait(until: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not until():
        if time.monotonic() > end:
            raise ClusterError(f"waited {PATIENCE_SECONDS} s in vain for {what}")
        time.sleep(0.2)


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def main(command: Sequence[str]) -> int:
    """Run *command* beside a cluster; its exit code, and 2 where there can be no cluster."""
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        with Cluster(cpus=os.cpu_count() or 2, memory_mb=_memory_mb() // 2):
            print("A cluster of two nodes is up; sinfo and squeue tell of it in another terminal.", flush=True)
            code = subprocess.run(command).returncode
            subprocess.run(["squeue", "--states=all", "--sort=i", f"--Format={SHOWN}"])
            return code
    except ClusterError as error:
        print(f"cluster.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
