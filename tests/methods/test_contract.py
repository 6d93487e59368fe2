"""What every method promises, run over every method and three families of language model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from contract import (
    ARMS,
    DRAWN,
    FAMILIES,
    IN_PEFT,
    MERGEABLE,
    TALKS,
    TUNED,
    VISION,
    base_of,
    conversation,
    gradients,
    language_model,
    loss,
    mixed,
    shown,
    trainable,
)
from peft import PeftModel

from steering.arms import LanguageShape, MoresSettings
from steering.errors import ParamsError, SteeringError
from steering.methods import METHODS, attach
from steering.methods.adapters import load_adapter, save_adapter

OWN = ("lora_", "adapter_", "oft_", "ia3_", "steering_")
families = pytest.mark.parametrize("family", FAMILIES)
every = pytest.mark.parametrize("arm", ARMS)
tuned = pytest.mark.parametrize("arm", TUNED)
in_peft = pytest.mark.parametrize("arm", IN_PEFT)


def tuned_model(arm: str, family: str, stir: Callable, dtype: torch.dtype = torch.float32) -> Any:
    """The model of *arm* away from its start."""
    return stir(attach(language_model(family, dtype), ARMS[arm], seed=0))


def test_every_method_of_the_registry_is_tested() -> None:
    assert {arm.method for arm in ARMS.values()} == set(METHODS)


@families
@every
def test_only_its_own_parameters_get_gradients_and_only_the_dead_ones_get_zero(
    arm: str, family: str, stir: Callable
) -> None:
    model = tuned_model(arm, family, stir)
    own = trainable(model)
    assert arm == "full" or all(any(prefix in name for prefix in OWN) for name in own)
    assert all(parameter.dtype == torch.float32 for parameter in own.values())
    if own:
        loss(model, conversation()).backward()
    found = gradients(model)
    assert set(found) == set(own)
    zero = sum(value.numel() for value in found.values() if value.abs().max() == 0)
    assert zero == ARMS[arm].dead(LanguageShape.of(model.config), VISION)


@families
@tuned
def test_frozen_tensors_stay_bit_identical_after_a_step(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(trainable(model).values(), lr=0.1)
    loss(model, conversation()).backward()
    optimiser.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and moved - {"lm_head.weight"} <= set(trainable(model))  # tied, it is the embedding by another name


@tuned
def test_the_start_follows_from_the_seed_alone(arm: str) -> None:
    def start(seed: int) -> torch.Tensor:
        model = attach(language_model("llama"), ARMS[arm], seed=seed)
        return torch.cat([value.flatten() for value in trainable(model).values()])

    torch.manual_seed(7)
    first = start(3)
    torch.manual_seed(8)
    assert torch.equal(start(3), first)
    assert torch.equal(start(4), first) == (arm not in DRAWN)
    model = language_model("llama")  # seeds with 0; attaching draws nothing from that generator
    expected = torch.get_rng_state()
    attach(model, ARMS[arm], seed=5)
    assert torch.equal(torch.get_rng_state(), expected)


@families
@tuned
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_equal_with_and_without_checkpointing(
    arm: str, family: str, reentrant: bool, stir: Callable
) -> None:
    found = []
    for checkpointed in (False, True):
        model = tuned_model(arm, family, stir).train()
        model.enable_input_require_grads()
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        loss(model, conversation()).backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys() == trainable(model).keys()
    assert any(value.abs().max() > 0 for value in found[1].values())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-5, atol=1e-7)


@families
@every
def test_a_bfloat16_backbone_keeps_float32_trainables(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir, torch.bfloat16)
    with mixed(arm):
        logits = conversation().logits(model)
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()
    assert all(parameter.dtype == torch.float32 for parameter in trainable(model).values())
    if trainable(model):
        with mixed(arm):
            loss(model, conversation()).backward()
        assert gradients(model).keys() == trainable(model).keys()
        assert all(value.isfinite().all() for value in gradients(model).values())


@families
@every
def test_padding_sides_and_batching_agree(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir)
    with torch.no_grad():
        right, left = conversation().logits(model), conversation(side="left").logits(model)
        for place, row in enumerate(TALKS):
            single = conversation([row]).logits(model)[0]
            torch.testing.assert_close(right[place, : len(row)], single, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(left[place, -len(row) :], single, rtol=1e-4, atol=1e-5)


@families
@every
def test_cached_and_uncached_agree(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir)
    whole, prompt = conversation(TALKS[:1]), conversation([TALKS[0][:-2]], answer=0)
    with torch.no_grad():
        expected = whole.logits(model, use_cache=False)
        prefill = prompt.forward(model, use_cache=True)
        rest = model(input_ids=whole.ids[:, -2:], past_key_values=prefill.past_key_values).logits
    torch.testing.assert_close(torch.cat([prefill.logits, rest], 1), expected, rtol=1e-4, atol=1e-5)


@every
def test_generation_is_the_same_with_and_without_cache(arm: str, stir: Callable) -> None:
    model = tuned_model(arm, "llama", stir)
    batch = conversation(side="left", answer=0)
    options = {"input_ids": batch.ids, "attention_mask": batch.mask, "do_sample": False, "max_new_tokens": 4}
    with shown(model, batch):
        cached, uncached = (model.generate(**options, use_cache=use) for use in (True, False))
        embeddings = model.get_input_embeddings()(batch.ids)
        answers = model.generate(inputs_embeds=embeddings, attention_mask=batch.mask, do_sample=False, max_new_tokens=4)
    assert torch.equal(cached, uncached) and cached.shape[1] > batch.ids.shape[1]
    assert torch.equal(answers, cached[:, batch.ids.shape[1] :])


@families
@in_peft
def test_disabled_it_is_the_base_model(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir)
    with torch.no_grad():
        base = conversation().logits(language_model(family))
        assert not torch.equal(conversation().logits(model), base)
        with model.disable_adapter():
            assert torch.equal(conversation().logits(model), base)


@pytest.mark.parametrize("arm", [name for name in IN_PEFT if ARMS[name].method == "mores"])
@families
def test_text_alone_is_bit_identical_to_the_base_model(arm: str, family: str, stir: Callable) -> None:
    words = conversation(TALKS[2:])
    with torch.no_grad():
        assert torch.equal(words.logits(tuned_model(arm, family, stir)), words.logits(language_model(family)))


@in_peft
def test_several_adapters_share_a_backbone(arm: str, tmp_path: Path, stir: Callable) -> None:
    expected = {}
    for seed, name in enumerate(("first", "second")):
        single = stir(attach(language_model("llama"), ARMS[arm], seed=seed), seed=seed)
        save_adapter(single, tmp_path / name, base_hash="abc")
        expected[name] = conversation().logits(single)
    model = PeftModel.from_pretrained(language_model("llama"), tmp_path / "first", adapter_name="first")
    model.load_adapter(str(tmp_path / "second"), "second")
    for name in ("second", "first"):
        model.set_adapter(name)
        assert torch.equal(conversation().logits(model), expected[name])
    assert not torch.equal(expected["first"], expected["second"])


@families
@in_peft
def test_merging_changes_nothing_or_is_refused(arm: str, family: str, stir: Callable) -> None:
    model = tuned_model(arm, family, stir)
    with torch.no_grad():
        expected = conversation().logits(model)
        if arm not in MERGEABLE:
            with pytest.raises(SteeringError, match="cannot be merged"):
                model.merge_and_unload()
            return
        merged = model.merge_and_unload()
        torch.testing.assert_close(conversation().logits(merged), expected, rtol=1e-4, atol=1e-4)
    assert not any(name.split(".")[-2].startswith(OWN) for name, _ in merged.named_parameters())


@pytest.mark.parametrize("arm", ["full", "lora", "adapter", "oft", "ia3", "mores", "mrt", "loreft"])
def test_it_compiles_without_graph_breaks(arm: str, stir: Callable) -> None:
    model: Any = stir(attach(language_model("llama", layers=1), ARMS[arm], seed=0))
    batch, decoder = conversation(), base_of(model).model
    compiled = torch.compile(decoder, backend="aot_eager", fullgraph=True)
    options = {"input_ids": batch.ids, "attention_mask": batch.mask, "use_cache": False}
    with torch.no_grad(), shown(model, batch):
        found = compiled(**options).last_hidden_state
        torch.testing.assert_close(found, decoder(**options).last_hidden_state, rtol=1e-4, atol=1e-5)


FRESH = """
import sys
import torch
sys.path.insert(0, {tests!r})
from pathlib import Path
from contract import conversation, language_model
from steering.methods.adapters import load_adapter
folder = Path({folder!r})
logits = {{}}
for path in sorted(folder.iterdir()):
    model = load_adapter(language_model(path.name.split("-")[1]), path, base_hash="abc")
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        logits[path.name] = conversation().logits(model)
torch.save(logits, folder / "logits.pt")
"""


def test_a_fresh_process_gives_the_saved_logits(tmp_path: Path, stir: Callable) -> None:
    expected = {}
    for arm in ARMS:
        for family in FAMILIES:
            model = tuned_model(arm, family, stir).eval()
            save_adapter(model, tmp_path / f"{arm}-{family}", base_hash="abc")
            with torch.no_grad():
                expected[f"{arm}-{family}"] = conversation().logits(model)
    program = FRESH.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", program], check=True)
    found = torch.load(tmp_path / "logits.pt")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len({json.dumps(expected[name].tolist()) for name in expected}) == len(expected)


@families
def test_a_bfloat16_model_trained_as_a_whole_comes_back_in_bfloat16(
    family: str, tmp_path: Path, stir: Callable
) -> None:
    model = tuned_model("full", family, stir, torch.bfloat16)
    save_adapter(model, tmp_path / "full", base_hash="abc")
    loaded = load_adapter(language_model(family, torch.bfloat16), tmp_path / "full", base_hash="abc")
    assert torch.equal(conversation().logits(loaded), conversation().logits(model.bfloat16()))


def test_an_unknown_method_is_refused() -> None:
    settings = MoresSettings().model_copy(update={"method": "mors"})
    with pytest.raises(ParamsError, match="method: mors is unknown; allowed none, .* .did you mean mores"):
        attach(language_model("llama"), settings, seed=0)
