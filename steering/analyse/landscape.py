"""The loss on a plane and along rays through what a run trained (Li et al. 2018, *Visualizing the Loss Landscape*).

    L(a, b) = loss(theta + a d1 + b d2)     theta: all that the run trained (method, connector, encoder); the rest stays
    d       = normal random numbers, each filter of them scaled to the norm of the same filter of theta

So ||d|| = ||theta||: a step of 1 is as long as what was trained. The loss is the training's: cross-entropy in nats,
mean over the answer tokens of conversations that are the same for every arm. Equal parts of two arms (the connector)
draw equal numbers, for a direction follows from its name and the parameter's alone.

A filter is a row of a matrix (all that makes one number of its output), or a whole vector, also one that is stored as
a matrix of one row or column. Of what an editor writes with (R, W_up: D x r) it is a column, a direction of the
hidden space: a row would be r numbers, of which filter normalisation leaves a rank of 1 nothing but the sign. A filter
that is 0 stays 0. Li et al. leave vectors where they are; here they move, for IA3 trains nothing else.

A tied editor trains a matrix `basis` and edits with R, its orthonormal Q. It is `basis` that moves, and R follows:
stretching a column does not change R, which is just what filter normalisation takes out, and a step of t across a
column turns R by arctan t, 27 degrees at 0.5 and never more than 90. W and b move without such a bound. So along R the
landscape is one of angles, and it flattens far out where R has become the random direction's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from steering.data.collate import Batch, Sample, collate
from steering.manifest import digest
from steering.model.composed import ComposedModel

Weights = dict[str, Tensor]
WRITES = re.compile(r"steering_editors\..*\.(basis|up)$")
AT_ONCE = 8
"""Conversations that go through the model at once."""


def filter_norms(name: str, weight: Tensor) -> Tensor:
    """The norm of each filter of the parameter *name*, in a shape that *weight* can be multiplied by; float32."""
    if max(weight.shape) == weight.numel():
        over = tuple(range(weight.ndim))
    else:
        over = (0,) if WRITES.search(name) else tuple(range(1, weight.ndim))
    return torch.linalg.vector_norm(weight.float(), dim=over, keepdim=True)


def direction(weights: Weights, draw: str) -> Weights:
    """The filter-normalised random direction named *draw* around *weights*: float32, on the CPU."""
    found = {}
    for name, weight in weights.items():
        plain = name.replace("base_layer.", "")  # so that an edited connector draws what a bare one does
        seed = int(digest([draw, plain]), 16)
        drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        found[name] = drawn * (filter_norms(name, weight) / filter_norms(name, drawn))
    return found


def cosine(first: Weights, second: Weights) -> float:
    """Between two directions; 0 is at right angles."""
    return _dot(first, second) / (_dot(first, first) * _dot(second, second)) ** 0.5


def _dot(first: Weights, second: Weights) -> float:
    return sum(float((weight.double() * second[name]).sum()) for name, weight in first.items())


class Walk:
    """Moves parameters off what was trained; when the block ends they are again, to the last bit, what they were."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]):
        self.parameters = parameters
        self.trained: Weights = {name: p.detach().to("cpu", copy=True) for name, p in parameters.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.to()

    @torch.no_grad()
    def to(self, *steps: tuple[float, Weights]) -> None:
        """Stand at theta + the sum of size x direction; without steps at theta."""
        for name, parameter in self.parameters.items():
            place = self.trained[name].float()
            for size, way in steps:
                place = place + size * way[name]
            parameter.copy_(place)


class Landscape:
    """What is measured around *walk*'s trained point, in units that can be measured one by one and in any order.

    losses: gives (c,), the loss of each conversation where the parameters stand. wanted: points, span, radius and
    directions (steering.params.analyses.Landscape). The rays' directions are others than the plane's.
    """

    def __init__(self, losses: Callable[[], Tensor], walk: Walk, wanted: Mapping[str, Any]):
        self.losses, self.walk, self.wanted = losses, walk, wanted
        self.axis = axis(wanted["points"], wanted["span"])
        self.plane = [direction(walk.trained, f"plane {number}") for number in (1, 2)]

    @property
    def units(self) -> list[str]:
        """The trained point, each ray both ways, and each row of the plane."""
        rays = [f"ray {number}" for number in range(self.wanted["directions"])]
        return ["trained", *rays, *(f"row {number}" for number in range(len(self.axis)))]

    def measure(self, unit: str) -> list[list[float]]:
        """The conversations' losses at each point of *unit*: one, the two ends of a ray, or a row by rising a."""
        found = []
        for steps in self._points(unit):
            self.walk.to(*steps)
            found.append([float(loss) for loss in self.losses()])
        return found

    def _points(self, unit: str) -> Iterator[list[tuple[float, Weights]]]:
        kind, _, number = unit.partition(" ")
        if kind == "trained":
            yield []
        elif kind == "ray":
            way, radius = direction(self.walk.trained, unit), self.wanted["radius"]
            yield from ([(size, way)] for size in (radius, -radius))
        else:
            first, second = self.plane
            yield from ([(a, first), (self.axis[int(number)], second)] for a in self.axis)


def axis(points: int, span: float) -> list[float]:
    """*points* evenly spaced steps from -span to span; the middle of an odd number of them is exactly 0."""
    return [span * (2 * number / (points - 1) - 1) for number in range(points)]


def batched(samples: Sequence[Sample], *, independent: bool) -> tuple[list[Batch], list[int]]:
    """*samples* in batches, the longest first so that they pad least, and which sample each row is."""
    lengths = [one.places + sum(len(turn.question) + len(turn.answer) for turn in one.turns) for one in samples]
    order = sorted(range(len(samples)), key=lambda number: -lengths[number])
    chunks = [order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)]
    return [collate([samples[number] for number in chunk], independent=independent) for chunk in chunks], order


@torch.no_grad()
def answer_losses(model: ComposedModel, batches: Sequence[Batch]) -> Tensor:
    """(c,) summed cross-entropy of each row's answer tokens in nats, float64 on the CPU, row after row."""
    return torch.cat([_of_rows(model, batch) for batch in batches])


def answer_tokens(batches: Sequence[Batch]) -> list[int]:
    """How many answer tokens each row's loss is a sum over."""
    return [int(count) for batch in batches for count in batch.marks.answer[:, 1:].sum(1)]


def _of_rows(model: ComposedModel, batch: Batch) -> Tensor:
    hidden = model.hidden(batch, use_cache=False).last_hidden_state  # (b, t, d)
    supervised = batch.marks.answer[:, 1:]  # a token is predicted from the position before it
    logits = model.logits(hidden[:, :-1][supervised])  # (n, vocabulary)
    each = functional.cross_entropy(logits, batch.input_ids[:, 1:][supervised], reduction="none").cpu()  # (n,)
    rows = supervised.nonzero()[:, 0].cpu()
    return torch.zeros(len(supervised), dtype=torch.float64).index_add_(0, rows, each.double())


def described(parts: Mapping[str, Weights]) -> dict[str, dict[str, float]]:
    """Of each part that was trained: parameters, tensors, filters, how many of these are 0 and stay, and its norm."""
    told = {}
    for part, own in parts.items():
        if own:
            norms = torch.cat([filter_norms(name, weight).flatten() for name, weight in own.items()])
            told[part] = {
                "parameters": sum(weight.numel() for weight in own.values()),
                "tensors": len(own),
                "filters": len(norms),
                "still": int((norms == 0).sum()),
                "norm": float(norms.double().norm()),
            }
    return told
