"""Training an edit raises the target's likelihood, moves no weight of the run, and stops when it is sure enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp
from typing import Any

import pytest
import torch
from torch import nn

from steering.analyse.control_cases import Case, Try
from steering.analyse.token_control import control, train
from steering.arms import LoraSettings, MoresSettings, NoneSettings
from steering.data.collate import Batch, Sample, collate
from steering.data.templates import TEMPLATES, Scribe
from steering.methods.editor import Editor
from steering.methods.in_place import edited
from steering.methods.selectors import PatchSelector, SuffixSelector

ARMS = {"none": NoneSettings(), "lora": LoraSettings(rank=2), "mores": MoresSettings(rank=1)}
FORMS = {"pope": "pope"}
WANTED = {"rank": 2, "layers": "all", "steps": 25, "learning_rate": 0.05, "confidence": 0.9}


class Drawn:
    """Samples with a random picture for each name."""

    def __init__(self, tokenizer: Any):
        self.scribe = Scribe(tokenizer, TEMPLATES["chatml"])

    def sample(self, picture: str, turns: Any) -> Sample:
        features = torch.randn(4, 8, generator=torch.Generator().manual_seed(len(picture)))
        return Sample(self.scribe.opening, tuple(self.scribe.turn(*turn) for turn in turns), features)


@pytest.fixture
def samples(tokenizer) -> Drawn:
    return Drawn(tokenizer)


@pytest.fixture
def taught(samples) -> Batch:
    return collate([samples.sample("a", [("Is it?", "no")])])


@pytest.fixture(params=ARMS)
def model(request, make_model: Callable[..., Any]) -> Any:
    return make_model(ARMS[request.param]).eval().requires_grad_(False)


def record(number: int, picture: str) -> dict[str, Any]:
    told = {"id": str(number), "benchmark": "pope", "split": "test", "group": picture, "picture": picture}
    words = {"question": f"Is it {number}?", "prompt": f"Is it {number}?", "category": "random", "target": "yes"}
    return {**told, **words, "image": picture, "answers": ["yes"], "choices": []}


@pytest.fixture
def case() -> Case:
    tries = (Try("none", 1), Try("random", 2, (0, 3)), Try("text", 3))
    return Case(record(0, "a"), ("no", "yes"), tries, (record(1, "a"),), ((record(2, "bb"), record(3, "bb")),))


def trained(model: Any, taught: Batch, selector: Any, **wanted: Any) -> dict[str, float]:
    with edited(model, selector, rank=2, layers="all", seed=0) as editors:
        return train(model, taught, editors, WANTED | wanted)


@pytest.mark.parametrize("selector", [PatchSelector((1, 2)), SuffixSelector(1)])
def test_training_raises_the_targets_likelihood(selector, model, taught):
    found = trained(model, taught, selector)
    assert found["gain"] > 0.5 and found["norm"] > 0
    assert found["probability"] == pytest.approx(exp(found["log_likelihood"]))


def test_without_a_step_nothing_is_gained_or_moved(model, taught):
    found = trained(model, taught, SuffixSelector(2), steps=0)
    assert (found["steps"], found["gain"], found["norm"], found["edited"]) == (0, 0, 0, 2)
    loss, count = model(taught)
    assert found["log_likelihood"] == -float(loss) * count


def test_more_steps_go_on_from_the_same_ones(model, taught):
    likelihoods = [trained(model, taught, SuffixSelector(1), steps=n)["log_likelihood"] for n in (0, 2, 4)]
    assert likelihoods == sorted(likelihoods)


def test_training_stops_at_the_first_step_that_is_sure_enough():
    states = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))

    def told(steps: int) -> dict[str, float]:
        torch.manual_seed(0)
        editors = nn.ModuleList([Editor(4, 4, identity_start=True)])  # of full rank it can give any states
        answers = lambda taught: ((editors[0](states) - 1).square().mean(), 1)  # noqa: E731
        return train(answers, None, editors, WANTED | {"steps": steps})

    found = told(500)
    assert 0 < found["steps"] < 500 and found["probability"] >= WANTED["confidence"]
    assert told(found["steps"] - 1)["probability"] < WANTED["confidence"]
    assert told(found["steps"]) == found


def test_each_try_is_told_with_its_bystanders(model, samples, case):
    lines = control(model, samples, case, wanted=WANTED, forms=FORMS)
    assert [(line["kind"], line["edited"]) for line in lines] == [("none", 1), ("random", 2), ("text", 3)]
    first = lines[0]
    assert (first["success"], first["same"]["changed"], first["others"]["changed"]) == (0, 0, 0)
    assert first["same"]["right_before"] == first["same"]["right_after"]
    assert [(line["same"]["asked"], line["others"]["asked"]) for line in lines] == [(1, 2)] * 3
    assert len({line["aim"] for line in lines}) == 1


def test_the_runs_own_weights_are_the_same_bits_afterwards(model, samples, case):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    control(model, samples, case, wanted=WANTED, forms=FORMS)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_twice_is_the_same(model, samples, case):
    def told() -> list[Mapping[str, Any]]:
        return control(model, samples, case, wanted=WANTED, forms=FORMS)

    assert told() == told()
