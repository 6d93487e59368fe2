"""`python -m stages.paper`: the papers' numbers beside what has been run, nothing made up for what has not."""

from __future__ import annotations

import json
from pathlib import Path

import invented
import pytest

from stages.paper import main
from steering import layout
from steering.errors import ParamsError
from steering.manifest import write_json

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = (ROOT / "tests/example.yaml").read_text(encoding="utf-8")
PAPER = "    paper: {table: 1, model: 3b, arms: {edit: mores_b, low: lora}, benchmarks: {shapes: pope}}\n"


@pytest.fixture
def params(here) -> str:
    path = here / "params.yaml"
    path.write_text(EXAMPLE.replace("    seeds: [0]\n", "    seeds: [0]\n" + PAPER, 1), encoding="utf-8")
    return str(path)


def told(params: str) -> dict[str, dict]:
    content = json.loads(main(["table", "--json", "--params", params]))
    return {place["arm"]: place for place in content["table"]["places"]}


def test_what_was_not_run_is_said_to_be_so_beside_the_papers_number(params):
    text = main(["table", "--params", params])
    lines = {line.split()[1]: line.split() for line in text.splitlines() if line.startswith("  POPE")}
    assert lines["edit"] == ["POPE", "edit", "mores_b", "not", "run", "87.6", "in", "form", "only"]
    assert {place["state"] for place in told(params).values()} == {"not run"}
    assert {place["value"] for place in told(params).values()} == {None}


def test_what_was_run_stands_beside_it(params):
    score = invented.score_file("lora", 0, "icons-pope") | {"benchmark": "shapes", "arm": "low"}
    write_json(layout.outcome("small", "mix", "low", 0) / "scores.json", [score, {**score, "split": "val"}])
    place = told(params)["low"]
    value = score["metrics"]["accuracy"]["value"]
    assert (place["state"], place["value"], place["printed"]) == ("scored", value, 87.9)
    assert place["difference"] == pytest.approx(100 * value - 87.9)
    assert told(params)["edit"]["state"] == "not run"


def test_a_sized_experiment_has_a_table_too(here):
    text = EXAMPLE.replace("    data: mix\n", "", 1).replace("    seeds: [0]\n", "    seeds: [0]\n" + PAPER, 1)
    (here / "params.yaml").write_text(text, encoding="utf-8")
    assert "Ours: none, for no data is named." in main(["table"])


def test_asking_writes_nothing(params, here):
    main(["table", "--params", params])
    assert [path.name for path in here.iterdir()] == ["params.yaml"]


def test_where_none_is_named_all_that_stand_beside_a_table_are_told(params):
    assert list(json.loads(main(["--json", "--params", params]))) == ["table"]


def test_an_experiment_beside_no_table_is_refused_with_those_that_are(params):
    with pytest.raises(ParamsError, match=r"experiment: longer without `paper`; allowed table"):
        main(["longer", "--params", params])
    with pytest.raises(ParamsError, match="tabel is unknown"):
        main(["tabel", "--params", params])


def test_params_without_any_table_say_so(here):
    (here / "params.yaml").write_text(EXAMPLE, encoding="utf-8")
    with pytest.raises(ParamsError, match="none in this file"):
        main([])
