"""MoReS as a PEFT method: what it edits, and that PEFT's own commands work with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from steering.arms import MoresSettings
from steering.errors import ParamsError, SteeringError
from steering.methods import MoReSConfig, attach
from steering.methods.edited import EditedModule
from steering.model.marks import board_of

both = pytest.mark.parametrize("family", ["llama", "phi"])


def steered(model: nn.Module) -> dict[int, EditedModule]:
    """The steered layers by their number."""
    edited = [module for module in model.modules() if isinstance(module, EditedModule)]
    return {next(iter(module.steering_sites.values()))[0].layer: module for module in edited}


def layer_outputs(model: nn.Module, run: Callable[[], Any]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What each decoder layer reads and what leaves its wrapper, in order."""
    inputs, outputs, hooks = [], [], []
    for layer in steered(model).values():
        hooks.append(layer.base_layer.register_forward_pre_hook(lambda module, args: inputs.append(args[0])))
        hooks.append(layer.register_forward_hook(lambda module, args, output: outputs.append(output)))
    run()
    for hook in hooks:
        hook.remove()
    return inputs, outputs


@both
@pytest.mark.parametrize("placement", ["output", "input"])
def test_only_the_selected_positions_are_edited(
    family: str, placement: str, tiny: Callable, text: Callable, rows: list
) -> None:
    batch = text(rows)
    model = attach(tiny(family), MoresSettings(layers=[0], placement=placement), seed=0)
    read, left = layer_outputs(model, lambda: batch.logits(model))
    with model.disable_adapter():
        plain_read, plain_left = layer_outputs(model, lambda: batch.logits(model))
    edited, plain = (left, plain_left) if placement == "output" else (read, plain_read)
    moved = (edited[0] != plain[0]).any(-1)
    chosen = torch.zeros_like(moved)
    chosen[0, [2, 3, 4, 5, 13, 14, 15, 16, 17]] = True
    chosen[1, [1, 2, 3, 4, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18]] = True
    assert torch.equal(moved, chosen)


@both
@pytest.mark.parametrize("placement", ["output", "input"])
def test_text_only_input_is_untouched(
    family: str, placement: str, tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    batch = text([rows[2], rows[2][:3]])
    model = stir(attach(tiny(family), MoresSettings(token_ratio=1.0, placement=placement), seed=0))
    assert torch.equal(batch.logits(model), batch.logits(tiny(family)))
    mixed = text(rows)
    assert torch.equal(mixed.logits(model)[2], mixed.logits(tiny(family))[2])


def test_without_marks_nothing_is_edited(tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    batch = text(rows)
    model = stir(attach(tiny("llama"), MoresSettings(), seed=0))
    assert torch.equal(model(input_ids=batch.ids).logits, tiny("llama")(input_ids=batch.ids).logits)


def test_the_backbone_alone_is_steered_by_shown_marks(
    tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    batch = text([rows[0]])
    model = stir(attach(tiny("llama"), MoresSettings(), seed=0))
    base = model.get_base_model()
    with board_of(base).show(batch.marks):
        hidden = base.model(inputs_embeds=base.get_input_embeddings()(batch.ids)).last_hidden_state
    assert torch.equal(base.lm_head(hidden), batch.logits(model))
    assert base.mark_board is board_of(model)


def test_pictures_are_found_in_the_input_ids(tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    model = stir(attach(tiny("llama"), MoresSettings(), seed=0))
    expected = text(rows).logits(model)
    model.config.image_token_id = 99
    batch = text(rows)
    found, present = model(input_ids=batch.ids, attention_mask=batch.mask).logits, batch.mask.bool()
    assert torch.equal(found[present], expected[present])
    assert board_of(model.get_base_model()).current is None


def test_the_board_is_empty_after_a_failed_pass(tiny: Callable) -> None:
    model = attach(tiny("llama"), MoresSettings(), seed=0)
    model.config.image_token_id = 99
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[99, 99, 1000]]))
    assert board_of(model.get_base_model()).current is None


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", [0, 1, 2, 3]),
        ("every_2nd", [0, 2]),
        ("every_3rd", [0, 3]),
        ("deep", [2, 3]),
        ("middle", [1, 2]),
        ([3], [3]),
    ],
)
def test_the_scheduled_layers_are_steered(layers: Any, expected: list[int], tiny: Callable) -> None:
    assert sorted(steered(attach(tiny("llama"), MoresSettings(layers=layers), seed=0))) == expected


