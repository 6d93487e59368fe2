"""What a process of tests/train/test_zero.py does: the same small runs at each ZeRO stage, all in one start.

torchrun ... -m tests.train.together FOLDER STAGE...

At stage 3 even the smallest parameters are partitioned, which DeepSpeed would else leave whole.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from steering.arms import LoraSettings, MoresSettings
from steering.methods.adapters import save_adapter
from steering.train import zero
from steering.train.optimiser import trainable
from steering.train.processes import Processes, join, part
from tests.train.toy import go, run_of

ARMS: dict[str, Any] = {"mores": MoresSettings(rank=2), "lora": LoraSettings(rank=2, alpha=4, dropout=0.0)}


def main(folder: Path, stages: list[int]) -> None:
    processes = join(grouped=True)
    usual = zero._config
    zero._config = lambda *told: _partitioning_all(usual(*told))  # type: ignore[assignment]
    for stage in stages:
        for name, settings in ARMS.items():
            _whole(folder / f"stage{stage}" / name, settings, stage, processes)
        _resumed(folder / f"stage{stage}" / "resumed", stage, processes)
    part()


def _partitioning_all(config: dict[str, Any]) -> dict[str, Any]:
    config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return config


def _whole(folder: Path, settings: Any, stage: int, processes: Processes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run = run_of(settings, folder, processes=processes, stage=stage, micro_batch=1)
    go(run, folder)
    run.engine.close()
    if processes.first:
        _save(run, folder)
    processes.wait()


def _save(run: Any, folder: Path) -> None:
    model = run.engine.model
    save_adapter(model.language_model, folder / "adapter", base_hash="base")
    save_file({name: p.detach().contiguous() for name, p in trainable(model).items()}, folder / "weights.safetensors")


def _resumed(folder: Path, stage: int, processes: Processes) -> None:
    """The first half here, then another process would: a new engine goes on from the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    half = run_of(ARMS["mores"], folder, processes=processes, stage=stage, micro_batch=1)
    object.__setattr__(half, "steps", 3)
    go(half, folder)
    half.engine.close()
    _whole(folder, ARMS["mores"], stage, processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(stage) for stage in sys.argv[2:]])
    sys.stdout.flush()
    os._exit(0)  # ZeRO-3 sometimes aborts when the interpreter takes it down
