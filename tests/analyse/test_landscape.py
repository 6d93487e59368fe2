"""The plane and the rays around what was trained: filter by filter as long, of known loss, and left as they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steering.analyse.landscape import (
    Landscape,
    Walk,
    answer_losses,
    answer_tokens,
    axis,
    batched,
    cosine,
    described,
    direction,
    filter_norms,
)
from steering.analyse.sharpness import sharpness, worst
from steering.data.collate import Sample
from steering.data.templates import Turn
from steering.methods.editor import Editor, orthonormal

WANTED = {"points": 5, "span": 1.0, "radius": 0.5, "directions": 3}
BASIS = "model.steering_editors.default.visual.basis"
FLOOR, HEIGHT = 2.0, 0.3
TOKENS = [3, 5, 2]


def parameters() -> dict[str, nn.Parameter]:
    draw = torch.Generator().manual_seed(3)
    shapes = {
        "a.weight": (6, 40),
        "a.bias": (6,),
        BASIS: (40, 3),
        "half": (4, 8),
        "row": (1, 9),
        "kernel": (5, 2, 3, 3),
    }
    made = {name: nn.Parameter(torch.randn(shape, generator=draw)) for name, shape in shapes.items()}
    return made | {"half": nn.Parameter(made["half"].detach().bfloat16())}


def bowl(found: dict[str, nn.Parameter]) -> Callable[[], Tensor]:
    """A quadratic whose floor is where the parameters are now: FLOOR + HEIGHT / 2 |step|^2 a token."""
    start = {name: p.detach().double().clone() for name, p in found.items()}

    def losses() -> Tensor:
        away = sum(float((p.detach().double() - start[name]).square().sum()) for name, p in found.items())
        return torch.tensor([count * (FLOOR + HEIGHT / 2 * away) for count in TOKENS])

    return losses


def measured(landscape: Landscape) -> dict[str, Any]:
    """What a stage would record."""
    sums = {unit: landscape.measure(unit) for unit in landscape.units}
    steps = range(len(landscape.axis))
    return {
        "run": "r",
        "axis": landscape.axis,
        "loss": [[sum(point) / sum(TOKENS) for point in sums[f"row {n}"]] for n in steps],
        "radius": WANTED["radius"],
        "sums": {"trained": sums["trained"][0], "rays": [sums[f"ray {n}"] for n in range(3)]},
        "conversations": {"ids": list("abc"), "groups": list("abc"), "tokens": TOKENS},
    }


def test_each_filter_of_a_direction_is_as_long_as_the_trained_one() -> None:
    weights = Walk(parameters()).trained
    found = direction(weights, "plane 1")
    for name, weight in weights.items():
        assert found[name].shape == weight.shape
        torch.testing.assert_close(filter_norms(name, found[name]), filter_norms(name, weight))


def test_a_filter_is_a_row_a_vector_or_a_column_of_what_an_editor_writes_with() -> None:
    shapes = {name: tuple(filter_norms(name, weight).shape) for name, weight in parameters().items()}
    assert shapes == {
        "a.weight": (6, 1),
        "a.bias": (1,),
        BASIS: (1, 3),
        "half": (4, 1),
        "row": (1, 1),
        "kernel": (5, 1, 1, 1),
    }


def test_a_direction_is_as_long_as_what_was_trained_and_nearly_across_another() -> None:
    weights = {"w": torch.randn(200, 300, generator=torch.Generator().manual_seed(1))}
    first, second = (direction(weights, f"plane {number}") for number in (1, 2))
    assert float(first["w"].norm()) == pytest.approx(float(weights["w"].norm()), rel=1e-5)
    assert abs(cosine(first, second)) < 5 / math.sqrt(60_000)
    assert cosine(first, first) == pytest.approx(1)


def test_a_filter_of_nothing_stays() -> None:
    weights = {"w": torch.tensor([[0.0, 0.0], [3.0, 4.0]])}
    found = direction(weights, "ray 0")["w"]
    assert found[0].tolist() == [0, 0]
    assert float(found[1].norm()) == pytest.approx(5)
    assert described({"method": weights, "encoder": {}}) == {
        "method": {"parameters": 4, "tensors": 1, "filters": 2, "still": 1, "norm": 5.0}
    }


def test_what_two_arms_both_train_draws_equal_numbers() -> None:
    connector = torch.randn(4, 6)
    bare = direction({"connector.0.weight": connector, "lora": torch.randn(2, 3)}, "ray 1")
    edited = direction({"connector.base_layer.0.weight": connector}, "ray 1")
    torch.testing.assert_close(bare["connector.0.weight"], edited["connector.base_layer.0.weight"], rtol=0, atol=0)
    other = direction({"connector.0.weight": connector}, "ray 2")
    assert not torch.equal(other["connector.0.weight"], bare["connector.0.weight"])


def test_a_bowl_gives_its_own_plane() -> None:
    found = {name: p for name, p in parameters().items() if name != "half"}
    with Walk(found) as walk:
        landscape = Landscape(bowl(found), walk, WANTED)
        first, second = landscape.plane
        record = measured(landscape)
    square = sum(float(p.detach().double().square().sum()) for p in found.values())
    cross = square * cosine(first, second)
    for b, row in zip(landscape.axis, record["loss"], strict=True):
        told = [FLOOR + HEIGHT / 2 * ((a * a + b * b) * square + 2 * a * b * cross) for a in landscape.axis]
        assert row == pytest.approx(told, rel=1e-5)
    assert record["loss"][2][2] == sum(record["sums"]["trained"]) / sum(TOKENS)
    inside = [0.5**2 * square, 0.5**2 * square]
    assert worst(record) == pytest.approx(HEIGHT / 2 * max(inside) / FLOOR, rel=1e-5)


def test_a_round_bowl_is_as_sharp_along_every_direction() -> None:
    found = {name: p for name, p in parameters().items() if name != "half"}
    with Walk(found) as walk:
        record = measured(Landscape(bowl(found), walk, WANTED))
    square = sum(float(p.detach().double().square().sum()) for p in found.values())
    told = sharpness([record])
    rise = HEIGHT / 2 * 0.5**2 * square / FLOOR
    assert (told.value, told.low, told.high) == pytest.approx((rise, rise, rise), rel=1e-5)


def test_parameters_are_to_the_last_bit_what_they_were_even_after_an_error() -> None:
    found = parameters()
    before = {name: p.detach().clone() for name, p in found.items()}
    with pytest.raises(KeyError), Walk(found) as walk:
        walk.to((0.7, direction(walk.trained, "ray 0")))
        assert not any(torch.equal(p, before[name]) for name, p in found.items())
        raise KeyError
    assert all(torch.equal(p, before[name]) for name, p in found.items())


def test_the_middle_of_an_axis_is_exactly_where_training_ended() -> None:
    assert axis(5, 1.0) == [-1, -0.5, 0, 0.5, 1]
    assert all(axis(points, 0.7)[points // 2] == 0 for points in range(3, 99, 2))


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0, 8.0])
def test_a_step_across_a_column_of_a_tied_editor_turns_it_by_the_arc_tangent(step: float) -> None:
    editor = Editor(50, 1)
    with torch.no_grad():
        editor.basis.mul_(3)
    across = torch.randn(50, 1)
    across -= editor.rotation() @ (editor.rotation().T @ across)
    across *= editor.basis.norm() / across.norm()
    turned = orthonormal(editor.basis + step * across).detach()
    assert float((turned * editor.rotation().detach()).sum()) == pytest.approx(math.cos(math.atan(step)), abs=1e-5)


def test_stretching_the_columns_of_a_tied_editor_changes_nothing() -> None:
    editor = Editor(20, 3)
    before = editor.rotation()
    with torch.no_grad():
        editor.basis.mul_(torch.tensor([0.5, 2.0, 7.0]))
    torch.testing.assert_close(editor.rotation(), before)


def talks() -> list[Sample]:
    draw = torch.Generator().manual_seed(0)
    turns = [Turn((5, 6), (7, 8)), Turn((9,), (10, 11, 12))]
    return [
        Sample((1,), (turns[0],), torch.randn(4, 8, generator=draw)),
        Sample((1,), tuple(turns), torch.randn(4, 8, generator=draw)),
        Sample((1,), (turns[1],)),
    ]


def test_the_losses_of_conversations_add_up_to_the_training_s(make_model: Callable) -> None:
    model = make_model().eval()
    batches, order = batched(talks(), independent=True)
    losses, tokens = answer_losses(model, batches), answer_tokens(batches)
    assert (order, tokens) == ([1, 0, 2], [5, 2, 3])
    mean, count = model(batches[0])
    assert count == sum(tokens)
    assert float(losses.sum()) / count == pytest.approx(float(mean.detach()), rel=1e-5)
    alone = [answer_losses(model, batched([talks()[number]], independent=True)[0]) for number in order]
    torch.testing.assert_close(losses, torch.cat(alone), rtol=1e-4, atol=1e-4)
