"""The papers' printed numbers are read, never typed."""

from __future__ import annotations

from pathlib import Path

from steering.analyse import paper


def test_numbers_stand_by_arm():
    assert paper.printed("A4", "inference_overhead_seconds_per_sample") == {"mores": 0.08, "adapter": 0.3, "oft": 2.8}


def test_what_no_table_has_is_empty():
    assert paper.printed("A4", "nothing") == {}


def test_without_the_file_there_is_nothing_to_stand_beside(monkeypatch):
    monkeypatch.setattr(paper, "RESULTS", Path("gone.csv"))
    assert paper.printed("A4", "inference_overhead_seconds_per_sample") == {}
