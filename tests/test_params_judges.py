"""Judges in params.yaml: taken by name, their prompts pinned, their keys neither written down nor told."""

from __future__ import annotations

from typing import get_args

import pytest

from steering.evaluate.benchmarks import FORMS
from steering.evaluate.judge import JudgedForm as takes_a_judge
from steering.params.judges import JudgedForm

PROMPT = f"{{file: prompts/mmvet.txt, sha256: '{'0' * 64}'}}"
JUDGED = (
    ("worlds:\n", f"judges:\n  gpt: {{url: 'https://host/v1', model: gpt-4, prompts: {{mmvet: {PROMPT}}}}}\nworlds:\n"),
    ("    template: chatml\n", "    template: chatml\n    judge: gpt\n"),
)


def test_a_world_takes_a_judge_by_name(loaded):
    params = loaded(*JUDGED)
    assert params.worlds["small"].judge == "gpt"
    assert params.judges["gpt"].prompts["mmvet"].file == "prompts/mmvet.txt"


def test_an_unknown_judge_names_the_nearest(faults):
    found = faults(JUDGED[0], ("    template: chatml\n", "    template: chatml\n    judge: gtp\n"))
    assert found == ["worlds.small.judge: gtp is unknown; allowed: gpt (did you mean gpt?)"]
    assert faults(JUDGED[1]) == ["worlds.small.judge: gpt is unknown; allowed: "]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([("model: gpt-4,", "model: gpt-4, key_variable: sk-secret,")], ["key_variable: no variable's name"]),
        ([("https://host/v1", "https://me:sk-secret@host/v1")], ["url: no bare address"]),
        ([("https://host/v1", "https://host/v1?key=sk-secret")], ["url: no bare address"]),
        (
            [("https://host/v1", "ftp://sk-secret"), ("model: gpt-4,", "model: gpt-4, key_variable: sk-secret,")],
            ["url: no bare address", "key_variable: no variable's name"],
        ),
    ],
)
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_repeated(faults, changes, told):
    (found,) = faults(*JUDGED, *changes)
    assert found.startswith("judges.gpt: found ")
    assert all(words in found for words in told)
    assert "secret" not in found


def test_a_judges_prompt_is_pinned(faults):
    (found,) = faults(*JUDGED, (f", sha256: '{'0' * 64}'", ""))
    assert found == "judges.gpt.prompts.mmvet.sha256: missing; needed here: file, sha256"


def test_only_forms_that_take_a_judge_have_a_prompt(faults):
    (found,) = faults(*JUDGED, ("prompts: {mmvet:", "prompts: {vqa:"))
    assert found.startswith("judges.gpt.prompts.vqa")
    assert "'mmvet' or 'hallusion'" in found
    assert set(get_args(JudgedForm)) == {name for name, form in FORMS.items() if isinstance(form, takes_a_judge)}
