"""Several processes for one job: the stage starts itself again once a process, by torch's own launcher.

The first process started (the parent) only waits; its children find their number in the environment, as under
torchrun or srun, which may start a stage's processes as well. Where they are on several nodes, the stage starts itself
on each of them first (`steering.train.nodes`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from steering.errors import SteeringError
from steering.interrupts import EXIT_CODE, SIGNALS, Interrupted
from steering.train.nodes import ALONE, PATIENCE_SECONDS, meeting, on_node, started_on_nodes

CHILD = "STEERING_CHILD"


class ProcessesFailed(SteeringError):
    """A process of the job ended with a fault, which it has told itself."""

    def __init__(self, text: str, exit_code: int):
        super().__init__(text)
        self.exit_code = exit_code


def in_processes(engine: Mapping[str, Any], work: Callable[[], None]) -> None:
    """Do *work* in as many processes as *engine* asks for: here, where that is one or they are already there."""
    count, nodes = int(engine.get("processes", 1)), int(engine.get("nodes", 1))
    if count > 1 and "RANK" not in os.environ:
        if nodes > 1 and not on_node():
            _start_on_nodes(nodes)
        else:
            _start(count // nodes, nodes)
        return
    work()
    if "RANK" in os.environ:
        _part()


def _part() -> None:
    """Leave together; a child ends here and now, for ZeRO-3 sometimes aborts when the interpreter takes it down."""
    from steering.train.processes import part

    part()
    if CHILD in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def delivers() -> bool:
    """Whether this process hands out the job's results: one of them all."""
    return CHILD not in os.environ and os.environ.get("RANK", "0") == "0"


def _start_on_nodes(nodes: int) -> None:
    """This stage once more on each node, by srun; there it starts its share of the processes."""
    code = started_on_nodes(nodes, [sys.executable, "-m", _module(), *sys.argv[1:]], {**os.environ, CHILD: "1"})
    if code == EXIT_CODE:
        raise Interrupted(f"the processes on {nodes} nodes have stopped; run again to go on")
    if code:
        raise ProcessesFailed(
            f"a process on one of {nodes} nodes ended with code {code}; its own words are above", code
        )


def _start(count: int, nodes: int) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)) // count)
    before = os.environ.get(CHILD)
    os.environ[CHILD] = "1"
    try:
        elastic_launch(_config(count, nodes), sys.executable)("-m", _module(), *sys.argv[1:], "--threads", str(threads))
    except SignalException as signalled:
        raise Interrupted(f"{signalled.sigval.name}: the {count} processes have ended; run again to go on") from None
    except ChildFailedError as failed:
        raise _told(failed) from None
    finally:
        if before is None:
            del os.environ[CHILD]


def _config(count: int, nodes: int) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    where = meeting() if nodes > 1 else ALONE
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=count,
        run_id="steering",
        rdzv_backend="c10d",
        rdzv_endpoint=where.endpoint,
        rdzv_configs={} if where.here is None else {"is_host": where.here},
        local_addr=where.address,
        max_restarts=0,  # a job is tried again by its scheduler, from its checkpoint
        signals_to_handle=",".join(number.name for number in SIGNALS),
        shutdown_timeout=PATIENCE_SECONDS,
    )


def _module() -> str:
    """The module that was started, as -m names it."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None  # stages are started by -m
    return spec.name


def _told(failed: Any) -> SteeringError:
    """One fault for all: a request to end and go on counts only where no process has a fault of its own."""
    codes = sorted({failure.exitcode for failure in failed.failures.values()})
    own = [code for code in codes if code not in (0, EXIT_CODE) and code > 0]
    if not own and EXIT_CODE in codes:
        return Interrupted("the processes have stopped; run again to go on")
    return ProcessesFailed(f"a process ended with code {(own or codes)[0]}; its own words are above", (own or [1])[0])