def test_steering_changes_the_answer_but_not_what_comes_before_the_picture(
    tiny: Callable, text: Callable, rows: list, stir: Callable
) -> None:
    batch = text(rows)
    model = stir(attach(tiny("llama"), MoresSettings(), seed=0))
    difference = (batch.logits(model) - batch.logits(tiny("llama"))).abs().amax(-1)
    assert (difference[0, :2] == 0).all() and (difference[0, 18:] > 1e-4).all()


def test_disabling_gives_the_base_model(tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    batch = text(rows)
    model = stir(attach(tiny("llama"), MoresSettings(), seed=0))
    steered_logits = batch.logits(model)
    with model.disable_adapter():
        assert torch.equal(batch.logits(model), batch.logits(tiny("llama")))
    assert torch.equal(batch.logits(model), steered_logits)


def test_unloading_gives_the_base_model_back(tiny: Callable, text: Callable, rows: list) -> None:
    plain = attach(tiny("llama"), MoresSettings(), seed=0).unload()
    assert not steered(plain) and list(plain.state_dict()) == list(tiny("llama").state_dict())
    assert not plain._forward_pre_hooks and not plain._forward_hooks
    assert torch.equal(text(rows).logits(plain), text(rows).logits(tiny("llama")))


def test_merging_is_refused(tiny: Callable, text: Callable, rows: list) -> None:
    model = attach(tiny("llama"), MoresSettings(), seed=0)
    before = text(rows).logits(model)
    for merge in (model.merge_and_unload, model.merge_adapter):
        with pytest.raises(SteeringError, match="MoReS: cannot be merged, its edit depends on the position"):
            merge()
    with pytest.raises(SteeringError, match="cannot be merged"):
        steered(model)[0].merge()
    assert torch.equal(text(rows).logits(model), before)


def test_peft_saves_and_loads_it(tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    settings = MoresSettings(rank=2, layers=[0, 2], placement="input", token_ratio=0.5)
    model = stir(attach(tiny("llama"), settings, seed=0))
    model.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < 5000
    assert isinstance(PeftConfig.from_pretrained(str(tmp_path)), MoReSConfig)
    for options in ({}, {"low_cpu_mem_usage": True}):
        loaded = PeftModel.from_pretrained(tiny("llama"), tmp_path, **options)
        assert torch.equal(text(rows).logits(loaded), text(rows).logits(model))


def test_adapters_live_side_by_side(tmp_path: Path, tiny: Callable, text: Callable, rows: list, stir: Callable) -> None:
    batch, others = text(rows), MoReSConfig(rank=3, layers=[1, 3], token_ratio=1.0, placement="input")
    model = stir(attach(tiny("llama"), MoresSettings(layers=[0, 1]), seed=0))
    first = batch.logits(model)
    model.add_adapter("other", others)
    assert sorted(steered(model)) == [0, 1, 3]
    assert torch.equal(batch.logits(model), first)
    model.set_adapter("other")
    second = batch.logits(stir(model, seed=5))
    assert not torch.equal(first, second)
    assert {name.split(".")[-3] for name, value in model.named_parameters() if value.requires_grad} == {"other"}
    model.base_model.set_adapter(["default", "other"])
    assert not torch.equal(batch.logits(model), first) and not torch.equal(batch.logits(model), second)
    model.set_adapter("default")
    model.delete_adapter("other")
    assert torch.equal(batch.logits(model), first)
    model.save_pretrained(tmp_path)
    assert torch.equal(batch.logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)), first)


