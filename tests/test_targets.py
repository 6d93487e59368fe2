"""A name on `snakemake`'s command line that is nearly one of those there are is told beside the one probably meant."""

from __future__ import annotations

import pytest

from steering.targets import slips

KNOWN = ["embedded_table1", "3b_table1", "all_embedded", "tune", "score"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("embeded_table1", "embedded_table1"), ("3b_tabel1", "3b_table1"), ("all_embeded", "all_embedded")],
)
def test_a_slip_is_told_beside_what_was_meant(typed, meant):
    assert list(slips(["-n", typed, "--cores", "2"], KNOWN)) == [f"{typed}: no such target (did you mean {meant}?)"]


@pytest.mark.parametrize("word", ["embedded_table1", "--tune", "results/tune", "tune.csv", "progress", "code", "2"])
def test_names_that_are_known_files_and_options_pass(word):
    assert list(slips([word], KNOWN)) == []
