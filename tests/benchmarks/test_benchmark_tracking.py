"""The benchmark of live tracking, at a tiny size: what is timed, what the record holds, what is printed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.tracking import LIMITS, Contender, Toy, main, rows_of
from steering.manifest import read_json
from steering.metrics_log import read_metrics


@pytest.fixture(scope="module")
def toy():
    return Toy(0.005)


def test_a_toy_step_takes_about_the_time_asked_for():
    toy = Toy(0.05)
    began = time.perf_counter()
    for _ in range(5):
        toy.step()
    assert 0.01 < (time.perf_counter() - began) / 5 < 0.25


def test_every_step_of_a_training_is_in_its_log_before_the_block_ends(toy):
    seen = []

    @contextlib.contextmanager
    def tracking(log: Path) -> Iterator[None]:
        yield
        seen.extend(line["step"] for line in read_metrics(log))

    Contender(toy, 3, tracking).train()
    assert seen == [1, 2, 3]


def test_entering_and_leaving_are_timed_apart_from_the_steps(toy, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("benchmarks.tracking.time", SimpleNamespace(perf_counter=lambda: clock.now))

    @contextlib.contextmanager
    def tracking(_: Path) -> Iterator[None]:
        clock.now += 0.5
        yield
        clock.now += 1

    contender = Contender(toy, 2, tracking)
    assert contender.train() == 0
    assert (contender.ends, contender.runs) == ([1], [1.5])


@pytest.mark.slow
def test_the_record_holds_every_round_and_judges_the_targets(tmp_path, capsys):
    out = tmp_path / "tracking.json"
    main(
        ["--only", "dead", "hanging", "--steps=4", "--step-seconds=0.005", "--repeats=2", "--warmup=1", f"--out={out}"]
    )
    record = read_json(out)
    assert set(record["contenders"]) == {"without", "dead", "hanging"}
    assert all(len(row["raw"][kind]) == 2 for row in record["contenders"].values() for kind in ("step", "end", "run"))
    assert record["contenders"]["without"]["ratios"]["step"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert [target["contender"] for target in record["targets"]] == list(LIMITS)
    assert {target["verdict"] for target in record["targets"]} <= {"met", "missed", "unclear"}
    assert "dead" in capsys.readouterr().out
    assert [row[0] for row in rows_of(record)] == ["tracking", "without", "dead", "hanging"]
