"""What every method promises, run over every method and both families of language model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from steering.arms import LanguageShape, LoraSettings, MoresSettings, NoneSettings, VisionShape
from steering.errors import ParamsError
from steering.methods import METHODS, attach
from steering.methods.adapters import save_adapter

ARMS: dict[str, Any] = {
    "none": NoneSettings(),
    "lora": LoraSettings(rank=4, alpha=8, dropout=0.0),
    "lora_named": LoraSettings(rank=2, alpha=8, dropout=0.0, targets=["q_proj", "v_proj"]),
    "mores": MoresSettings(),
    "mores_rank_3": MoresSettings(rank=3, token_ratio=0.5, layers="every_2nd"),
    "mores_input": MoresSettings(rank=2, token_ratio=1.0, placement="input", layers=[1, 3]),
}
FAMILIES = ("llama", "phi")
VISION = VisionShape(tokens=576, width=1024)
TUNED = [name for name in ARMS if name != "none"]
both = pytest.mark.parametrize("family", FAMILIES)
every = pytest.mark.parametrize("arm", ARMS)
tuned = pytest.mark.parametrize("arm", TUNED)

PHI_2 = {"model_type": "phi", "hidden_size": 2560, "num_hidden_layers": 32, "intermediate_size": 10240}
PHI_2 |= {"vocab_size": 51200, "num_attention_heads": 32}
VICUNA_7B = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008}
VICUNA_7B |= {"vocab_size": 32000, "num_attention_heads": 32}
VICUNA_13B = {"model_type": "llama", "hidden_size": 5120, "num_hidden_layers": 40, "intermediate_size": 13824}
VICUNA_13B |= {"vocab_size": 32000, "num_attention_heads": 40}
COUNTS = [
    (PHI_2, NoneSettings(), 0),
    (PHI_2, LoraSettings(), 188_743_680),
    (VICUNA_7B, LoraSettings(), 319_815_680),
    (VICUNA_13B, LoraSettings(), 500_695_040),
    (PHI_2, MoresSettings(), 163_872),
    (PHI_2, MoresSettings(rank=2), 327_744),
    (PHI_2, MoresSettings(rank=4), 655_488),
    (PHI_2, MoresSettings(rank=8), 1_310_976),
    (VICUNA_7B, MoresSettings(), 262_176),
    (VICUNA_13B, MoresSettings(), 409_640),
]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_every_method_of_the_registry_is_tested() -> None:
    assert {arm.method for arm in ARMS.values()} == set(METHODS)


@both
@every
def test_only_its_own_parameters_are_trained(arm: str, family: str, tiny: Callable, text: Callable, rows: list) -> None:
    model = attach(tiny(family), ARMS[arm], seed=0)
    own = trainable(model)
    assert all("lora_" in name or "mores_" in name for name in own)
    assert all(parameter.dtype == torch.float32 for parameter in own.values())
    if own:
        text(rows).loss(model).backward()
    assert set(gradients(model)) == set(own)


@both
@tuned
def test_frozen_tensors_stay_bit_identical_after_a_step(
    arm: str, family: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny(family), ARMS[arm], seed=0))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(trainable(model).values(), lr=0.1)
    text(rows).loss(model).backward()
    optimiser.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and moved <= set(trainable(model))


@pytest.mark.parametrize(("sizes", "arm", "count"), COUNTS)
def test_counts_are_the_closed_form_at_full_size(sizes: dict[str, Any], arm: Any, count: int) -> None:
    config = AutoConfig.for_model(**sizes)
    with torch.device("meta"):
        model = attach(AutoModelForCausalLM.from_config(config), arm, seed=0)
    shape = LanguageShape.of(config)
    assert sum(parameter.numel() for parameter in trainable(model).values()) == arm.trainable(shape, VISION) == count


@both
@tuned
def test_small_counts_are_the_closed_form(arm: str, family: str, tiny: Callable) -> None:
    model = attach(tiny(family), ARMS[arm], seed=0)
    shape = LanguageShape.of(model.config)
    assert sum(parameter.numel() for parameter in trainable(model).values()) == ARMS[arm].trainable(shape, VISION)


@tuned
def test_the_start_follows_from_the_seed_alone(arm: str, tiny: Callable) -> None:
    def start(seed: int) -> torch.Tensor:
        return torch.cat([value.flatten() for value in trainable(attach(tiny("llama"), ARMS[arm], seed=seed)).values()])

    torch.manual_seed(7)
    first = start(3)
    following = torch.rand(3)
    torch.manual_seed(8)
    assert torch.equal(start(3), first) and not torch.equal(start(4), first)
    torch.manual_seed(0)  # tiny() seeds with 0, and attaching draws nothing from that generator
    tiny("llama")
    assert torch.equal(torch.rand(3), following)


@both
@tuned
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_equal_with_and_without_checkpointing(
    arm: str, family: str, reentrant: bool, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    found = []
    for checkpointed in (False, True):
        model = stir(attach(tiny(family), ARMS[arm], seed=0)).train()
        model.enable_input_require_grads()
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        text(rows).loss(model).backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys() == trainable(model).keys()
    assert any(value.abs().max() > 0 for value in found[1].values())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-5, atol=1e-7)


@both
@every
def test_a_bfloat16_backbone_keeps_float32_trainables(
    arm: str, family: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny(family, torch.bfloat16), ARMS[arm], seed=0))
    logits = text(rows).logits(model)
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()
    assert all(parameter.dtype == torch.float32 for parameter in trainable(model).values())
    if trainable(model):
        text(rows).loss(model).backward()
        assert all(value.isfinite().all() for value in gradients(model).values())


@both
@every
def test_padding_sides_and_batching_agree(
    arm: str, family: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny(family), ARMS[arm], seed=0))
    with torch.no_grad():
        right, left = text(rows).logits(model), text(rows, side="left").logits(model)
        for place, row in enumerate(rows):
            single = text([row]).logits(model)[0]
            torch.testing.assert_close(right[place, : len(row)], single, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(left[place, -len(row) :], single, rtol=1e-4, atol=1e-5)


@both
@every
def test_cached_and_uncached_agree(
    arm: str, family: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny(family), ARMS[arm], seed=0))
    whole, prompt = text([rows[0]]), text([rows[0][:-2]])
    with torch.no_grad():
        expected = whole.logits(model, use_cache=False)
        prefill = prompt.forward(model, use_cache=True)
        rest = model(input_ids=whole.ids[:, -2:], past_key_values=prefill.past_key_values).logits
    torch.testing.assert_close(torch.cat([prefill.logits, rest], 1), expected, rtol=1e-4, atol=1e-5)


@every
def test_generation_is_the_same_with_and_without_cache(
    arm: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    model = stir(attach(tiny("llama"), ARMS[arm], seed=0))
    model.config.image_token_id = 99
    batch = text(rows, side="left")
    options = {"input_ids": batch.ids, "attention_mask": batch.mask, "do_sample": False, "max_new_tokens": 6}
    cached, uncached = (model.generate(**options, use_cache=use) for use in (True, False))
    assert torch.equal(cached, uncached) and cached.shape[1] > batch.ids.shape[1]


@every
def test_generation_from_embeddings_works(arm: str, tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    model = stir(attach(tiny("llama"), ARMS[arm], seed=0))
    batch = text(rows, side="left")
    embeddings = model.get_input_embeddings()(batch.ids)
    answers = model.generate(inputs_embeds=embeddings, attention_mask=batch.mask, do_sample=False, max_new_tokens=4)
    assert answers.shape == (3, 4)


FRESH = """
import json, sys
import torch
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import ROWS, text, tiny
from steering.methods.adapters import load_adapter
folder = Path({folder!r})
logits = {{}}
for path in sorted(folder.iterdir()):
    if path.is_dir():
        model = load_adapter(tiny(path.name.split("-")[1]), path, base_hash="abc")
        assert not any(parameter.requires_grad for parameter in model.parameters())
        with torch.no_grad():
            logits[path.name] = text(ROWS).logits(model)
torch.save(logits, folder / "logits.pt")
"""


def test_a_fresh_process_gives_the_saved_logits(
    tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    expected = {}
    for arm in ARMS:
        for family in FAMILIES:
            model = stir(attach(tiny(family), ARMS[arm], seed=0)).eval()
            save_adapter(model, tmp_path / f"{arm}-{family}", base_hash="abc")
            with torch.no_grad():
                expected[f"{arm}-{family}"] = text(rows).logits(model)
    program = FRESH.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", program], check=True)
    found = torch.load(tmp_path / "logits.pt")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len({json.dumps(expected[name].tolist()) for name in expected}) == len(expected)


def test_an_unknown_method_is_refused(tiny: Callable) -> None:
    settings = MoresSettings().model_copy(update={"method": "mors"})
    with pytest.raises(ParamsError, match="method: mors is unknown; allowed none, lora, mores .did you mean mores"):
        attach(tiny("llama"), settings, seed=0)
