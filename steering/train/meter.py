"""What a training step did and took: tokens, samples and visual tokens a second, waiting for data, memory, load.

MLflow shows names that begin with system/ as system metrics. They are read here, once a step, since a monitor of
MLflow's own would be a thread of the training that speaks to the server; and they are this process's, not the
machine's, which other jobs share: 200 % are two cores, helpers that prepare data not counted.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence

import psutil
import torch

from steering.data.collate import Batch
from steering.manifest import peak_memory_bytes
from steering.train.processes import Processes

HAS_NVML = importlib.util.find_spec("pynvml") is not None  # without it torch cannot tell a GPU's load
COUNTED = ("supervised_tokens", "tokens", "visual_tokens", "samples", "positions")


class Meter:
    """The clock of one step, from its making to `read`."""

    def __init__(self, device: torch.device):
        self.device = device
        self._began = self._loaded = time.perf_counter()
        self._cpu_began = time.process_time()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def loaded(self) -> None:
        """The step's data is there."""
        self._loaded = time.perf_counter()

    def count(self, batches: Sequence[Batch], processes: Processes) -> dict[str, float]:
        """COUNTED over all processes; a sample is a conversation, positions hold the padding too."""
        own = [_counts(batch) for batch in batches]
        totals = processes.totals([sum(column) for column in zip(*own, strict=True)])
        return dict(zip(COUNTED, totals, strict=True))

    def read(self, counts: dict[str, float]) -> dict[str, float]:
        """The step's line of metrics, but for what was learnt; `time` is its end in seconds since 1970."""
        seconds = time.perf_counter() - self._began
        return {
            "time": time.time(),
            "supervised_tokens": counts["supervised_tokens"],
            "tokens_per_second": counts["tokens"] / seconds,
            "samples_per_second": counts["samples"] / seconds,
            "visual_tokens_per_second": counts["visual_tokens"] / seconds,
            "padding": 1 - counts["tokens"] / counts["positions"],
            "peak_memory_bytes": self._peak(),
            "seconds": seconds,
            "wait_seconds": self._loaded - self._began,
            "system/process_cpu_percent": 100 * (time.process_time() - self._cpu_began) / seconds,
            "system/process_memory_bytes": psutil.Process().memory_info().rss,
            **self._gpu(),
        }

    def _gpu(self) -> dict[str, float]:
        if self.device.type != "cuda":
            return {}
        load = {"system/gpu_percent": torch.cuda.utilization(self.device)} if HAS_NVML else {}
        return {"system/gpu_memory_bytes": torch.cuda.memory_reserved(self.device), **load}

    def _peak(self) -> int:
        """Of this step on a GPU, of the whole process so far on the CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return peak_memory_bytes()


def _counts(batch: Batch) -> tuple[int, int, int, int, int]:
    marks = batch.marks
    supervised, visual = int(marks.answer[:, 1:].sum()), int(marks.visual.sum())
    samples = int(marks.answer.any(1).sum())  # a blank row is no sample
    return supervised, batch.tokens, visual, samples, batch.input_ids.numel()