def test_trainable_parameters_are_printed(tiny: Callable, capsys: pytest.CaptureFixture) -> None:
    attach(tiny("llama"), MoresSettings(rank=2), seed=0).print_trainable_parameters()
    assert "trainable params: 1,032" in capsys.readouterr().out


def test_peft_can_make_it_from_a_config_alone(tiny: Callable) -> None:
    model = get_peft_model(tiny("phi"), MoReSConfig(rank=1, token_ratio=0.01))
    assert len(steered(model)) == 4
    assert model.peft_config["default"].target_modules == r"model\.layers\.(0|1|2|3)"


def test_a_bad_config_is_refused_with_all_its_faults() -> None:
    with pytest.raises(ParamsError) as error:
        MoReSConfig(rank=0, token_ratio=2.0, placement="middle")
    assert error.value.faults == [
        "MoReSConfig.rank: 0; allowed 1 or more",
        "MoReSConfig.token_ratio: 2.0; allowed above 0, up to 1",
        "MoReSConfig.placement: middle; allowed output, input",
    ]


def test_bad_layers_are_refused(tiny: Callable) -> None:
    with pytest.raises(ParamsError, match=r"layers: 9 outside the model; allowed 0\.\.3"):
        get_peft_model(tiny("llama"), MoReSConfig(layers=[9]))


def test_a_model_without_decoder_layers_is_refused() -> None:
    with pytest.raises(SteeringError, match="Linear has no decoder with .layers"):
        get_peft_model(nn.Linear(2, 2), MoReSConfig())  # type: ignore[arg-type]


def test_a_model_that_reads_attributes_of_its_layers_works() -> None:
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 48,
        "num_attention_heads": 2,
        "head_dim": 16,
    }
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=50, num_key_value_heads=1, pad_token_id=0, **sizes)).eval()
    model.config.image_token_id = 40
    ids = torch.tensor([[3, *[40] * 12, 4, 5]])
    plain = model(input_ids=ids).logits
    wrapped = get_peft_model(model, MoReSConfig())
    assert not torch.equal(wrapped(input_ids=ids).logits[0, -1], plain[0, -1])
    assert steered(wrapped)[0].self_attn is steered(wrapped)[0].base_layer.self_attn


def test_a_stock_llava_is_steered_in_its_language_model(llava: Callable, asked: dict) -> None:
    model = get_peft_model(llava(2), MoReSConfig(rank=2))
    assert model.peft_config["default"].target_modules == r"model\.language_model\.layers\.(0|1)"
    logits, plain = model(**asked).logits, llava(2)(**asked).logits
    assert torch.equal(logits[0, 0], plain[0, 0]) and torch.equal(logits[1, 1], plain[1, 1])
    assert not torch.equal(logits[:, -1], plain[:, -1])
    words = torch.tensor([[3, 4, 5, 6]])
    assert torch.equal(model(input_ids=words).logits, llava(2)(input_ids=words).logits)
    options = {"do_sample": False, "max_new_tokens": 5}
    cached, uncached = (model.generate(**asked, **options, use_cache=use) for use in (True, False))
    assert torch.equal(cached, uncached)


@pytest.mark.parametrize("reentrant", [True, False])
def test_it_learns_under_gradient_checkpointing(reentrant: bool, tiny: Callable, text: Callable, rows: list) -> None:
    batch, model = text(rows[:2]), attach(tiny("llama"), MoresSettings(rank=4), seed=0).train()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    own = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in own.items()}
    optimiser, losses = torch.optim.AdamW(own.values(), lr=0.03, weight_decay=0), []
    for _ in range(30):
        optimiser.zero_grad()
        losses.append(batch.loss(model))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]
    moved = {name for name, value in own.items() if not torch.equal(value, before[name])}
    assert moved == {name for name in own if ".layers.3." not in name}  # the last layer's output edit is dead
