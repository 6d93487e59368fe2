"""The made-up experiment as the parts of the report take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from invented import ARMS, BENCHMARKS, SEEDS, attention, history, manifest, picture, predictions, score_file

from steering.analyse.report import ReportInput


@pytest.fixture(scope="session")
def scores() -> list[dict[str, Any]]:
    return [score_file(arm, seed, benchmark) for arm in ARMS for benchmark in BENCHMARKS for seed in SEEDS]


@pytest.fixture(scope="session")
def manifests() -> list[dict[str, Any]]:
    return [manifest(arm, seed) for arm in ARMS for seed in SEEDS]


@pytest.fixture(scope="session")
def attentions() -> list[dict[str, Any]]:
    return [attention(arm, seed) for arm in ARMS for seed in SEEDS]


@pytest.fixture(scope="session")
def histories() -> dict[str, list[dict[str, float]]]:
    return {f"embedded/icons/{arm}/seed{seed}": history(arm, seed) for arm in ARMS for seed in SEEDS}


@pytest.fixture
def report_input(
    scores: list[dict[str, Any]],
    manifests: list[dict[str, Any]],
    attentions: list[dict[str, Any]],
    histories: dict[str, list[dict[str, float]]],
) -> ReportInput:
    said = {
        f"embedded/icons/{arm}/seed{seed}": {name: predictions(arm, seed, name) for name in BENCHMARKS}
        for arm in ARMS
        for seed in SEEDS
    }
    return ReportInput(
        experiment="first_light",
        title="First light: a linear edit of visual tokens against LoRA",
        description="Does editing a few visual tokens' representations teach a frozen language model as much about "
        "pictures as low-rank adaptation does, with a fraction of the parameters?",
        world={
            "name": "embedded",
            "language model": "SmolLM2-135M-Instruct, 30 layers of 576",
            "vision encoder": "EfficientNet-lite0, 16 visual tokens",
            "connector": "two-layer MLP",
        },
        arms=list(ARMS),
        seeds=list(SEEDS),
        benchmarks=list(BENCHMARKS),
        scores=scores,
        predictions=said,
        attention=attentions,
        manifests=manifests,
        metrics=histories,
        picture=picture,
        sources=[
            {"name": "OpenMoji", "version": "17.0.0", "licence": "CC BY-SA 4.0", "attribution": "OpenMoji project"},
            {
                "name": "SmolLM2-135M-Instruct",
                "version": "0.1.2",
                "licence": "Apache-2.0",
                "attribution": "Hugging Face",
            },
        ],
    )


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")
