"""Sizes in closed form are those of modules that were built, at the papers' sizes too (meta device)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from steering.arms import Arm, LanguageShape, VisionShape
from steering.cost import (
    activation_bytes,
    backward_share,
    layer_weights,
    peak_memory_bytes,
    question_flops,
    state_bytes,
    step_flops,
)
from steering.families import FAMILIES
from steering.methods import attach
from steering.model.connectors import CONNECTORS, build_connector
from steering.model.language import build_language_model
from steering.params import Engine, LanguageModel, Recipe, VisionEncoder, load
from steering.sizing import (
    ConnectorSize,
    Scene,
    adapter_bytes,
    connector_size,
    encoder_parameters,
    tensors,
    trained_in_encoder,
)

ROOT = Path(__file__).resolve().parent.parent
PARAMS = load(ROOT / "params.yaml")
TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
VISION = VisionShape(tokens=16, width=32)


def arm(**settings: Any) -> Any:
    return TypeAdapter(Arm).validate_python(settings)


def counted(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def scene(settings: Any, *, recipe: dict[str, Any] | None = None, model: dict[str, Any] | None = None) -> Scene:
    """Llama of 12 x 768 with 16 visual and 240 text tokens, four conversations a step, unless told otherwise."""
    sizes = {"model_type": "llama", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    config = sizes | {"intermediate_size": 2048, "vocab_size": 4096}
    language = LanguageModel.model_validate({"config": config, "dtype": "float32", **(model or {})})
    blocks = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
    encoder = VisionEncoder.model_validate({"kind": "clip", "config": blocks, "tokens": 16, "width": 32})
    rates = {"steps": 1, "conversations": 4, "connector_learning_rate": 1e-3, "method_learning_rate": 1e-3}
    connector = ConnectorSize(1000, 16)
    told = Recipe.model_validate(rates | (recipe or {}))
    return Scene(settings, language, encoder, {}, connector, told, text_tokens=240)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_language_model_of_every_family_is_counted_to_the_last_weight(family, tied):
    model = build_language_model({"model_type": family, **TINY, "tie_word_embeddings": tied}, device="meta")
    assert LanguageShape.of(model.config).parameters == counted(model)


@pytest.mark.parametrize(
    ("name", "count"),
    [("phi_2", 2_779_683_840), ("vicuna_7b_v15", 6_738_415_616), ("vicuna_13b_v15", 13_015_864_320)],
)
def test_the_papers_language_models_have_their_real_sizes(name, count):
    row = PARAMS.language_models[name]
    assert counted(build_language_model(row.config.model_dump(), device="meta")) == row.shape.parameters == count


@pytest.mark.parametrize(
    ("width", "hidden", "count"), [(1152, 2560, 9_507_840), (1024, 4096, 20_979_712), (1024, 5120, 31_467_520)]
)
def test_the_papers_connectors_have_their_counts(width, hidden, count):
    assert connector_size("mlp2_gelu", tokens=576, width=width, hidden=hidden) == ConnectorSize(count, 576)
    with torch.device("meta"):
        assert counted(build_connector("mlp2_gelu", width=width, hidden=hidden)) == count


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_connector_is_counted_as_it_is_built(kind):
    hidden = 64 if kind == "identity" else 48
    settings = {"resampler": {"queries": 5}, "qformer": {"queries": 7, "layers": 2, "heads": 4, "hidden": 32}}
    told = settings.get(kind, {})
    built = build_connector(kind, width=64, hidden=hidden, settings=told)
    out = built(torch.zeros(1, 9, 64)).shape[1]
    assert connector_size(kind, tokens=9, width=64, hidden=hidden, settings=told) == ConnectorSize(counted(built), out)


METHODS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 8, "alpha": 16, "targets": ["q_proj", "v_proj"]},
    "adapter": {"bottleneck": 4},
    "oft": {"blocks": 4},
    "ia3": {},
    "mores": {"rank": 2},
    "loreft": {"rank": 2, "shared": False},
    "mrt": {"vision_rank": 0, "connector_rank": 0},
}


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_file_is_as_large_as_foreseen(method, tmp_path, make_language_model):
    from steering.methods.adapters import save_adapter

    model = make_language_model()
    settings, shape = arm(method=method, **METHODS[method]), LanguageShape.of(model.config)
    save_adapter(attach(model, settings, seed=0), tmp_path / "adapter", base_hash="0")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert file.stat().st_size - header == 4 * settings.trainable(shape, VISION)
    assert tensors(settings, shape, VISION) == file.read_bytes()[8:header].count(b'"dtype"')
    assert adapter_bytes(settings, shape, VISION) == pytest.approx(file.stat().st_size, rel=0.2)


def test_an_adapter_of_known_size_is_foreseen_within_two_percent():
    shape = PARAMS.language_models["smollm2_135m"].shape
    lora = arm(method="lora", rank=8, alpha=16, targets=["q_proj", "v_proj"])
    assert adapter_bytes(arm(method="mores"), shape, VISION) == pytest.approx(148_728, rel=0.02)
    assert adapter_bytes(lora, shape, VISION) == pytest.approx(1_858_776, rel=0.02)


def test_the_control_leaves_no_adapter_file():
    shape = PARAMS.language_models["phi_2"].shape
    assert adapter_bytes(arm(method="none"), shape, VISION) == 0
    assert adapter_bytes(arm(method="full"), shape, VISION, dtype="bfloat16") == pytest.approx(2 * 2.78e9, rel=1e-3)


def test_a_step_costs_what_each_weight_multiplies():
    none, full = scene(arm(method="none")), scene(arm(method="full"))
    forward = none.positions * (2 * layer_weights(none.model.shape) + 12 * 4 * 256 * 768)
    small = 4 * 16 * 2 * 1000 * 2  # the connector, forward and its weights' gradient
    assert none.positions == 4 * (16 + 240)
    assert step_flops(none) == none.positions * (4 * layer_weights(none.model.shape) + 3 * 12 * 4 * 256 * 768) + small
    assert step_flops(full) - step_flops(none) == full.positions * 2 * layer_weights(full.model.shape)
    assert question_flops(none) == forward / 4


@pytest.mark.parametrize(
    ("settings", "ratio"),
    [
        ({"method": "full"}, 3.08),
        ({"method": "lora", "rank": 128}, 2.93),
        ({"method": "mores"}, 2.03),
        ({"method": "ia3"}, 2.13),
        ({"method": "adapter", "bottleneck": 64}, 2.14),
    ],
)
def test_steps_cost_as_many_forward_passes_as_was_measured(settings, ratio):
    """12 x 768, T 256, float32, batch 4; LoRA's small products run slower than their FLOPs say."""
    told = scene(arm(**settings))
    base = question_flops(scene(arm(method="none"))) * told.recipe.conversations
    assert step_flops(told) / base == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "megabytes"),
    [({"method": "mores"}, 533), ({"method": "lora", "rank": 8}, 702), ({"method": "ia3"}, 698)],
)
def test_activations_take_the_memory_that_was_measured(settings, megabytes):
    assert activation_bytes(scene(arm(**settings))) / 1e6 == pytest.approx(megabytes, rel=0.02)


