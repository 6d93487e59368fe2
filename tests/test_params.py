"""params.yaml is checked as a whole: every fault with its path, what was found, what is allowed, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from steering.errors import ParamsError
from steering.params import load
from steering.references import RULES
from tests.params_text import TINY

ROOT = Path(__file__).resolve().parent.parent


def test_the_projects_own_params_are_valid():
    params = load(ROOT / "params.yaml")
    assert params.default in params.experiments
    assert len(params.experiments) >= 2


def test_the_tiny_params_are_valid(loaded):
    assert loaded().worlds["small"].tune.steps == 5


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ParamsError, match=r"nowhere\.yaml: no such file"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("rank: 1", "rnak: 1"), "arms.edit.rnak: unknown; allowed here: method, rank, token_ratio, tokens, layers"),
        (("tune: {steps", "tune: {stesp"), "worlds.small.tune.stesp: unknown; allowed here: steps, conversations"),
        (("arms: [none, edit]", "arms: [none, edti]"), "experiments.table.arms: edti is unknown; allowed: none, edit"),
        (("world: small", "world: smal"), "experiments.table.world: smal is unknown; allowed: small"),
        (("data: mix", "data: mxi"), "experiments.table.data: mxi is unknown; allowed: mix"),
        (("default: table", "default: tabel"), "default: tabel is unknown; allowed: table"),
        (("language_model: lm", "language_model: ml"), "worlds.small.language_model: ml is unknown; allowed: lm"),
        (("{shapes: {questions", "{shape: {questions"), "worlds.small.mixtures.mix.shares: shape is unknown"),
        (("sources: [wheel]", "sources: [weel]"), "worlds.small.datasets.pictures.sources: weel is unknown"),
        (("      dataset: pictures", "      dataset: picture"), "worlds.small.pretrain.dataset: picture is unknown"),
        (("builder: easy_vqa", "builder: easyvqa"), "worlds.small.datasets.pictures.builder: found 'easyvqa'"),
    ],
)
def test_a_misspelling_names_its_path_what_is_allowed_and_the_nearest(faults, change, told):
    found = next(fault for fault in faults(change) if fault.startswith(told))
    old, new = (next(iter(set(re.findall(r"\w+", a)) - set(re.findall(r"\w+", b)))) for a, b in (change, change[::-1]))
    assert new in found
    assert found.endswith(f"(did you mean {old}?)") or old == "lm"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("points: 8, radius: 0.5", "found points 8 a side; allowed: an odd number"),
        ("points: 5, radius: 0.4", "found radius 0.4; allowed: from one step of the plane up to its span 1.0"),
        ("points: 5, radius: 1.1", "found radius 1.1; allowed: from one step of the plane up to its span 1.0"),
    ],
)
def test_a_landscape_has_its_trained_point_in_the_middle_and_its_radius_on_the_plane(faults, wanted, told):
    settings = f"analyses: {{landscape: {{conversations: 4, span: 1.0, directions: 3, {wanted}}}}}"
    found = faults(("    tune: {steps", f"    {settings}\n    tune: {{steps"))
    assert [fault.startswith(f"worlds.small.analyses.landscape: {told}") for fault in found] == [True]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        *(
            (
                ("  none: {", f"  {name}: {{method: none}}\n  none: {{"),
                f"arms.{name}: tables have a row of that name already; allowed: another name",
            )
            for name in ("start", "blind", "majority")
        ),
        (("rank: 1", "rank: 9"), "arms.edit.rank: 9 is above the hidden size; allowed 1..8"),
        (("rank: 1", "rank: 0"), "arms.edit.rank: found 0; allowed: greater than or equal to 1"),
        (("rank: 1", "rank: 1.5"), "arms.edit.rank: found 1.5; allowed: a valid integer"),
        (("rank: 1", 'rank: "1"'), "arms.edit.rank: found '1'; allowed: a valid integer"),
        (("rank: 1", "rank: true"), "arms.edit.rank: found True; allowed: a valid integer"),
        (("token_ratio: 0.5", "token_ratio: 0"), "arms.edit.token_ratio: found 0; allowed: greater than 0"),
        (
            ("token_ratio: 0.5", "token_ratio: 1.5"),
            "arms.edit.token_ratio: found 1.5; allowed: less than or equal to 1",
        ),
        (("token_ratio: 0.5", "token_ratio: .nan"), "arms.edit.token_ratio: found nan; allowed: a finite number"),
        (("token_ratio: 0.5", "token_ratio: 0.2"), "arms.edit.token_ratio: 0.2 selects nothing of 4 visual tokens"),
        (("rank: 1", "rank: 1, layers: [4]"), "arms.edit.layers: 4 outside the model; allowed 0..3"),
        (("rank: 1", "rank: 1, layers: []"), "arms.edit.layers: empty; allowed 0..3"),
        (("rank: 1", "rank: 1, layers: [1, 1]"), "arms.edit.layers: 1 more than once; allowed once each"),
        (("rank: 1", "rank: 1, layers: first_5"), "arms.edit.layers: first_5 of 4 layers; allowed first_1..first_4"),
        (("steps: 5", "steps: 0"), "worlds.small.tune.steps: found 0; allowed: greater than or equal to 1"),
        (("learning_rate: 1e-3}", "learning_rate: .inf}"), "worlds.small.pretrain.warm_start.learning_rate: found inf"),
        (("seeds: [0]", "seeds: [0, 1, 0]"), "experiments.table.seeds: 0 is given twice; once is allowed"),
        (("seeds: [0]", "seeds: []"), "experiments.table.seeds: found []; allowed: at least 1 item"),
        (("seeds: [0]", "seeds: [-1]"), "experiments.table.seeds.0: found -1; allowed: greater than or equal to 0"),
        (("[none, edit]", "[none, edit, edit]"), "experiments.table.arms: edit is given twice; once is allowed"),
        (("[none, edit]", "[edit]"), "experiments.table.control: none is unknown; allowed: edit"),
        (
            ("hidden_size: 8, ", ""),
            "language_models.lm.config.hidden_size: missing; needed here: model_type, hidden_size",
        ),
        (("hidden_size: 8", "hidden_size: wide"), "language_models.lm.config.hidden_size: found 'wide'; allowed: "),
        (
            ("connector: linear", "connector: linear\n    engine: {zero: 4}"),
            "worlds.small.engine.zero: found 4; allowed: ",
        ),
        (
            ("connector: linear", "connector: linear\n    engine: {processes: 2}"),
            "worlds.small.engine: found kind torch with zero 0 and processes 2; allowed: zero 0 and one process",
        ),
        (
            ("connector: linear", "connector: linear\n    engines: {mroes: {}}"),
            "worlds.small.engines.mroes",
        ),
    ],
)
def test_a_value_out_of_range_names_the_range(faults, change, told):
    assert any(fault.startswith(told) for fault in faults(change)), faults(change)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("kind: https", "kind https is unknown; allowed: pypi, http, hub, manual"),
        (
            "kind: hub, repo: a/b, revision: main, files: [x], licence: l, attribution: a",
            "sources.wheel.revision: found 'main'",
        ),
        ("kind: http, url: 'ftp://a/b', licence: l, attribution: a", "sources.wheel.url: found 'ftp://a/b'"),
    ],
)
def test_a_source_is_of_a_known_kind_and_pinned(faults, source, told):
    whole = 'kind: pypi, package: p, version: "1.0", sha256: "' + 64 * "0" + '", licence: MIT, attribution: someone'
    assert any(told in fault for fault in faults((whole, source))), faults((whole, source))


def test_an_unknown_method_names_the_nearest(faults):
    methods = "none, full, lora, adapter, oft, ia3, mores, mrt, loreft"
    told = faults(("method: mores", "method: morse"))
    assert f"arms.edit: method morse is unknown; allowed: {methods} (did you mean mores?)" in told


def test_all_faults_are_told_at_once_whatever_their_kind(faults):
    found = faults(
        ("arms: [none, edit]", "arms: [none, edti]"),  # a name that is nowhere
        ("edit: {method: mores, rank: 1", "edit: {method: mores, rnk: 1"),  # a key that is nowhere
        ("{steps: 5", "{steps: five"),  # a wrong type
        ("form: vqa", "form: vqaa"),  # a wrong choice
        ("world: small", "wrold: small"),  # a key that others depend on
        ("default: table", "default: tables"),
    )
    assert sorted(fault.split(":")[0] for fault in found) == [
        "arms.edit.rnk",
        "default",
        "experiments.table.arms",
        "experiments.table.world",
        "experiments.table.wrold",
        "worlds.small.benchmarks.shapes.form",
        "worlds.small.tune.steps",
    ]


def test_a_misspelt_key_hides_no_setting_that_does_not_fit_the_model(faults):
    found = faults(("rank: 1", "rank: 9"), ("turns: 2", "trns: 2"))
    assert "arms.edit.rank: 9 is above the hidden size; allowed 1..8 (in experiments.table, world small)" in found
    assert any(fault.startswith("worlds.small.mixtures.mix.trns: unknown") for fault in found)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_experiment_is_called_like_a_rule(faults, rule):
    assert f"experiments.{rule}: {rule} is the name of a rule; allowed: any other name" in faults(
        ("  table:", f"  {rule}:"), ("default: table", f"default: {rule}")
    )


def test_every_rule_of_the_workflow_is_a_reserved_name():
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    rules = {name for file in files for name in re.findall(r"^rule (\w+):", file.read_text(), re.MULTILINE)}
    assert rules == RULES


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("  table:", "  runs:"), "experiments.runs: runs is the name of the folder of all runs"),
        (
            ("{pictures: {builder", "{features: {builder"),
            "worlds.small.datasets.features: features is the name of a folder",
        ),
        (
            ("{pictures: {builder", "{checks: {builder"),
            "worlds.small.datasets.checks: checks is the name of a folder",
        ),
        (
            ("{pictures: {builder", "{mixtures: {builder"),
            "worlds.small.datasets.mixtures: mixtures is the name of a folder",
        ),
    ],
)
def test_no_name_falls_onto_a_folder_of_the_layout(faults, change, told):
    assert any(fault.startswith(told) for fault in faults(change))


def test_experiments_of_one_world_measure_attention_on_one_benchmark(faults):
    more = (
        "      other: {form: vqa, dataset: pictures, ask: {questions: 2, per_picture: 1}, title: Other}\n    pretrain:"
    )
    table = TINY[TINY.index("  table:") : TINY.index("arms:\n")]
    second = table.replace("  table:", "  second:").replace("shapes", "other")
    assert faults(("    pretrain:", more), ("arms:\n  none", second + "arms:\n  none")) == [
        "experiments.second.attention.benchmark: other in world small; allowed: shapes, as in experiments.table"
    ]


@pytest.mark.parametrize(("layers", "wrong"), [("[1, 4]", []), ("[0, 4, 5]", [0, 5])])
def test_maps_are_of_layers_that_the_language_model_has(loaded, layers, wrong):
    asked = f"    analyses: {{maps: {{benchmark: shapes, questions: 2, layers: {layers}}}}}\n    pretrain:"
    if not wrong:
        assert loaded(("    pretrain:", asked)).worlds["small"].analyses.maps.layers == [1, 4]
        return
    with pytest.raises(ParamsError) as caught:
        loaded(("    pretrain:", asked))
    where, allowed = "worlds.small.analyses.maps.layers", "allowed: 1..4, the language model's layers"
    told = [fault.split("params.yaml: ", 1)[1] for fault in caught.value.faults]
    assert told == [f"{where}: {layer}; {allowed}" for layer in wrong]


@pytest.mark.parametrize(
    ("layers", "wrong"),
    [("[0, 3]", ""), ("deep", ""), ("[0, 4]", "4 outside the model; allowed 0..3"), ("[1, 1]", "1 more than once")],
)
def test_token_control_edits_layers_that_the_language_model_has(loaded, layers, wrong):
    asked = "    analyses: {token_control: {benchmark: shapes, questions: 2, tokens: [1], rank: 1, "
    asked += f"layers: {layers}, steps: 1, learning_rate: 1e-3, bystanders: 1}}}}\n    pretrain:"
    if not wrong:
        assert loaded(("    pretrain:", asked)).worlds["small"].analyses.token_control
        return
    with pytest.raises(ParamsError, match=rf"worlds.small.analyses.token_control.layers: {wrong}"):
        loaded(("    pretrain:", asked))
