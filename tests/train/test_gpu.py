"""On a GPU a run learns what it learns on the CPU, in plain torch and at every ZeRO stage, and resumes there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steering.arms import MoresSettings
from steering.metrics_log import read_metrics
from steering.train.processes import Processes, join
from tests.train.toy import go, run_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
SETTINGS = MoresSettings(rank=2)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl")]


@pytest.fixture
def on_cpu(tmp_path: Path) -> list[float]:
    go(run_of(SETTINGS, tmp_path / "cpu"), tmp_path / "cpu")
    return losses(tmp_path / "cpu")


@pytest.mark.parametrize("stage", [None, 0, 1, 2, 3], ids="stage {}".format)
def test_losses_are_the_cpus(stage: int | None, on_cpu: list[float], tmp_path: Path) -> None:
    processes = Processes(device=torch.device("cuda", 0)) if stage is None else join(grouped=True)
    run = run_of(SETTINGS, tmp_path / "gpu", processes=processes, stage=stage, micro_batch=1)
    go(run, tmp_path / "gpu")
    run.engine.close()
    assert losses(tmp_path / "gpu") == pytest.approx(on_cpu, rel=1e-3)


def test_a_run_begun_on_the_cpu_goes_on_here(on_cpu: list[float], tmp_path: Path) -> None:
    half = run_of(SETTINGS, tmp_path / "half")
    object.__setattr__(half, "steps", 3)
    go(half, tmp_path / "half")
    run = run_of(SETTINGS, tmp_path / "half", processes=Processes(device=torch.device("cuda", 0)))
    assert go(run, tmp_path / "half") == 3
    assert losses(tmp_path / "half") == pytest.approx(on_cpu, rel=1e-3)
    assert read_metrics(tmp_path / "half" / "metrics.jsonl")[-1]["peak_memory_bytes"] < 1e9
