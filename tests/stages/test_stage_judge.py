"""The judge stage asks what the forms want asked, keeps what was answered, and says why where there is no verdict."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from answered import OUT, mmvet_pairs, put_answers, run_slice

from stages import judge
from steering import layout
from steering.evaluate.benchmarks import Example
from steering.manifest import read_json
from tests.evaluate.judge_endpoint import KEY, reply, serving


@pytest.fixture
def endpoint(monkeypatch, here):
    with serving(monkeypatch) as server:
        yield server


def content(endpoint, form="mmvet", text="Grade it.\n", **more):
    Path("prompt.txt").write_text(text)
    told = {"file": "prompt.txt", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    about = {"name": "gpt", "url": endpoint.url, "model": "gpt-4-0613", "key_variable": "JUDGE_KEY", "tries": 1}
    about |= {"parallel": 1, "timeout_seconds": 5, "prompts": {"graded": told}}
    return run_slice(judge=about | more, forms={"graded": form})


def verdicts():
    return read_json(OUT / "verdicts.json")


def test_answers_get_the_judges_grades(endpoint):
    put_answers({("graded", "test"): mmvet_pairs(), ("other", "test"): mmvet_pairs(1)})
    asked = content(endpoint)
    endpoint.script = [reply("1.0"), reply("0.5"), reply("0.0")]
    judge.main(asked)
    (entry,) = verdicts()
    assert (entry["benchmark"], entry["split"]) == ("graded", "test")
    assert entry["prompt"] == asked["judge"]["prompts"]["graded"]["sha256"]
    assert sorted(one["value"] for one in entry["verdicts"].values()) == [0.0, 0.5, 1.0]
    assert endpoint.requests[0]["messages"][0]["content"].startswith("Grade it.\n\nq")


def test_what_was_answered_is_never_asked_again(endpoint):
    put_answers({("graded", "test"): mmvet_pairs()})
    judge.main(content(endpoint))
    first = (OUT / "verdicts.json").read_bytes()
    (OUT / "verdicts.json").unlink()
    judge.main(content(endpoint))
    assert (OUT / "verdicts.json").read_bytes() == first
    assert len(endpoint.requests) == 3


def test_no_file_and_no_output_holds_the_key(endpoint, capfd):
    put_answers({("graded", "test"): mmvet_pairs()})
    endpoint.script = [(401, {}, f'{{"error": "Incorrect API key provided: {KEY}"}}'.encode())]
    judge.main(content(endpoint))
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert layout.verdicts("gpt") not in files  # nothing was answered
    assert all(KEY.encode() not in path.read_bytes() for path in files)
    assert KEY not in "".join(capfd.readouterr())
    assert {one["value"] for one in verdicts()[0]["verdicts"].values()} == {None}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"key_variable": "NO_SUCH_KEY"}, "judge.key_variable: NO_SUCH_KEY is not set"),
        ({"prompts": {"graded": {"file": "prompt.txt", "sha256": "0" * 64}}}, f"allowed is {'0' * 64}"),
        ({"prompts": {"graded": {"file": "none.txt", "sha256": "0" * 64}}}, "none.txt: no readable text"),
    ],
    ids=["key", "other prompt", "no prompt"],
)
def test_a_judge_that_cannot_be_asked_leaves_the_reason(endpoint, change, why):
    put_answers({("graded", "test"): mmvet_pairs()})
    judge.main(content(endpoint, **change))
    (entry,) = verdicts()
    assert why in entry["why"]
    assert "verdicts" not in entry
    assert endpoint.requests == []


def test_a_form_that_takes_no_judge_is_told(endpoint):
    put_answers({("graded", "test"): mmvet_pairs()})
    judge.main(content(endpoint, form="pope"))
    assert verdicts()[0]["why"].startswith("pope is scored by its own rule and takes no judge")


def test_hallusionbench_is_judged_by_its_reference_in_words(endpoint):
    one = Example("0/VD/chart/0/0/0", "a.png", "p", "yes", ("yes", "The bar is longer."), question="Longer?")
    bare = Example("1/VD/chart/0/1/0", "a.png", "p", "yes", ("yes",), question="Longer?")
    put_answers({("graded", "test"): [(one, "Yes, it is.")]})
    text = "Q {question} R {reference} P {prediction}"
    endpoint.script = [reply("Incorrect.")]
    judge.main(content(endpoint, form="hallusion", text=text))
    assert endpoint.requests[0]["messages"][0]["content"] == "Q Longer? R The bar is longer. P Yes, it is."
    assert verdicts()[0]["verdicts"][one.id]["value"] == 0
    put_answers({("graded", "test"): [(bare, "Yes.")]})
    judge.main(content(endpoint, form="hallusion", text=text))
    assert "no gt_answer_details" in verdicts()[0]["why"]