def test_no_gradient_goes_below_what_is_trained():
    frozen = {"freeze_connector": True}
    assert backward_share(scene(arm(method="none"))) == 1
    assert backward_share(scene(arm(method="none"), recipe=frozen)) == 0
    assert backward_share(scene(arm(method="mores", layers="deep"), recipe=frozen)) == 0.5
    assert backward_share(scene(arm(method="mores", layers="deep"))) == 1
    assert backward_share(scene(arm(method="mrt", layers="deep"), recipe=frozen)) == 1
    assert backward_share(scene(arm(method="lora"), recipe=frozen)) == 1


def test_trained_weights_weigh_sixteen_bytes_and_frozen_ones_their_own():
    sparse, full = scene(arm(method="none"), model={"dtype": "bfloat16"}), scene(arm(method="full"))
    parameters = sparse.model.shape.parameters
    assert state_bytes(sparse) == 2 * parameters + 16 * 1000
    assert state_bytes(full) == 16 * parameters + 16 * 1000
    assert peak_memory_bytes(full) == state_bytes(full) + activation_bytes(full)


def test_each_zero_stage_partitions_one_part_more():
    whole = scene(arm(method="full"))
    trained, weights = whole.trainable_all, 4 * whole.model.shape.parameters + 4 * 1000
    for stage, parts in enumerate([(1, 1, 1), (4, 1, 1), (4, 4, 1), (4, 4, 4)]):
        engine = Engine.model_validate({"kind": "deepspeed", "zero": stage, "processes": 4})
        moments, gradients, base = (
            size / count for size, count in zip((8 * trained, 4 * trained, weights), parts, strict=True)
        )
        assert state_bytes(replace(whole, engine=engine)) == pytest.approx(moments + gradients + base, abs=1)


