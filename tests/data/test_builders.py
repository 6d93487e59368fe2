"""Every data set of params.yaml names the sources and splits that its builder takes, and every form what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from steering.data.builders import ALL
from steering.data.converters import SOURCES
from steering.data.evaluation import EVALUATION
from steering.evaluate.benchmarks import FORMS
from steering.params import load
from steering.params.worlds import BuilderName

PARAMS = load(Path(__file__).resolve().parent.parent.parent / "params.yaml")
DATASETS = [(world, name) for world, told in PARAMS.worlds.items() for name in told.datasets]
BENCHMARKS = [
    (world, name)
    for world, told in PARAMS.worlds.items()
    for name, benchmark in told.benchmarks.items()
    if told.datasets[benchmark.dataset].builder in EVALUATION
]
READS = {  # builder -> forms that read what it writes
    "vqav2_eval": {"vqav2"},
    "gqa_eval": {"gqa"},
    "textvqa_eval": {"textvqa", "textvqa_ocr"},
    "vizwiz_eval": {"vizwiz"},
    "scienceqa_eval": {"scienceqa", "scienceqa_llava"},
    "iconqa_eval": {"iconqa", "iconqa_index"},
    "pope_eval": {"coco_pope"},
    "mmvet_eval": {"mmvet"},
    "mmmu_eval": {"mmmu"},
    "hallusion_eval": {"hallusion"},
    "mme_eval": {"mme"},
    "hellaswag_eval": {"hellaswag", "hellaswag_10_shot"},
    "mmlu_eval": {"mmlu", "mmlu_likelihood"},
}
NEEDS = {"textvqa_ocr": "llava_eval", "scienceqa_llava": "llava_eval", "hellaswag_10_shot": "hellaswag_train"}


def test_params_allow_the_builders_there_are():
    assert set(get_args(BuilderName)) == set(ALL)
    assert set(READS) == set(EVALUATION)
    assert set().union(*READS.values()) == set(FORMS) - {"vqa", "pope"}  # the embedded world's


@pytest.mark.parametrize(("world", "name"), DATASETS)
def test_a_data_set_names_the_sources_its_builder_takes(world, name):
    told = PARAMS.worlds[world].datasets[name]
    if told.builder in SOURCES:
        assert sorted(told.sources) == sorted(SOURCES[told.builder])
    if told.builder in EVALUATION:
        builder = EVALUATION[told.builder]
        needed = builder.needed(splits(told))
        assert set(needed) <= set(told.sources) <= {*needed, *builder.optional}


@pytest.mark.parametrize(("world", "name"), BENCHMARKS)
def test_a_benchmark_asks_a_split_that_was_built_by_a_form_that_reads_it(world, name):
    benchmark = PARAMS.worlds[world].benchmarks[name]
    told = PARAMS.worlds[world].datasets[benchmark.dataset]
    assert benchmark.form in READS[told.builder]
    assert set(benchmark.splits) == {"test"}
    assert benchmark.splits["test"] in splits(told)
    assert NEEDS.get(benchmark.form, told.sources[0]) in told.sources


def test_the_papers_worlds_ask_every_benchmark_whole():
    asked = PARAMS.worlds["3b"].benchmarks
    assert all(benchmark.ask is None and benchmark.instruction for benchmark in asked.values())
    assert {PARAMS.worlds["3b"].datasets[one.dataset].builder for one in asked.values()} == set(EVALUATION)


def splits(dataset) -> list[str]:
    told = str(dataset.settings.get("splits", EVALUATION[dataset.builder].default))
    return [name.strip() for name in told.split(",")]
