"""Language models: frozen, loaded as they were saved, their norms quicker and the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from steering.arms import LanguageShape, LoraSettings, MoresSettings
from steering.errors import SteeringError
from steering.methods import attach
from steering.methods.full import mark_whole, whole_tensors
from steering.model import language
from steering.model.language import (
    backbone_of,
    build_language_model,
    exact_logits_at,
    held_in,
    load_language_model,
    load_tokenizer,
    logits_at,
    quicken,
)
from steering.model.marks import Marks, board_of

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def norm(dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    module = LlamaRMSNorm(64, eps=1e-5)
    torch.nn.init.normal_(module.weight, mean=1, std=0.2)
    return module.to(dtype)


class Gemma3RMSNorm(nn.RMSNorm):
    """A norm of another formula under a like name."""

    variance_epsilon = 1e-6


def test_a_norm_of_another_name_is_left_alone() -> None:
    module = Gemma3RMSNorm(8)
    assert "forward" not in vars(quicken(torch.nn.Sequential(module))[0])


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 2**-22), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_quickened_norm_is_the_same_within_rounding(dtype: torch.dtype, rounding: float, scale: float) -> None:
    states = (scale * torch.randn(3, 7, 64, generator=torch.Generator().manual_seed(1))).to(dtype)
    module = norm(dtype)
    expected = module(states)
    quick = quicken(torch.nn.Sequential(module))(states)
    assert (quick.dtype, quick.shape) == (expected.dtype, expected.shape)
    assert torch.allclose(quick.float(), expected.float(), rtol=rounding, atol=1e-30)


def test_a_quickened_norm_passes_the_same_gradient() -> None:
    states = [torch.randn(3, 64, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]
    (norm(torch.float32)(states[0]) ** 3).sum().backward()
    (quicken(torch.nn.Sequential(norm(torch.float32)))(states[1]) ** 3).sum().backward()
    assert torch.allclose(states[0].grad, states[1].grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "phi"])
def test_a_quickened_model_gives_the_same_logits(family: str, make_language_model: Callable) -> None:
    expected = make_language_model(family)(IDS).logits
    assert torch.allclose(quicken(make_language_model(family))(IDS).logits, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "phi"])
def test_a_loaded_model_is_frozen_and_says_the_same(
    family: str, dtype: str, make_language_model: Callable, tmp_path
) -> None:
    saved = make_language_model(family)
    saved.save_pretrained(tmp_path)
    loaded = load_language_model(tmp_path, dtype=dtype)
    assert loaded.dtype == held_in(dtype)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    expected = saved.to(loaded.dtype)(IDS).logits.float()
    assert torch.allclose(loaded(IDS).logits.float(), expected, atol=1e-5 if dtype == "float32" else 0.15)


@pytest.mark.parametrize(("fast", "held"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_weights_are_held_in_float32_where_the_processor_has_no_product_of_them(
    fast: bool, held: torch.dtype, make_language_model: Callable, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(language, "multiplies_bfloat16", lambda: fast)
    saved = make_language_model("llama")
    saved.save_pretrained(tmp_path)
    loaded = load_language_model(tmp_path, dtype="bfloat16")
    assert loaded.dtype == held
    rounded = {name: weight.bfloat16().float() for name, weight in saved.named_parameters()}
    assert all(torch.equal(weight.float(), rounded[name]) for name, weight in loaded.named_parameters())
    mark_whole(loaded)
    assert {tensor.dtype for tensor in whole_tensors(loaded).values()} == {torch.bfloat16}
    assert load_language_model(tmp_path, dtype="float32").dtype == torch.float32


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False, "cpu_name": "AMD EPYC"}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False, "cpu_name": "Intel Xeon"}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, True),
        ({"architecture": "aarch64"}, "as oneDNN says"),
    ],
)
def test_x86_has_a_bfloat16_product_where_a_fast_instruction_is(found: dict, expected: bool | str, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    elsewhere = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    assert language.multiplies_bfloat16() is (elsewhere if isinstance(expected, str) else expected)


def test_training_mode_switches_on_no_dropout_of_the_base(make_language_model: Callable) -> None:
    dropouts = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attention_dropout": 0.5}
    model = make_language_model("phi", **dropouts)
    expected = model(IDS).logits
    assert torch.equal(model.train()(IDS).logits, expected)


def test_a_saved_tokenizer_is_loaded(tokenizer: Any, tmp_path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path)("a b")["input_ids"] == tokenizer("a b")["input_ids"]


def test_a_model_on_meta_has_sizes_and_no_weights() -> None:
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 2, "vocab_size": 32000}
    model = build_language_model(config, device="meta")
    shape = LanguageShape.of(model.config)
    assert (shape.family, shape.hidden, shape.layers, shape.vocabulary) == ("llama", 4096, 2, 32000)
    assert (shape.heads, shape.kv_heads) == (32, 32)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(("family", "kv_heads"), [("llama", 2), ("phi", 2)])
def test_the_shape_is_the_configs(family: str, kv_heads: int, make_language_model: Callable) -> None:
    shape = LanguageShape.of(make_language_model(family).config)
    assert shape.model_dump(exclude={"head_dim", "tied", "qkv_bias"}) == {
        "family": family,
        "hidden": 32,
        "layers": 2,
        "ffn": 48,
        "heads": 4,
        "kv_heads": kv_heads,
        "vocabulary": 264,
    }


def test_logits_at_chosen_positions_are_float32_and_those_of_the_model(make_language_model: Callable) -> None:
    model = make_language_model().to(torch.bfloat16)
    hidden = backbone_of(model)(IDS).last_hidden_state
    chosen = logits_at(model, hidden[:, [1, 3]].flatten(0, 1))
    assert chosen.dtype == torch.float32
    assert torch.equal(chosen, model(IDS).logits[0, [1, 3]].float())


@pytest.mark.parametrize("family", ["llama", "phi", "gemma2"])
def test_exact_logits_are_those_of_the_model_in_float32(
    family: str, make_language_model: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "HEAD_ROWS", 100)  # of a vocabulary of 264
    model = make_language_model(family)
    head = model.get_output_embeddings().to(torch.bfloat16)
    if head.bias is not None:
        torch.nn.init.normal_(head.bias)
    states = torch.randn(2, 3, 32, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        chosen = exact_logits_at(model, states)
    head.float()
    assert chosen.dtype == torch.float32
    torch.testing.assert_close(chosen, logits_at(model, states.float()), rtol=0, atol=1e-5)


def test_words_that_tie_in_bfloat16_are_told_apart_by_exact_logits(make_language_model: Callable) -> None:
    model = make_language_model().to(torch.bfloat16)
    weight = model.get_output_embeddings().weight
    with torch.no_grad():
        weight.zero_()
        weight[7, :2] = torch.tensor([16.0, 0.0])
        weight[9, :2] = torch.tensor([16.0, 0.03125])  # 16.03 is 16 in bfloat16, where the next number is 16.125
    states = torch.zeros(1, 32, dtype=torch.bfloat16)
    states[0, :2] = 1
    assert logits_at(model, states)[0, [7, 9]].tolist() == [16, 16]
    assert logits_at(model, states).argmax().item() == 7
    assert exact_logits_at(model, states)[0, [7, 9]].tolist() == [16, 16.03125]


def test_the_backbone_is_found_beneath_an_adapter(make_language_model: Callable) -> None:
    model = make_language_model()
    backbone = model.model
    assert backbone_of(model) is backbone
    assert backbone_of(attach(model, LoraSettings(rank=2), seed=0)) is backbone


@pytest.fixture
def saved(make_language_model: Callable, tmp_path: Path) -> Path:
    """A tiny Llama whose linears' widths are whole blocks of 64 weights."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
    make_language_model("llama", **sizes).save_pretrained(tmp_path)
    return tmp_path


