"""What live tracking costs a training: `python -m benchmarks.tracking`.

One toy training (real work in torch, a line of metrics.jsonl a step) without tracking and beside three servers:
dead:    nobody listens at the address;
hanging: connections are accepted and never answered;
live:    a real `mlflow server` over sqlite on this machine, which it then shares with the training (unlike a
         server elsewhere), so its figure holds the server's own work too.

step: seconds of a step over those without tracking.
end:  seconds that leaving the block took; bounded, whatever the length of a training.
run:  seconds of all, entering and leaving included, over those without tracking; falls towards `step` in a longer run.

Ratios within one run; intervals are 95 %. See benchmarks.measure for how they are made.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.command import command, one_of
from benchmarks.measure import circumstances, interleaved, ratio
from benchmarks.methods import table, verdict
from steering.errors import SteeringError
from steering.manifest import write_json
from steering.metrics_log import MetricsLog
from steering.tracking import initialise
from steering.tracking.live import EVERY_SECONDS, following

BASE = "without"
LIMITS = {"dead": 1.01}
START_SECONDS = 90

Tracking = Callable[[Path], AbstractContextManager[object]]


class Toy:
    """A network whose training step takes about *step_seconds* here: many small kernels, as a layer of an LLM has."""

    def __init__(self, step_seconds: float, *, width: int = 256, layers: int = 8):
        torch.manual_seed(0)
        blocks = [torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU()) for _ in range(layers)]
        self.model = torch.nn.Sequential(*blocks)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.batch = torch.randn(256, width)
        self.passes = 1
        for _ in range(3):
            self.step()
        began = time.perf_counter()
        for _ in range(5):
            self.step()
        self.passes = max(1, round(step_seconds / ((time.perf_counter() - began) / 5)))

    def step(self) -> float:
        for _ in range(self.passes):
            loss = self.model(self.batch).square().mean()
            loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())


@dataclass
class Contender:
    """One way of tracking; training once under it gives seconds a step, and notes those of the end and of all."""

    toy: Toy
    steps: int
    tracking: Tracking
    ends: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)

    def train(self) -> float:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "metrics.jsonl"
            began = time.perf_counter()
            with self.tracking(log):
                stepping = time.perf_counter()
                self._steps(log)
                stepped = time.perf_counter()
            ended = time.perf_counter()
        self.ends.append(ended - stepped)
        self.runs.append(ended - began)
        return (stepped - stepping) / self.steps

    def _steps(self, path: Path) -> None:
        with MetricsLog(path) as log:
            for step in range(1, self.steps + 1):
                began = time.perf_counter()
                loss = self.toy.step()
                seconds = time.perf_counter() - began
                log.log(step, loss=loss, gradient_norm=loss, learning_rate=1e-4, seconds=seconds, wait_seconds=0.0)


def measure(
    names: Sequence[str], *, steps: int, step_seconds: float, repeats: int, warmup: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run of these ways of tracking beside none."""
    settings = {"steps": steps, "step_seconds": step_seconds, "every_seconds": EVERY_SECONDS}
    told = circumstances(torch.device("cpu"), **settings, repeats=repeats, warmup=warmup, seed=seed)
    toy = Toy(step_seconds)
    with contextlib.ExitStack() as stack:
        ways = {BASE: lambda _: contextlib.nullcontext()} | _ways(stack, names)
        contenders = {name: Contender(toy, steps, way) for name, way in ways.items()}
        works = {name: contender.train for name, contender in contenders.items()}
        stepped = interleaved(works, rounds=repeats, warmup=warmup, seed=seed, what="training")
    rows = {name: _row(contender, stepped, contenders[BASE], name) for name, contender in contenders.items()}
    targets = [_judged(name, limit, stepped) for name, limit in LIMITS.items() if name in stepped]
    return told | {"contenders": rows, "targets": targets}


def _row(contender: Contender, stepped: dict[str, list[float]], base: Contender, name: str) -> dict[str, Any]:
    rounds = len(stepped[name])  # the last ones: those before were warm-up
    raw = {"step": stepped[name], "end": contender.ends[-rounds:], "run": contender.runs[-rounds:]}
    ratios = {"step": ratio(raw["step"], stepped[BASE]), "run": ratio(raw["run"], base.runs[-rounds:])}
    return {
        "raw": raw,
        "ratios": {kind: found.as_dict() for kind, found in ratios.items()},
        "end_seconds": max(raw["end"]),
    }


def _judged(name: str, limit: float, stepped: dict[str, list[float]]) -> dict[str, Any]:
    found = ratio(stepped[name], stepped[BASE])
    told = {"kind": "step", "contender": name, "base": BASE, "limit": limit}
    return told | asdict(found) | {"verdict": verdict(found, limit)}


def _ways(stack: contextlib.ExitStack, names: Sequence[str]) -> dict[str, Tracking]:
    return {name: _child(stack.enter_context(SERVERS[name]())) for name in names}


def _child(uri: str) -> Tracking:
    return lambda log: following(log, _manifest(), uri=uri)


def _manifest() -> dict[str, Any]:
    """Another run each time: what it was trained from is the moment."""
    facts = {"run": "toy/mix/none/seed0", "world": "toy", "arm": "none", "seed": 0, "settings": {"method": "none"}}
    return facts | {"inputs": {"moment": str(time.time_ns())}}


@contextlib.contextmanager
def _nobody() -> Iterator[str]:
    yield _at(_free_port())


@contextlib.contextmanager
def _mute() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield _at(listening.getsockname()[1])


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """The address of a real server over a fresh database. Raises SteeringError where it does not start."""
    with tempfile.TemporaryDirectory() as folder:
        database, port = f"sqlite:///{folder}/mlflow.db", _free_port()
        initialise(database, f"{folder}/artifacts")
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        with subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as started:
            try:
                _await(port)
                yield _at(port)
            finally:
                os.killpg(started.pid, signal.SIGKILL)


def _await(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.2)
    raise SteeringError(f"mlflow server: not there after {START_SECONDS} s; --only dead hanging measures without it")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


SERVERS = {"dead": _nobody, "hanging": _mute, "live": _server}
"""What answers a contender's calls: each gives its address while its block lasts."""


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and one line per contender: the two ratios with their intervals, and the longest end."""
    header = ["tracking", "step / without", "run / without", "longest end, s"]
    return [header] + [
        [name, *(_told(row["ratios"][kind]) for kind in ("step", "run")), f"{row['end_seconds']:.2f}"]
        for name, row in record["contenders"].items()
    ]


def _told(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main(arguments: list[str] | None = None) -> None:
    told = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the server would outlive a benchmark that is ended
    record = measure(
        told.only or list(SERVERS),
        steps=told.steps,
        step_seconds=told.step_seconds,
        repeats=told.repeats,
        warmup=told.warmup,
        seed=told.seed,
    )
    write_json(told.out, record)
    print(table(rows_of(record), markdown=told.markdown), end="\n\n")
    for row in record["targets"]:
        print(f"{row['contender']}: at most {row['limit']}, found {_told(row)}: {row['verdict']}")
    print(f"written: {told.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("tracking", __doc__, repeats=9, repeated="trainings of each contender")
    parser.add_argument("--steps", type=int, default=400, help="of one training; they should last several looks")
    parser.add_argument("--step-seconds", type=float, default=0.05, help="of real work, about")
    parser.add_argument("--warmup", type=int, default=1, help="rounds dropped before")
    parser.add_argument("--only", nargs="+", type=one_of(SERVERS), metavar="NAME", help=f"some of {', '.join(SERVERS)}")
    return parser


if __name__ == "__main__":
    main()
