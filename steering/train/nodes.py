"""Several machines for one job: in a SLURM job of so many nodes, srun starts a stage on each; they meet on the first.

The stage that started them waits, passes on how they ended, and delivers. What they need to know is in the environment:
the port it found free, and from srun the number of a node and the address of the machine that srun was started on.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steering.errors import SteeringError
from steering.interrupts import SIGNALS
from steering.slurm import granted_nodes

PORT = "STEERING_MEETING_PORT"
PATIENCE_SECONDS = 600
"""For a step to come to its end and the state to be saved; and, once one node has ended, for the others to."""


@dataclass(frozen=True)
class Meeting:
    """Where launchers meet, whether *here* (None: torch finds out), and by which *address* this machine is known."""

    endpoint: str
    address: str
    here: bool | None = None


ALONE = Meeting("127.0.0.1:0", "127.0.0.1")


def on_node() -> bool:
    """Whether this stage was started on its node by `started_on_nodes`."""
    return PORT in os.environ


def meeting() -> Meeting:
    """Of a stage that is on its node: all meet where srun was started, which is on the first."""
    head, port = os.environ["SLURM_LAUNCH_NODE_IPADDR"], os.environ[PORT]
    return Meeting(f"{head}:{port}", _address_towards(head), os.environ["SLURM_NODEID"] == "0")


def started_on_nodes(nodes: int, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The highest exit code of *command* on *nodes*, once on each. Raises SteeringError where they are not there."""
    if (granted := granted_nodes()) != nodes:
        found = f"a SLURM job of {granted}" if granted else "no SLURM job"
        raise SteeringError(
            f"engine: nodes {nodes}, found {found}; allowed: `snakemake --profile workflow/profiles/slurm`, "
            f"which asks for them, or nodes 1"
        )
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--overlap", "--cpu-bind=none"]
    known = _of_the_job(environment) | {PORT: _free_port()}
    return _waited_for(subprocess.Popen([*srun, f"--wait={PATIENCE_SECONDS}", *command], env=known))


def _of_the_job(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment* without what SLURM says of the step that this process is, which srun would take for the job."""
    kept = ("SLURM_JOB_ID", "SLURM_CONF")
    return {name: value for name, value in environment.items() if not name.startswith("SLURM_") or name in kept}


def _waited_for(running: subprocess.Popen) -> int:
    """SLURM signals the nodes' processes itself, and whoever signals this one alone means them: all is passed on."""
    before = {number: signal.signal(number, lambda got, frame: running.send_signal(got)) for number in SIGNALS}
    try:
        return running.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> str:
    with socket.socket() as asked:
        asked.bind(("", 0))
        return str(asked.getsockname()[1])


def _address_towards(host: str) -> str:
    """This machine's own address on the way to *host*; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((host, 9))
        return way.getsockname()[0]
