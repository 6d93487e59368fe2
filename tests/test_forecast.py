"""The papers' counts and ratios come out of params.yaml; hours come from the best that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steering import layout
from steering.forecast import Forecast, notes, worst
from steering.graph import words_of
from steering.hours import CPU_FLOPS, GPU_FLOPS
from steering.manifest import write_json
from steering.params import load
from steering.plan import Plan
from steering.standing import Standing

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "tests/example.yaml").read_text(encoding="utf-8")
PAPERS = """
  paper:
    title: The papers' arms
    question: What do they weigh?
    world: papers
    arms: [none, full, lora, adapter, oft, ia3, mores, mores8]
    seeds: [0]
"""
ARMS = """
  full: {method: full}
  lora: {method: lora}
  adapter: {method: adapter}
  oft: {method: oft}
  ia3: {method: ia3}
  mores: {method: mores}
  mores8: {method: mores, rank: 8}
"""
WORLD = """
  papers:
    language_model: phi
    vision_encoder: siglip
    connector: mlp2_gelu
    template: phi
    tune: {steps: 10, conversations: 2, connector_learning_rate: 2e-4, method_learning_rate: 2e-4}
    gpus: 1
"""
PHI = """
  phi:
    config: {model_type: phi, hidden_size: 2560, num_hidden_layers: 32, num_attention_heads: 32,
             intermediate_size: 10240, vocab_size: 51200}