def test_smaller_passes_and_more_processes_keep_fewer_activations():
    whole = scene(arm(method="mores"), recipe={"conversations": 12})
    for told, at_once in (({"micro_batch": 3}, 3), ({"processes": 4}, 3), ({"processes": 5, "micro_batch": 9}, 3)):
        cut = replace(whole, engine=Engine.model_validate({"kind": "deepspeed", **told}))
        assert cut.at_once == at_once
        assert activation_bytes(cut) == pytest.approx(activation_bytes(whole) / 4, rel=1e-6)
        assert step_flops(cut) == step_flops(whole)


def test_checkpointing_saves_activations_for_one_more_forward_pass():
    usual = scene(arm(method="mores"))
    thrifty = replace(usual, engine=Engine.model_validate({"gradient_checkpointing": True}))
    forward = question_flops(scene(arm(method="none"))) * usual.recipe.conversations
    assert activation_bytes(thrifty) < activation_bytes(usual)
    assert step_flops(thrifty) - step_flops(usual) == pytest.approx(forward, rel=1e-6)


def test_four_bits_a_weight_take_about_a_quarter_of_bfloat16():
    sixteen = scene(arm(method="none"), model={"dtype": "bfloat16"})
    four = scene(arm(method="none"), model={"dtype": "bfloat16", "quantise": "4bit"})
    saved = layer_weights(four.model.shape) * (2 - 0.5625)
    assert state_bytes(sixteen) - state_bytes(four) == pytest.approx(saved)


def test_the_vision_encoder_counts_only_where_it_runs_in_every_step():
    frozen, edited = scene(arm(method="mrt", vision_rank=0)), scene(arm(method="mrt"))
    assert not frozen.live
    assert edited.live
    assert step_flops(edited) > step_flops(frozen)
    trained = scene(arm(method="none"), recipe={"encoder_layers": 2, "encoder_learning_rate": 1e-4})
    assert trained.trainable_encoder == 2 * encoder_parameters(trained.encoder, {}) // 4  # of four alike
    assert trained.trainable_all == 1000 + trained.trainable_encoder


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "efficientnet_lite0"])
def test_a_vision_encoders_blocks_are_counted_as_they_are_built(kind):
    from steering.model.encoders import build_encoder

    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28, "patch_size": 14}
    config = {"image_size": 64} if kind == "efficientnet_lite0" else sizes
    config |= {} if kind in ("efficientnet_lite0", "dinov2") else {"intermediate_size": 64}
    built = build_encoder(kind, config)
    row = VisionEncoder.model_validate({"kind": kind, "config": config, "tokens": 4, "width": 32})
    blocks = counted(built.layers)
    assert encoder_parameters(row, {}) == blocks
    assert trained_in_encoder(row, {}, 0) == 0
    assert trained_in_encoder(row, {}, "all") == sum(counted(module) for module in built.last("all")) > blocks / 2


def test_encoders_side_by_side_are_counted_together():
    rows = PARAMS.vision_encoders
    both = VisionEncoder(kind="side_by_side", parts=["clip_l_336", "clip_l_336"], tokens=576, width=2048)
    assert encoder_parameters(both, rows) == 2 * encoder_parameters(rows["clip_l_336"], rows)
    one = trained_in_encoder(rows["clip_l_336"], rows, 1)
    assert one == encoder_parameters(rows["clip_l_336"], rows) // 24
    assert trained_in_encoder(both, rows, 1) == 2 * one
