"""Whole maps, read block by block under fused attention, equal the model's own eager maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from steering.analyse import maps
from steering.analyse.maps import attention_maps, grid_of, spans
from steering.arms import MoresSettings
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import Turn
from steering.errors import DataError

HALF = 1e-3
"""Twice what float16 loses of a weight near 1."""


def batch(*, pad_left: bool = False, turns: int = 1) -> Batch:
    """Two pictured samples, one longer than the other."""
    seen = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    long = (Turn((10, 11, 12), (13, 14, 9)), Turn((20, 21), (22, 9)))[:turns]
    return collate([Sample((1, 2, 3), long, seen[0]), Sample((1,), long[:1], seen[1])], pad_left=pad_left)


def eager(model: Any, some: Batch) -> list[torch.Tensor]:
    model.language_model.set_attn_implementation("eager")
    told = model.run(some, some.marks, use_cache=False, output_attentions=True).attentions
    model.language_model.set_attn_implementation("sdpa")
    return [layer.mean(1) for layer in told]  # l of (b, t, t)


@pytest.mark.parametrize("family", ["llama", "phi"])
@pytest.mark.parametrize("pad_left", [False, True])
@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("held", [1 << 22, 64])
def test_maps_equal_eager_maps(family, pad_left, turns, held, make_model: Callable, monkeypatch) -> None:
    monkeypatch.setattr(maps, "HELD", held)
    model, some = make_model(MoresSettings(rank=2), family=family).eval(), batch(pad_left=pad_left, turns=turns)
    found, expected = attention_maps(model, some, [1, 2]), eager(model, some)
    assert list(found) == [1, 2]
    for layer, whole in found.items():
        assert whole.dtype == torch.float16
        for row, real in enumerate(some.real):
            torch.testing.assert_close(whole[row][real].float(), expected[layer - 1][row][real], rtol=0, atol=HALF)
            torch.testing.assert_close(whole[row][real].float().sum(1), torch.ones(int(real.sum())), rtol=0, atol=HALF)
            assert not whole[row][real][:, ~real].any()


def test_only_the_layers_asked_for_are_kept(make_model: Callable) -> None:
    assert list(attention_maps(make_model(), batch(), [2])) == [2]


@pytest.mark.parametrize("layer", [0, 3])
def test_a_layer_that_there_is_not_is_refused(layer, make_model: Callable) -> None:
    with pytest.raises(DataError, match=f"layer {layer} of a model of 2; allowed 1..2"):
        attention_maps(make_model(), batch(), [1, layer])


class Floats(TorchDispatchMode):
    """The number of elements of the largest float32 tensor made."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
                self.elements = max(self.elements, value.numel())
        return result


def test_no_map_of_all_heads_and_rows_is_ever_made(make_model: Callable, monkeypatch) -> None:
    length = 600
    monkeypatch.setattr(maps, "HELD", 16 * length)
    text = collate([Sample((), (Turn(tuple(range(1, 100)) * 6, (7,) * (length - 594)),))])
    model = make_model().eval()
    attention_maps(model, text, [1])  # what is made once for all
    with Floats() as made:
        attention_maps(model, text, [1])
    assert made.elements < length * length


def test_who_stands_where_is_told_in_spans() -> None:
    marks = batch().marks
    one = type(marks)(*(getattr(marks, name)[:1] for name in ("picture", "prompt", "answer", "block")))
    assert spans(one, before=4, after=1) == [
        ("template", 0, 3),
        ("visual", 3, 9),
        ("template", 9, 10),
        ("prompt", 10, 11),
        ("template", 11, 12),
        ("answer", 12, 15),
    ]
    assert spans(one, before=0, after=0)[0] == ("prompt", 0, 3)


def test_a_picture_has_a_grid_where_each_position_is_a_patch_of_it() -> None:
    assert grid_of(16, 16) == (4, 4)
    assert grid_of(576, 64) is grid_of(15, 15) is None