"""
SIGLIP = "\n  siglip: {kind: siglip, config: {hidden_size: 1152, num_hidden_layers: 27}, tokens: 729, width: 1152}\n"


def with_papers() -> str:
    text = TEXT
    for head, added in (
        ("experiments:\n", PAPERS),
        ("\narms:\n", ARMS),
        ("\nworlds:\n", WORLD),
        ("language_models:\n", PHI),
        ("vision_encoders:\n", SIGLIP),
    ):
        assert text.count(head) == 1
        text = text.replace(head, head + added.removeprefix("\n"))
    return text


@pytest.fixture
def forecast(tmp_path, monkeypatch) -> Forecast:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(with_papers(), encoding="utf-8")
    plan = Plan(load(Path("params.yaml")))
    return Forecast(plan, Standing(plan))


def arms(forecast: Forecast, experiment: str) -> dict[str, dict[str, Any]]:
    return {arm["arm"]: arm for arm in forecast.experiment(experiment)["arms"]}


def trained(forecast: Forecast, arm: str, *, seconds: float, threads: int, seed: int = 0, **facts: Any) -> None:
    """The manifest that a finished run of *arm* in world small leaves."""
    run = next(run for run in forecast.plan.runs("table") if run.arm == arm)
    words = words_of(run) | {"seed": seed}
    told = {"kind": "tune", "slice": forecast.plan.tune(**words), "inputs": {}, "outputs": {}}
    told |= {"command": f"x.json --threads {threads}", "runtime_seconds": seconds, "peak_memory_bytes": 7}
    write_json(layout.run(**words) / "manifest.json", told | facts)


@pytest.mark.parametrize(
    ("arm", "count", "papers"),
    [
        ("none", 0, 0),
        ("full", 2_779_683_840, 2_779_683_840),
        ("lora", 188_743_680, 188_743_680),
        ("adapter", 83_886_080, 83_886_080),
        ("oft", 19_537_920, 39_321_600),
        ("ia3", 491_520, 491_520),
        ("mores", 163_872, 163_872),
        ("mores8", 1_310_976, 1_310_976),
    ],
)
def test_counts_at_3b_are_the_papers(forecast, arm, count, papers):
    found = arms(forecast, "paper")[arm]
    assert (found["trainable_llm"], found["papers_count"]) == (count, papers)
    assert found["trainable_all"] == count + 9_507_840
    assert sum(found["sites"].values()) == count


def test_lora_is_1150_times_mores_and_20_times_with_the_connector(forecast):
    mores = arms(forecast, "paper")["mores"]
    assert mores["fewer_than_lora"] == pytest.approx(1151.8, abs=0.1)
    assert mores["fewer_than_lora_with_connector"] == pytest.approx(20.5, abs=0.01)
    assert mores["fewer_than_full"] == pytest.approx(16_962.5, abs=0.1)


def test_there_is_no_ratio_to_an_arm_that_is_not_there(forecast):
    assert not [key for key in arms(forecast, "table")["edit"] if key.startswith("fewer_than_full")]
    assert arms(forecast, "table")["none"]["fewer_than_lora"] is None


def test_an_experiment_without_data_is_sized_and_has_no_jobs(forecast):
    told = forecast.experiment("paper")
    assert (told["data"], told["jobs"], told["device"]) == (None, {}, "gpu")
    assert {arm["runs"] for arm in told["arms"]} == {0}
    assert all(arm["hours"] > 0 and arm["hours_left"] is None for arm in told["arms"])


def test_without_any_run_hours_follow_from_flops_and_an_assumed_rate(forecast):
    gpu, cpu = arms(forecast, "paper")["lora"], arms(forecast, "table")["low"]
    assert (gpu["hours_from"], cpu["hours_from"]) == ("assumed", "assumed")
    assert gpu["tune_hours"] == pytest.approx(10 * gpu["step_flops"] / GPU_FLOPS / 3600)
    assert cpu["tune_hours"] == pytest.approx(5 * cpu["step_flops"] / CPU_FLOPS / 3600)
    assert cpu["predict_hours"] > 0


def test_a_finished_run_tells_the_hours_of_its_arm_and_scales_the_others(forecast):
    trained(forecast, "none", seconds=1800, threads=2)
    found = arms(forecast, "table")
    none, low = found["none"], found["low"]
    assert (none["hours_from"], none["tune_hours"], none["measured_peak_memory_bytes"]) == ("measured", 1.0, 7)
    assert low["hours_from"] == "scaled"
    assert low["tune_hours"] == pytest.approx(low["step_flops"] / none["step_flops"])


def test_another_seed_of_the_arm_is_measured_too(forecast):
    trained(forecast, "none", seconds=3600, threads=1, seed=4)
    assert arms(forecast, "table")["none"]["tune_hours"] == 1.0


def test_a_resumed_run_and_a_broken_manifest_tell_no_hours(forecast):
    trained(forecast, "none", seconds=1, threads=1, resumed_from=3)
    trained(forecast, "edit", seconds=1, threads=1, command="--threads many")
    trained(forecast, "low", seconds=1, threads=1, slice=None)
    assert {arm["hours_from"] for arm in arms(forecast, "table").values()} == {"assumed"}


def test_a_run_of_other_settings_scales_but_does_not_measure(forecast):
    recipe = forecast.plan.recipe("small", "none", "mix") | {"steps": 50}
    content = forecast.plan.tune("small", "mix", "none", 0) | {"recipe": recipe}
    trained(forecast, "none", seconds=36_000, threads=1, slice=content)
    none = arms(forecast, "table")["none"]
    assert none["hours_from"] == "scaled"
    assert none["tune_hours"] == pytest.approx(1.0)


def test_a_run_on_data_that_is_gone_does_not_measure(forecast):
    content = forecast.plan.tune("small", "mix", "none", 0) | {"data": "gone"}
    trained(forecast, "none", seconds=1, threads=1, slice=content)
    assert arms(forecast, "table")["none"]["hours_from"] == "scaled"


def test_hours_grow_with_seeds(forecast):
    one, two = arms(forecast, "table")["low"], arms(forecast, "longer")["low"]
    assert two["tune_hours"] == pytest.approx(2 * 10 * one["tune_hours"])
    assert two["disk_bytes"] == 2 * one["disk_bytes"]


def test_a_run_is_as_good_as_its_worst_job():
    assert worst({"tune": "done", "score": "done"}) == "done"
    assert worst({"tune": "done", "score": "missing"}) == "missing"
    assert worst({"tune": "stale", "score": "missing"}) == "stale"


def test_notes_speak_of_the_methods_that_are_there(forecast):
    table, paper = (" ".join(notes([forecast.experiment(name)])) for name in ("table", "paper"))
    assert "OFT" not in table
    assert "skew-symmetric" in paper
    assert "1,310,976" in paper
    assert "Dead" in paper
