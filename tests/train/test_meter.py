"""What a step tells: counts over all its passes, rates against its own clock, the share of padding."""

from __future__ import annotations

import time
from dataclasses import replace

import psutil
import pytest
import torch

from steering.data.collate import collate
from steering.data.templates import Turn
from steering.train.meter import Meter
from steering.train.processes import Processes
from tests.train.toy import conversations

CPU = torch.device("cpu")


def test_counts_are_those_of_all_passes_and_a_blank_row_is_no_sample() -> None:
    samples = conversations()
    blank = replace(samples[0], turns=(Turn((10, 11)),))
    counts = Meter(CPU).count([collate(samples[:3]), collate([samples[11], blank])], Processes())
    assert counts["samples"] == 4
    assert counts["supervised_tokens"] == 4 * 5
    assert counts["visual_tokens"] == 4 * 10
    assert counts["tokens"] == 4 * (2 + 8) + 4 * 10 + 2 + 2 - 0


def test_rates_are_counts_over_the_time_of_the_step() -> None:
    meter = Meter(CPU)
    counts = meter.count([collate(conversations())], Processes())
    told = meter.read(counts)
    assert told["tokens_per_second"] * told["seconds"] == pytest.approx(counts["tokens"])
    assert told["samples_per_second"] * told["seconds"] == pytest.approx(12)
    assert told["visual_tokens_per_second"] * told["seconds"] == pytest.approx(80)
    assert 0 <= told["wait_seconds"] <= told["seconds"]
    assert told["padding"] == pytest.approx(1 - counts["tokens"] / counts["positions"])
    assert told["peak_memory_bytes"] > 1e6
    assert 0 <= time.time() - told["time"] < 60


def test_the_load_is_this_process_s_own() -> None:
    before = time.process_time()
    meter = Meter(CPU)
    counts = meter.count([collate(conversations())], Processes())
    while time.process_time() - before < 0.1:
        pass
    told = meter.read(counts)
    taken = told["system/process_cpu_percent"] / 100 * told["seconds"]
    assert 0.05 < taken <= time.process_time() - before
    assert told["system/process_memory_bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert not [name for name in told if name.startswith("system/gpu")]
