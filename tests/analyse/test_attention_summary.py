"""LMAR and the summary of attention records against hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest

from steering.analyse.attention import ModalityAttention, attention_summary, lmar
from steering.errors import DataError

LAYERS = 3


def test_equal_attention_to_every_token_is_lmar_one() -> None:
    counts = {"visual": np.array([6.0, 9.0]), "text": np.array([4.0, 3.0])}
    mass = {name: np.tile(count / 30, (LAYERS, 1)) for name, count in counts.items()}
    np.testing.assert_allclose(lmar(mass, counts), 1)
    np.testing.assert_allclose(lmar(mass | {"text": 2 * mass["text"]}, counts), 0.5)


def record(n: int = 40) -> ModalityAttention:
    chance = np.random.default_rng(0)
    visual = chance.uniform(0.1, 0.5, (LAYERS, n))
    mass = {"visual": visual, "text": 1 - visual, "text_without_sink": 0.3 * (1 - visual)}
    counts = {"visual": np.full(n, 16.0), "text": np.full(n, 31.0), "text_without_sink": np.full(n, 30.0)}
    return ModalityAttention(mass, counts)


def test_the_summary_has_both_estimates_with_and_without_the_sink() -> None:
    attention, summary = record(), attention_summary(record(), seed=0)
    visual, text = attention.mass["visual"] / 16, attention.mass["text"] / 31
    bare = attention.mass["text_without_sink"] / 30
    found = {
        (sink, kind): [layer["value"] for layer in layers]
        for sink, kinds in summary["lmar"].items()
        for kind, layers in kinds.items()
    }
    np.testing.assert_allclose(found["with_sink", "mean_of_ratios"], (visual / text).mean(1))
    np.testing.assert_allclose(found["with_sink", "ratio_of_means"], visual.mean(1) / text.mean(1))
    np.testing.assert_allclose(found["without_sink", "mean_of_ratios"], (visual / bare).mean(1))
    np.testing.assert_allclose(found["without_sink", "ratio_of_means"], visual.mean(1) / bare.mean(1))
    np.testing.assert_allclose([layer["value"] for layer in summary["visual_share"]], attention.mass["visual"].mean(1))
    assert summary["n"] == 40


def test_intervals_hold_their_value_and_follow_the_seed() -> None:
    summary = attention_summary(record(), seed=0)
    for layer in [*summary["visual_share"], *summary["lmar"]["with_sink"]["ratio_of_means"]]:
        assert layer["low"] < layer["value"] < layer["high"]
    assert attention_summary(record(), seed=0) == summary != attention_summary(record(), seed=1)


def test_the_interval_is_about_two_standard_errors() -> None:
    share = attention_summary(record(400), seed=0)["visual_share"][0]
    assert abs((share["high"] - share["low"]) / (3.92 * record(400).mass["visual"][0].std() / 20) - 1) < 0.1


def test_visual_attention_is_the_mean_over_layers_with_the_samples_it_is_made_of() -> None:
    named = [{"id": str(n), "group": str(n // 2)} for n in range(40)]
    attention = record()
    attention.counts["visual"][3] = 0
    summary = attention_summary(attention, seed=0, named=named)
    each = np.delete(attention.mass["visual"].mean(0), 3)
    np.testing.assert_allclose(summary["samples"]["visual_attention"], each)
    np.testing.assert_allclose(summary["visual_attention"]["value"], each.mean())
    assert summary["visual_attention"]["low"] < each.mean() < summary["visual_attention"]["high"]
    assert summary["samples"]["id"] == [str(n) for n in range(40) if n != 3]
    assert summary["samples"]["group"][:4] == ["0", "0", "1", "2"]


def test_the_record_of_each_sample_is_kept_to_five_digits() -> None:
    attention = record()
    attention.counts["visual"][3] = 0
    kept = attention_summary(attention, seed=0)["samples"]
    for modality, mass in attention.mass.items():
        np.testing.assert_allclose(kept["mass"][modality], np.delete(mass, 3, axis=1), rtol=5e-5)
        np.testing.assert_allclose(kept["counts"][modality], np.delete(attention.counts[modality], 3), rtol=5e-5)


def test_samples_without_visual_tokens_are_left_out() -> None:
    attention = record()
    attention.counts["visual"][3] = 0
    attention.counts["text"][4] = np.nan
    summary = attention_summary(attention, seed=0)
    assert summary["n"] == 38 and np.isfinite(summary["lmar"]["with_sink"]["mean_of_ratios"][0]["value"])
    attention.counts["visual"][:] = 0
    with pytest.raises(DataError, match="no sample has queries"):
        attention_summary(attention, seed=0)


def test_batches_join_in_order() -> None:
    joined = ModalityAttention.joined([record(3), record(5)])
    assert joined.mass["visual"].shape == (LAYERS, 8) and joined.counts["text"].shape == (8,)
    assert (joined.mass["visual"][:, 3:] == record(5).mass["visual"]).all()
    with pytest.raises(DataError, match="no samples"):
        ModalityAttention.joined([])
