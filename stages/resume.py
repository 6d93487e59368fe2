"""Go on after the head was killed: see to the jobs it left in SLURM, lift its lock, and type its command again.

Jobs that run are waited for, those that only wait are cancelled (their turn comes again), and with --cancel all are:
training saves its state first and goes on from there. Words after `--` replace the dead head's own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from steering import heads, slurm
from steering.command_line import Parser, answer
from steering.errors import SteeringError
from steering.heads import Head

LOOK_SECONDS = 5


class HeadRuns(SteeringError):
    """Somebody decides here already."""


def main(words: Sequence[str]) -> str:
    """Ends as `snakemake` does; where there is nothing to go on with, the reason. Raises SteeringError."""
    parser = Parser(prog="python -m stages.resume", description=__doc__, allow_abbrev=False)
    parser.add_argument("--cancel", action="store_true", help="do not wait for jobs that run: cancel them too")
    parser.add_argument("--dead", action="store_true", help="the head on another machine is known to be dead")
    own, typed = _parted(words)
    asked = parser.strict(own)
    _find_snakemake()
    known = heads.last_head()
    _refuse_a_living(known, dead=asked.dead)
    if known is None and not heads.locked() and not typed:
        return "Nothing to resume: no snakemake was killed here. Type `snakemake`."
    if known is None or known.submits:
        clear_up(cancel=asked.cancel)
    _unlock()
    _go_on(known, typed)
    raise AssertionError("not reached")


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before and after the first `--`."""
    split = words.index("--") if "--" in words else len(words)
    return list(words[:split]), list(words[split + 1 :])


def _find_snakemake() -> None:
    """This environment's own where the caller's PATH has none."""
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def _refuse_a_living(known: Head | None, *, dead: bool) -> None:
    if known and known.alive and not dead:
        end = "wait for it, or end it (Ctrl-C, kill)"
        elsewhere = "; if it is known to be dead there: --dead" if known.elsewhere else ""
        raise HeadRuns(f"{Path.cwd()}: running already: {known.told()}; {end}{elsewhere}")


def clear_up(*, cancel: bool) -> None:
    """Until no job that a dead head submitted from here is left in SLURM."""
    said: list[str] = []
    while left := [job for job in slurm.jobs(Path.cwd()) if not job.ended]:
        slurm.cancel(job.id for job in left if (cancel or job.waits) and job.state != "COMPLETING")
        running = sorted(job.id for job in left if not job.waits)
        if running != said:
            verb = "cancelling" if cancel else "waiting for"
            print(f"{verb} SLURM jobs of the dead head: {', '.join(running) or 'none runs'}", file=sys.stderr)
            said = running
        time.sleep(LOOK_SECONDS if running else 1)


def _unlock() -> None:
    if heads.locked():
        subprocess.run(["snakemake", "--unlock"], check=True)


def _go_on(known: Head | None, typed: Sequence[str]) -> None:
    """Become `snakemake`, with the words of the dead head where none were typed."""
    arguments = list(typed) or (known.arguments if known else [])
    if known and known.profile:
        os.environ.setdefault(heads.PROFILE, known.profile)
    sys.stdout.flush()
    os.execvp("snakemake", ["snakemake", *arguments])


if __name__ == "__main__":
    answer(main)
