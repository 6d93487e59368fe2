"""MRT as a PEFT method: its four kinds of site in a LLaVA, a composed model and a language model alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from steering.arms import LanguageShape, MrtSettings, VisionShape
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import ParamsError
from steering.methods import attach
from steering.methods.edited import EditedModule
from steering.methods.mrt import MRTConfig, MRTModel
from steering.model.composed import ComposedModel

LLAVA_SHAPE = VisionShape(tokens=4, width=16, layers=(16,) * 4)
CONV_SHAPE = VisionShape(tokens=4, width=10, layers=(6, 8, 9, 10))
SMALL = MrtSettings(vision_rank=2, connector_rank=3, prefix_tokens=2, suffix_tokens=2)


class Cells(nn.Module):
    """A convolutional stand-in for a vision encoder: 4 x 4 pixels to 2 x 2 cells through four blocks."""

    tokens, width, image_size, channels_first = 4, 10, 4, True

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 6, 8, 9, 10)
        strides = (2, 1, 1, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(*pair, 3, stride=stride, padding=1), nn.BatchNorm2d(pair[1]), nn.GELU())
            for pair, stride in zip(zip(widths, widths[1:], strict=False), strides, strict=True)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        for layer in self.layers:
            pixels = layer(pixels)
        return pixels.flatten(2).transpose(1, 2)


def composed(tiny: Callable) -> Any:
    """The same model each time: cells, a linear connector, a tiny Llama."""
    language = tiny("llama")
    torch.manual_seed(1)
    connector, cells = nn.Linear(10, 64), Cells()
    return ComposedModel(connector, language, cells).requires_grad_(False).eval()  # type: ignore[arg-type]


def pictured(*, answers: bool = True, left: bool = False) -> Batch:
    """Two samples of one picture, the second of two questions, and one of text alone."""
    turns = [((5, 6, 7), (8, 9)), ((10, 11, 12, 13), (14, 9)), ((15, 16), (17, 9))]
    first, second, third = (Turn(question, answer if answers else ()) for question, answer in turns)
    picture = torch.zeros(4, 10)
    samples = [Sample((1, 2), (first,), picture), Sample((1, 2), (second, third), picture), Sample((1, 2), (third,))]
    pixels = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return replace(collate(samples, pad_left=left), features=None, pixels=pixels)


def sizes(model: nn.Module) -> Counter[str]:
    """Trainable parameters by site."""
    found: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[name.rsplit(".", 2)[-2]] += parameter.numel()
    return found


def test_counts_at_full_size_are_the_papers() -> None:
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
    )
    language = LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32064
    )
    with torch.device("meta"):
        llava = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=language))
        model = attach(llava, MrtSettings(), seed=0)
    expected = {"vision": 270_468, "connector": 49_158, "prefix": 1_048_704, "suffix": 1_048_704}
    assert sizes(model) == expected and sum(expected.values()) == 2_417_034
    shape = VisionShape(tokens=256, width=1024, layers=(1024,) * 24)
    assert MrtSettings().sites(LanguageShape.of(language), shape) == expected


@pytest.mark.parametrize("off", [None, "vision_rank", "connector_rank", "prefix_rank", "suffix_rank"])
def test_counts_by_site_are_the_closed_form(off: str | None, tiny: Callable, llava: Callable) -> None:
    settings = SMALL.model_copy(update={off: 0} if off else {})
    for model, vision in ((llava(), LLAVA_SHAPE), (composed(tiny), CONV_SHAPE)):
        shape = LanguageShape.of(model.config.get_text_config())
        assert sizes(attach(model, settings, seed=0)) == settings.sites(shape, vision)


def test_the_scheduled_modules_are_edited(llava: Callable) -> None:
    model = attach(llava(), SMALL.model_copy(update={"layers": "every_2nd"}), seed=0)
    base = model.get_base_model()
    found = {
        name: list(module.steering_editors["default"])
        for name, module in base.named_modules()
        if isinstance(module, EditedModule)
    }
    ends = ["prefix", "suffix"]
    assert found == {
        "model.vision_tower.encoder.layers.1": ["vision"],
        "model.vision_tower.encoder.layers.2": ["vision"],
        "model.multi_modal_projector": ["connector"],
        "model.language_model.layers.0": ends,
        "model.language_model.layers.2": ends,
    }


@pytest.mark.parametrize(
    ("chosen", "edited"), [("all", [1, 2]), ("first_1", [1]), ([1], [2])], ids=["all", "the first", "a list"]
)
def test_the_chosen_layers_of_an_encoder_are_edited(
    chosen: str | list[int], edited: list[int], tiny: Callable, llava: Callable
) -> None:
    settings = SMALL.model_copy(update={"vision_layers": chosen})
    for root, shape, path in ((llava(), LLAVA_SHAPE, "layers."), (composed(tiny), CONV_SHAPE, "vision.layers.")):
        model = attach(root, settings, seed=0)
        found = [name for name, module in model.named_modules() if isinstance(module, EditedModule)]
        seen = [name for name in found if "vision" in name]
        assert [int(name.rpartition(path)[2]) for name in seen] == edited
        assert sizes(model)["vision"] == sum(2 * (2 * width + 1) for width in settings.edited_widths(shape))


def test_a_llava_reads_the_edited_layer_of_its_encoder(llava: Callable, asked: dict, stir: Callable) -> None:
    settings = MrtSettings(vision_rank=2, connector_rank=0, prefix_rank=0, suffix_rank=0)
    model = stir(attach(llava(), settings, seed=0))
    logits = model(**asked).logits
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    logits[:, -1].sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in own)  # layer 2, recorded at -2, among them
    assert not torch.equal(logits[:, -1], llava()(**asked).logits[:, -1])


def grads(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_llavas_gradients_are_equal_with_and_without_checkpointing(
    reentrant: bool, llava: Callable, asked: dict, stir: Callable
) -> None:
    found = []
    for checkpointed in (False, True):
        model = stir(attach(llava(), SMALL.model_copy(update={"prefix_tokens": 1}), seed=0)).train()
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model(**asked).logits[:, -1].square().mean().backward()
        found.append(grads(model))
    assert found[0].keys() == found[1].keys()
    assert {name for name in found[0] if found[0][name].abs().max() == 0} == {
        name for name in found[0] if ".layers.3." in name and ".prefix." in name
    }
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-7)


def test_a_composed_model_learns_in_all_its_sites(tiny: Callable, stir: Callable) -> None:
    model = stir(attach(composed(tiny), SMALL, seed=0))
    loss, _ = model(pictured())
    loss.backward()
    own = {name for name, value in model.named_parameters() if value.requires_grad}
    assert set(grads(model)) == own and all("steering_editors" in name for name in own)
    live = {name.rsplit(".", 2)[-2] for name, value in grads(model).items() if value.abs().max() > 0}
    assert live == {"vision", "connector", "prefix", "suffix"}
    optimiser = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=0.02)
    for _ in range(20):
        optimiser.zero_grad()
        now, _ = model(pictured())
        now.backward()
        optimiser.step()
    assert now < 0.9 * loss


def test_padding_sides_agree_in_a_composed_model(tiny: Callable, stir: Callable) -> None:
    model = stir(attach(composed(tiny), SMALL, seed=0)).get_base_model()
    right, left = pictured(), pictured(left=True)
    with torch.no_grad():
        losses = [model(batch)[0] for batch in (right, left)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)


def test_the_prompt_is_edited_alike_with_and_without_its_answers(tiny: Callable, stir: Callable) -> None:
    model = stir(attach(composed(tiny), SMALL, seed=0)).get_base_model()
    states = []
    with torch.no_grad():
        for batch in (pictured(), pictured(answers=False)):
            states.append(model.hidden(batch, use_cache=False).last_hidden_state[batch.marks.prompt])
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)


def test_a_blank_look_at_the_encoder_leaves_its_statistics_alone(tiny: Callable) -> None:
    model = composed(tiny)
    model.vision.train()
    before = {name: value.clone() for name, value in model.vision.named_buffers()}
    attach(model, SMALL, seed=0)
    assert model.vision.layers[0][1].training
    assert all(torch.equal(value, before[name]) for name, value in model.vision.named_buffers() if name in before)


def test_a_language_model_has_a_prompt_alone(tiny: Callable, text: Callable, rows: list) -> None:
    with pytest.raises(ParamsError) as error:
        attach(tiny("llama"), MrtSettings(), seed=0)
    assert error.value.faults == [
        "vision_rank: 6, but the vision encoder has no layers here; allowed 0",
        "connector_rank: 6, but the model has no connector; allowed 0",
    ]
    settings = MrtSettings(vision_rank=0, connector_rank=0, prefix_tokens=2, suffix_tokens=1, layers=[0])
    model = attach(tiny("llama"), settings, seed=0)
    batch = text(rows)
    left = batch.forward(model, output_hidden_states=True).hidden_states[1]
    plain = batch.forward(tiny("llama"), output_hidden_states=True).hidden_states[1]
    moved = [row.nonzero().squeeze(1).tolist() for row in (left != plain).any(-1)]
    assert moved == [[18, 19, 21], [19, 20], [5]]  # in text alone the suffix only


def test_a_composed_model_without_its_encoder_asks_for_rank_0(tiny: Callable) -> None:
    model = composed(tiny)
    model.vision = None
    with pytest.raises(ParamsError, match="vision_rank: 6, but the vision encoder has no layers here; allowed 0"):
        attach(model, MrtSettings(), seed=0)
    assert attach(model, MrtSettings(vision_rank=0), seed=0)


def test_the_prefix_is_edited_before_the_suffix_where_they_overlap(tiny: Callable, text: Callable) -> None:
    batch = text([[5, *[99] * 4, 6, 7]])
    model = attach(tiny("llama"), MrtSettings(vision_rank=0, connector_rank=0, layers=[0]), seed=0)
    left = batch.forward(model, output_hidden_states=True).hidden_states[1][0, 5:]
    plain = batch.forward(tiny("llama"), output_hidden_states=True).hidden_states[1][0, 5:]
    editors = model.get_base_model().model.layers[0].steering_editors["default"]
    torch.testing.assert_close(left, editors["suffix"](editors["prefix"](plain)))


def test_a_saved_llava_comes_back(tmp_path: Path, llava: Callable, asked: dict, stir: Callable) -> None:
    model = stir(attach(llava(), SMALL, seed=0))
    model.save_pretrained(tmp_path)
    assert isinstance(PeftConfig.from_pretrained(str(tmp_path)), MRTConfig)
    for options in ({}, {"low_cpu_mem_usage": True}, {"adapter_name": "other"}):
        loaded = PeftModel.from_pretrained(llava(), tmp_path, **options)
        assert torch.equal(loaded(**asked).logits, model(**asked).logits)
    with model.disable_adapter():
        assert torch.equal(model(**asked).logits, llava()(**asked).logits)


def test_a_saved_composed_model_comes_back(tmp_path: Path, tiny: Callable, stir: Callable) -> None:
    model = stir(attach(composed(tiny), SMALL, seed=0))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(composed(tiny), tmp_path)
    assert torch.equal(loaded(pictured())[0], model(pictured())[0])
    with model.disable_adapter():
        assert torch.equal(model(pictured())[0], composed(tiny)(pictured())[0])
    assert torch.equal(model.unload()(pictured())[0], composed(tiny)(pictured())[0])


def test_adapters_live_side_by_side(llava: Callable, asked: dict, stir: Callable) -> None:
    model = stir(get_peft_model(llava(), MRTConfig()))
    first = model(**asked).logits
    model.add_adapter("other", MRTConfig(vision_rank=0, prefix_rank=0, layers=[1]))
    assert torch.equal(model(**asked).logits, first)
    model.set_adapter("other")
    assert not torch.equal(stir(model, seed=5)(**asked).logits, first)
    model.set_adapter("default")
    assert torch.equal(model(**asked).logits, first)


def test_a_bad_config_is_refused_with_all_its_faults() -> None:
    with pytest.raises(ParamsError) as error:
        MRTConfig(vision_rank=-1, connector_rank=0, prefix_rank=0, suffix_rank=0, suffix_tokens=0)
    assert error.value.faults == [
        "MRTConfig.vision_rank: -1; allowed 0 or more",
        "MRTConfig.suffix_tokens: 0; allowed 1 or more",
    ]
    with pytest.raises(ParamsError, match="all 0; allowed one above"):
        MRTConfig(vision_rank=0, connector_rank=0, prefix_rank=0, suffix_rank=0)
    assert MRTModel.prefix == "steering_"
