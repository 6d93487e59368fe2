"""Attention capture of every family against its eager maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from steering.analyse.attention import (
    answer_queries,
    capture,
    modality_attention,
    modality_columns,
)
from steering.arms import LoraSettings, MoresSettings
from steering.errors import DataError
from steering.families import FAMILIES
from steering.methods import attach
from steering.model.marks import Marks, board_of

LAYERS, LENGTH = 3, 18
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "vocab_size": 60,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
SHARED = {"num_key_value_heads": 2}  # two query heads share a key head
PARTICULAR: dict[str, dict[str, Any]] = {
    "phi": {},
    "llama": SHARED,
    "qwen2": SHARED,
    "qwen3": SHARED | {"head_dim": 12},
    "gemma": SHARED | {"head_dim": 12},
    "gemma2": SHARED | {"head_dim": 12, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 0.5},
    "stablelm": SHARED | {"use_qkv_bias": True},
}
EAGER = {"gemma2"}  # has no other attention
every = pytest.mark.parametrize("family", FAMILIES)


def tiny(family: str, implementation: str = "sdpa", **sizes: Any) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, **PARTICULAR[family], **sizes)
    model: Any = AutoModelForCausalLM.from_config(config)
    model.set_attn_implementation("eager" if family in EAGER else implementation)
    return model.requires_grad_(False).eval()


def marks(*, pad: int = 0) -> Marks:
    """Two samples, the second shorter by *pad* (on the left); pictures at 2-7, answers at the last four places."""
    places = torch.arange(LENGTH).repeat(2, 1)
    present = torch.stack([places[0] >= 0, places[1] >= pad])
    visual, answer = (places >= 2) & (places < 8), places >= LENGTH - 4
    visual[1] &= present[1]
    return Marks(visual.long(), present & ~visual & ~answer, answer, torch.zeros_like(places))


def ids() -> Tensor:
    return torch.randint(1, 60, (2, LENGTH), generator=torch.Generator().manual_seed(1))


def eager(model: Any, inputs: dict[str, Tensor], queries: Tensor, columns: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same from whole attention maps."""
    maps = torch.stack(model(**inputs, output_attentions=True).attentions).mean(2)  # (l, b, t, t)
    rows = queries.float() / queries.sum(1, keepdim=True)
    spread = torch.einsum("bq,lbqk->lbk", rows, maps)
    return {name: (spread * group).sum(-1) for name, group in columns.items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == (LAYERS, 2)
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)


@every
@pytest.mark.parametrize("pad", [0, 5])
def test_masses_equal_eager_maps(family: str, pad: int) -> None:
    placed = marks(pad=pad)
    mask = (placed.prompt | placed.visual | placed.answer).long()
    inputs, queries, columns = (
        {"input_ids": ids(), "attention_mask": mask},
        answer_queries(placed),
        modality_columns(placed),
    )
    found = modality_attention(tiny(family), inputs, queries=queries, columns=columns)
    assert_same(found, eager(tiny(family, "eager"), inputs, queries, columns))
    assert_same({"all": found["visual"] + found["text"]}, {"all": torch.ones(LAYERS, 2)})


@every
@pytest.mark.parametrize("kind", ["additive", "boolean"])
def test_masks_of_four_dimensions_are_honoured(family: str, kind: str) -> None:
    """Two questions share a picture: the second does not see the first."""
    placed = marks()
    visible = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    visible[12:, 8:12] = False
    additive = torch.zeros(2, 1, LENGTH, LENGTH).masked_fill_(~visible, torch.finfo(torch.float32).min)
    queries, columns = answer_queries(placed), modality_columns(placed) | {"first": torch.zeros_like(placed.visual)}
    columns["first"][:, 8:12] = True
    mask = additive if kind == "additive" else visible.expand(2, 1, -1, -1)
    with capture(model := tiny(family), queries=queries, columns=columns) as recorder:
        model(input_ids=ids(), attention_mask=mask)
    expected = eager(tiny(family, "eager"), {"input_ids": ids(), "attention_mask": additive}, queries, columns)
    assert_same(recorder.mass(), expected)
    assert recorder.mass()["first"].abs().max() == 0 and recorder.counts()["first"].tolist() == [0, 0]


@pytest.mark.parametrize("family", ["gemma2", "qwen2", "qwen3"])
def test_a_sliding_window_is_heeded(family: str) -> None:
    window = {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 1}
    placed = marks()
    inputs, queries, columns = {"input_ids": ids()}, answer_queries(placed), modality_columns(placed)
    found = modality_attention(tiny(family, **window), inputs, queries=queries, columns=columns)
    assert_same(found, eager(tiny(family, "eager", **window), inputs, queries, columns))
    assert (found["visual"] == 0).any() and (found["visual"] > 0).any()


def test_padded_query_rows_are_left_out() -> None:
    placed = marks(pad=5)
    mask = (placed.prompt | placed.visual | placed.answer).long()
    inputs, columns = {"input_ids": ids(), "attention_mask": mask}, modality_columns(placed)
    everyone = torch.ones_like(placed.answer)
    found = modality_attention(tiny("llama"), inputs, queries=everyone, columns=columns)
    assert_same(found, eager(tiny("llama", "eager"), inputs, mask.bool(), columns))
    with capture(model := tiny("llama"), queries=everyone, columns=columns) as recorder:
        model(**inputs)
    assert all(value.isfinite().all() for value in recorder.mass().values())


def test_a_sample_without_queries_is_not_a_number() -> None:
    placed = marks()
    queries = answer_queries(placed)
    queries[1] = False
    found = modality_attention(tiny("phi"), {"input_ids": ids()}, queries=queries, columns=modality_columns(placed))
    assert found["visual"][:, 0].isfinite().all() and found["visual"][:, 1].isnan().all()