def test_four_bits_need_a_gpu_and_bitsandbytes(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / "model.safetensors").write_bytes(b"never read")
    here = {
        "a CUDA GPU": "torch.cuda.is_available",
        "bitsandbytes": "steering.model.language.is_bitsandbytes_available",
    }
    for lacking in here:
        for name, place in here.items():
            monkeypatch.setattr(place, lambda name=name, lacking=lacking: name != lacking)
        with pytest.raises(SteeringError, match=f"quantise: 4bit: this machine lacks {lacking}") as refused:
            load_language_model(saved, dtype="bfloat16", quantise="4bit")
        assert " and " not in str(refused.value) and "leave quantise out" in str(refused.value)


def test_other_bits_are_refused_with_those_allowed(saved: Path) -> None:
    with pytest.raises(SteeringError, match="quantise: 8bit is unknown; allowed 4bit, or left out"):
        load_language_model(saved, dtype="bfloat16", quantise="8bit")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("arm", [LoraSettings(rank=2, alpha=4), MoresSettings(token_ratio=1.0)])
def test_a_base_of_four_bits_is_adapted_and_trained(arm: Any, saved: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = load_language_model(saved, dtype="bfloat16", quantise="4bit")
    ids, whole = IDS.to(base.device), load_language_model(saved, dtype="bfloat16").to(base.device)
    linears = [part for part in base.modules() if isinstance(part, nn.Linear)]
    assert sum(part.weight.dtype == torch.uint8 for part in linears) == len(linears) - 1  # the LM head stays whole
    near = torch.nn.functional.cosine_similarity(base(ids).logits.float(), whole(ids).logits.float(), dim=-1)
    assert near.min() > 0.8
    frozen = [(weight, weight.clone()) for weight in base.parameters()]
    model = attach(base, arm, seed=0).to(base.device)
    own = [weight for weight in model.parameters() if weight.requires_grad]
    nowhere = torch.zeros_like(ids, dtype=torch.bool)
    with board_of(model.get_base_model()).show(Marks(torch.ones_like(ids), nowhere, nowhere, torch.zeros_like(ids))):
        model(input_ids=ids).logits.float().square().mean().backward()
    assert all(weight.grad.isfinite().all() for weight in own)
    assert any(weight.grad.abs().max() > 0 for weight in own)
    torch.optim.SGD(own, lr=0.1).step()
    assert all(torch.equal(weight, before) for weight, before in frozen)
