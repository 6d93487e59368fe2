"""The code in a model card loads the run that it is of."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from tiny_world import MODEL, PRETRAIN, put_conversations, put_parts, tuning

from stages import connector, tune
from steering import layout
from steering.analyse.card import card
from steering.evaluate.results import RunResults
from steering.manifest import read_json
from steering.methods.adapters import load_adapter
from steering.model.composed import ComposedModel

MORES = {"method": "mores", "rank": 1}
FOLDER = layout.run("tiny", "mix", "edit", 0)


@pytest.fixture
def snippets(pictures, put_manifest, make_language_model, tokenizer) -> list[str]:
    """The Python in the card of a run that was trained here."""
    put_parts(make_language_model(), tokenizer, put_manifest)
    put_conversations(put_manifest)
    connector.main({**MODEL, "pretrain": PRETRAIN})
    tune.main(tuning("edit", MORES))
    told = read_json(FOLDER / "manifest.json")
    content = {"name": "table", "experiment": {"control": "none", "split": "test"}, "benchmarks": {}, "model": MODEL}
    content |= {"arms": {"edit": MORES}, "sources": {}}
    found = RunResults(told["run"], told, [], [], [], {}, {}, {}, FOLDER / "adapter")
    return re.findall(r"```python\n(.*?)```", card(content, found, None), re.DOTALL)


def test_both_ways_of_loading_give_the_trained_adapter(snippets):
    whole, alone = snippets
    seen: dict[str, Any] = {}
    exec(whole, seen)
    assert isinstance(seen["model"], ComposedModel)
    assert not any(parameter.requires_grad for parameter in seen["model"].parameters())
    exec(alone, seen)
    theirs = seen["model"].state_dict()
    note = read_json(FOLDER / "adapter" / "adapter_base.json")
    ours = load_adapter(
        seen["AutoModelForCausalLM"].from_pretrained("models/language/lm", dtype="float32"),
        FOLDER / "adapter",
        base_hash=note["base_hash"],
    ).state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)
