"""DeepSpeed at every ZeRO stage, with one process and with two, learns what plain torch learns, and saves it whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from steering.metrics_log import read_metrics
from steering.train.optimiser import trainable
from tests.train.together import ARMS
from tests.train.toy import go, run_of

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["0", "1", "2", "3"]
TOLERANCE = {"rel": 2e-5, "abs": 2e-5}  # float32; only the order of sums differs
BY_STAGE = pytest.mark.parametrize("stage", STAGES, ids="stage {}".format)
BY_ARM = pytest.mark.parametrize("arm", ARMS)


@pytest.fixture(scope="module", params=[1, 2], ids=["1 process", "2 processes"])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that so many processes have left, at all stages."""
    folder = tmp_path_factory.mktemp("together")
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={request.param}"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "tests.train.together", str(folder), *STAGES],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Losses and weights of the same runs in plain torch."""
    found = {}
    for name, settings in ARMS.items():
        folder = tmp_path_factory.mktemp(name)
        run = run_of(settings, folder)
        go(run, folder)
        found[name] = (losses(folder), {n: p.detach() for n, p in trainable(run.engine.model).items()})
    return found


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl")]


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[n], other[n], atol=1e-4) for n in one)


@BY_STAGE
@BY_ARM
def test_losses_and_weights_are_plain_torchs(arm: str, stage: str, together: Path, plain: dict) -> None:
    folder = together / f"stage{stage}" / arm
    assert losses(folder) == pytest.approx(plain[arm][0], **TOLERANCE)
    assert close(load_file(folder / "weights.safetensors"), plain[arm][1])


@BY_STAGE
@BY_ARM
def test_what_is_saved_is_the_adapter_in_full_and_nothing_else(
    arm: str, stage: str, together: Path, plain: dict
) -> None:
    saved = load_file(together / f"stage{stage}" / arm / "adapter" / "adapter_model.safetensors")
    trained = {name: p for name, p in plain[arm][1].items() if not name.startswith("connector.")}
    assert len(saved) == len(trained)
    assert sorted(tuple(t.shape) for t in saved.values()) == sorted(tuple(t.shape) for t in trained.values())
    assert all(tensor.abs().sum() > 0 for name, tensor in saved.items() if "lora_B" not in name)


@BY_STAGE
def test_a_resumed_run_ends_as_if_it_had_not_stopped(stage: str, together: Path) -> None:
    whole, resumed = (together / f"stage{stage}" / name for name in ("mores", "resumed"))
    assert losses(resumed) == losses(whole)
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@BY_STAGE
def test_a_checkpoint_of_any_stage_and_number_of_processes_goes_on_in_plain_torch(
    stage: str, together: Path, plain: dict, tmp_path: Path
) -> None:
    source = together / f"stage{stage}" / "mores"
    shutil.copytree(source / "checkpoints" / "step-00000003", tmp_path / "checkpoints" / "step-00000003")
    shutil.copy(source / "metrics.jsonl", tmp_path)
    run = run_of(ARMS["mores"], tmp_path)
    assert go(run, tmp_path) == 3
    assert losses(tmp_path) == pytest.approx(plain["mores"][0], **TOLERANCE)
    assert close({n: p.detach() for n, p in trainable(run.engine.model).items()}, plain["mores"][1])