@every
def test_the_output_of_the_model_is_untouched(family: str) -> None:
    placed, model = marks(), tiny(family)
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, :5] = 0
    for padding in ({}, {"attention_mask": mask}):
        plain = model(input_ids=ids(), **padding).logits
        with capture(model, queries=answer_queries(placed), columns=modality_columns(placed)):
            assert torch.equal(model(input_ids=ids(), **padding).logits, plain)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_attention_implementation_is_restored(implementation: str) -> None:
    placed, model = marks(), tiny("llama", implementation)
    options: dict[str, Any] = {"queries": answer_queries(placed), "columns": modality_columns(placed)}
    modality_attention(model, {"input_ids": ids()}, **options)
    assert model.config._attn_implementation == model.model.config._attn_implementation == implementation
    with pytest.raises(RuntimeError, match="within"), capture(model, **options):
        raise RuntimeError("within")
    assert model.config._attn_implementation == implementation


@every
@pytest.mark.parametrize("arm", [LoraSettings(rank=2, alpha=4), MoresSettings(token_ratio=1.0)])
def test_adapted_models_are_captured(family: str, arm: Any) -> None:
    placed, found = marks(), []
    columns, queries = modality_columns(placed), answer_queries(placed)
    for implementation in ("sdpa", "eager"):
        model = attach(tiny(family, implementation), arm, seed=0)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05)
        with board_of(model.get_base_model()).show(placed):  # type: ignore[operator]
            if implementation == "sdpa":
                found.append(modality_attention(model, {"input_ids": ids()}, queries=queries, columns=columns))
            else:
                found.append(eager(model, {"input_ids": ids()}, queries, columns))
    assert_same(*found)
    plain = modality_attention(tiny(family), {"input_ids": ids()}, queries=queries, columns=columns)
    assert (plain["visual"] - found[0]["visual"]).abs().max() > 1e-4


def test_the_decoder_alone_can_be_captured() -> None:
    placed, model = marks(), tiny("phi")
    options: dict[str, Any] = {"queries": answer_queries(placed), "columns": modality_columns(placed)}
    with capture(model, **options) as recorder:
        model.model(inputs_embeds=model.get_input_embeddings()(ids()), use_cache=True)
    assert_same(recorder.mass(), modality_attention(model, {"input_ids": ids()}, **options))


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor made."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.numel())
        return result


def test_no_map_of_all_rows_is_ever_made() -> None:
    length, model = 600, tiny("phi")
    queries = torch.zeros(1, length, dtype=torch.bool)
    queries[:, -3:] = True
    text = torch.ones(1, length, dtype=torch.long)
    with Largest() as largest:
        modality_attention(model, {"input_ids": text}, queries=queries, columns={"all": queries | True})
    assert largest.elements < length * length


def test_weights_are_float32_where_the_model_runs_by_autocast() -> None:
    placed, model = marks(), tiny("llama")
    with (
        torch.autocast("cpu", torch.bfloat16),
        capture(model, queries=answer_queries(placed), columns=modality_columns(placed)) as recorder,
    ):
        model(input_ids=ids())
    mass = recorder.mass()
    assert mass["visual"].dtype == torch.float32
    assert_same({"all": mass["visual"] + mass["text"]}, {"all": torch.ones(LAYERS, 2)})


def test_samples_a_few_at_a_time_are_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    placed, model = marks(pad=3), tiny("qwen2")
    mask = (placed.prompt | placed.visual | placed.answer).long()
    queries = answer_queries(placed)
    queries[1, 14:] = False  # samples of different numbers of rows
    options: dict[str, Any] = {"queries": queries, "columns": modality_columns(placed)}
    inputs = {"input_ids": ids(), "attention_mask": mask}
    together = modality_attention(model, inputs, **options)
    monkeypatch.setattr("steering.analyse.attention.HELD", 1)
    assert_same(modality_attention(model, inputs, **options), together)
    assert_same(together, eager(tiny("qwen2", "eager"), inputs, queries, options["columns"]))


def test_a_partial_pass_is_refused() -> None:
    placed, model = marks(), tiny("phi")
    with (
        pytest.raises(DataError, match="a pass over 4 positions; allowed one over all 18"),
        capture(model, queries=answer_queries(placed), columns=modality_columns(placed)),
    ):
        model(input_ids=ids()[:, :4])


def test_a_recorder_without_a_pass_says_so() -> None:
    placed = marks()
    with capture(tiny("phi"), queries=answer_queries(placed), columns=modality_columns(placed)) as recorder:
        pass
    with pytest.raises(DataError, match="no forward pass was captured"):
        recorder.mass()


def test_queries_are_the_positions_before_the_answer() -> None:
    assert answer_queries(marks()).nonzero()[:, 1].tolist() == [13, 14, 15, 16] * 2


def test_the_sink_is_the_first_real_token() -> None:
    columns = modality_columns(marks(pad=1))
    sink = columns["text"] & ~columns["text_without_sink"]
    assert sink.nonzero().tolist() == [[0, 0], [1, 1]]


def test_counts_are_the_columns_a_query_row_sees() -> None:
    placed, model = marks(pad=1), tiny("llama")
    mask = (placed.prompt | placed.visual | placed.answer).long()
    with capture(model, queries=answer_queries(placed), columns=modality_columns(placed)) as recorder:
        model(input_ids=ids(), attention_mask=mask)
    counts = recorder.counts()  # rows 13..16 see 14..17 columns, six of them visual
    assert counts["visual"].tolist() == [6, 6] and counts["text"].tolist() == [9.5, 8.5]
    assert counts["text_without_sink"].tolist() == [8.5, 7.5]
