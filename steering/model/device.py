"""What this process computes on."""

from __future__ import annotations

import os

import torch


def device() -> torch.device:
    """The GPU of this process, by its LOCAL_RANK, where there is one and STEERING_DEVICE is not cpu; else the CPU."""
    if torch.cuda.is_available() and os.environ.get("STEERING_DEVICE", "cuda") != "cpu":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")
