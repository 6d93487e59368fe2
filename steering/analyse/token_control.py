"""Control by token editing: an edit of a few tokens of one question, trained until the model gives a chosen answer.

    minimise -log p(target | picture, question; edit)    over the edit alone, by Adam, the run's weights frozen

MRT's experiment, whose code was never released; the definition is ours. The edit is the papers' (a tied editor of rank
r in each of `layers`, behind the run's own edits), put where a case says (steering.analyse.control_cases). It starts at
the identity and is trained until the target has the probability `confidence`, for at most `steps` steps: beyond one
half, every token of the target is the likeliest one, so the greedy answer is the target; and an edit that went on
would only grow. With the edit in place the question and its bystanders are asked again, side by side as before.

success   the greedy answer is the target, to the letter
decoy     the greedy answer is another one drawn alike, for which nothing was trained
gain      log-likelihood of the target, closing token included, with the edit less without it (nats)
norm      mean over edited tokens and layers of |h' - h| / |h|
changed   bystanders whose greedy answer is another with the edit than without

Shapes: n edited positions, d hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import exp
from typing import Any

import torch
from torch import Tensor, nn

from steering.analyse.control_cases import Case, Record, Try
from steering.data.collate import Batch, collate
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.predict import Pack, Question, predict
from steering.evaluate.scoring import example_of
from steering.methods.in_place import edited
from steering.methods.selectors import PatchSelector, Selector, SuffixSelector
from steering.model.composed import ComposedModel

Settings = Mapping[str, Any]


def control(
    model: ComposedModel, samples: Any, case: Case, *, wanted: Settings, forms: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A line for each try of *case*, in their order; *model* is afterwards as it was.

    samples: steering.assemble.Samples; wanted: rank, layers, steps, learning_rate and confidence; forms: of benchmarks.
    """
    model.requires_grad_(False)
    batch = packs(case, forms)
    before = _said(model, samples, batch)
    target, decoy = case.drawn(before[0])
    taught = collate([samples.sample(case.question["picture"], [(case.question["prompt"], target)])]).to(model.device)
    common = {**_about(case), "before": before[0], "aim": target, "decoy": decoy}
    lines = []
    for one in case.tries:
        with edited(model, selector(one), rank=wanted["rank"], layers=wanted["layers"], seed=0) as editors:
            found = train(model, taught, editors, {**wanted, **({"steps": 0} if one.kind == "none" else {})})
            after = _said(model, samples, batch)
        asked = {"same": _collateral(case.same, before, after, forms, start=1)}
        others = [record for pack in case.others for record in pack]
        asked["others"] = _collateral(others, before, after, forms, start=1 + len(case.same))
        told = {"kind": one.kind, "tokens": one.tokens, "patches": list(one.patches), "after": after[0]}
        hit = {"success": float(after[0] == target), "decoy_hit": None if decoy is None else float(after[0] == decoy)}
        lines.append({**common, **told, **hit, **found, **asked})
    return lines


def selector(one: Try) -> Selector:
    """Which positions *one* edits."""
    return PatchSelector(one.patches) if one.patches else SuffixSelector(one.tokens)


def packs(case: Case, forms: Mapping[str, str]) -> list[Pack]:
    """The question with the bystanders about its picture, and those about each other picture."""
    together = [(case.question, *case.same), *case.others]
    return [[_question(record, forms) for record in records] for records in together]


def train(model: ComposedModel, taught: Batch, editors: nn.ModuleList, wanted: Settings) -> dict[str, float]:
    """Train *editors* on the one answer of *taught* until it is likely enough; what came of it.

    wanted: steps (at most), learning_rate, confidence. gain is 0 and norm is 0 of 0 steps.
    """
    optimiser = torch.optim.Adam(editors.parameters(), lr=wanted["learning_rate"])
    likelihoods: list[float] = []
    with _measured(editors) as norms:
        for step in range(wanted["steps"] + 1):
            norms.clear()
            loss, count = model(taught)
            likelihoods.append(-float(loss.detach()) * count)
            if step == wanted["steps"] or exp(likelihoods[-1]) >= wanted["confidence"]:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    last, moved = likelihoods[-1], float(torch.cat(norms).mean()) if norms else 0.0
    facts = {"steps": len(likelihoods) - 1, "edited": len(norms[0]) if norms else 0, "norm": moved}
    return {**facts, "log_likelihood": last, "gain": last - likelihoods[0], "probability": exp(last)}


@contextmanager
def _measured(editors: nn.ModuleList) -> Iterator[list[Tensor]]:
    """A list that each editor's pass adds |h' - h| / |h| of its tokens to, (n,) on the CPU."""
    norms: list[Tensor] = []

    def look(module: nn.Module, states: tuple[Tensor, ...], changed: Tensor) -> None:
        before, after = states[0].detach().float(), changed.detach().float()  # (n, d)
        norms.append(((after - before).norm(dim=1) / before.norm(dim=1)).cpu())

    hooks = [editor.register_forward_hook(look) for editor in editors]
    try:
        yield norms
    finally:
        for hook in hooks:
            hook.remove()


def _said(model: ComposedModel, samples: Any, batch: Sequence[Pack]) -> list[str]:
    return [answer.said for answer in next(predict(model, samples, [list(batch)]))]


def _question(record: Record, forms: Mapping[str, str]) -> Question:
    longest = FORMS[forms[record["benchmark"]]].max_new_tokens
    named = {"split": record["split"], "max_new_tokens": longest}
    return Question(record["benchmark"], example_of(record), record["picture"], record["group"], **named)


def _about(case: Case) -> dict[str, Any]:
    names = ("benchmark", "split", "id", "group", "picture", "image", "question", "prompt", "target")
    return {name: case.question[name] for name in names}


def _collateral(
    records: Sequence[Record], before: Sequence[str], after: Sequence[str], forms: Mapping[str, str], *, start: int
) -> dict[str, float]:
    """Of the bystanders *records*, whose answers begin at *start*: how many, changed, and right before and after."""
    own = slice(start, start + len(records))
    right = {
        name: sum(_right(record, answer, forms) for record, answer in zip(records, said[own], strict=True))
        for name, said in (("right_before", before), ("right_after", after))
    }
    changed = sum(one != other for one, other in zip(before[own], after[own], strict=True))
    return {"asked": len(records), "changed": changed, **right}


def _right(record: Record, answer: str, forms: Mapping[str, str]) -> float:
    return FORMS[forms[record["benchmark"]]].outcome(example_of(record), answer)["correct"]
