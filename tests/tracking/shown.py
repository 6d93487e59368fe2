"""Made-up runs with all that MLflow is shown of them, and whether MLflow holds just that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from steering.tracking import RunRecord
from steering.tracking.record import DataInput, Weights, flat, layer_lines, score_values, step_values

WORLD, TABLE, LAYERS = "embedded", "table1", 12
STARTED = 1_767_323_045  # the manifest's moment


def made_up(folder: Path, arm: str, *, seed: int = 0, steps: int = 30) -> RunRecord:
    """A finished run of *arm* whose files are in *folder*: the same call gives the same run."""
    rank = 1 + sum(map(ord, arm)) % 4
    manifest = {
        "run": f"{WORLD}/mix/{arm}/seed{seed}",
        "world": WORLD,
        "data": "mix",
        "arm": arm,
        "method": "mores",
        "seed": seed,
        "settings": {"method": "mores", "rank": rank, "token_ratio": 0.25, "layers": "all", "placement": "output"},
        "inputs": {"conversations": "c0ffee", "base": "ba5e"},
        "commit": "0123456789ab",
        "host": "node1",
        "slurm_job": "4711",
        "trainable_llm": 1153 * rank,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:09:05+00:00",
    }
    file = folder / f"{arm}{seed}" / "adapter_config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(manifest["settings"]))
    return RunRecord(
        manifest,
        metrics=[_line(step, rank, seed) for step in range(1, steps + 1)],
        scores=[{"benchmark": "icons_pope", "metrics": {"f1": _band(0.5 + 0.1 * rank), "accuracy": _band(0.6)}}],
        attention=attention(0.1 * rank),
        datasets=[
            DataInput("mix", "c0ffee", Path("data/embedded/mixtures/mix.json"), "training"),
            DataInput("icons", "1c0ffee5", Path("data/embedded/icons"), "evaluation"),
        ],
        weights=Weights(
            Path("checkpoints/runs") / str(manifest["run"]),
            {"adapter/adapter_model.safetensors": f"{arm}{seed}".encode().hex()},
            {"method": "mores", "base_hash": "ba5e", "hidden": 576, "layers": 30},
        ),
        artifacts=[file],
    )


def _line(step: int, rank: int, seed: int) -> dict[str, float]:
    loss = 0.6 + 2 * math.exp(-step * rank / 25) + 0.05 * math.sin(7 * step + seed)
    return {
        "step": step,
        "time": STARTED + 10 * step,
        "loss": loss,
        "learning_rate": 0.01 * (1 - step / 200),
        "seconds": 1.5 + 0.1 * math.sin(step),
        "system/process_cpu_percent": 98 + math.sin(step),
        "system/process_memory_bytes": 2e9 + 1e6 * step,
    }


def _band(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def attention(height: float) -> dict[str, Any]:
    curve = [_band(height * (1 + layer) / LAYERS) for layer in range(1, LAYERS + 1)]
    return {"lmar": {"without_sink": {"mean_of_ratios": curve}}, "visual_share": curve}


def differences(client: Any, run_id: str, record: RunRecord) -> list[str]:
    """Where the MLflow run differs from what *record* says; nothing where they are equal."""
    run = client.get_run(run_id)
    lines = [*record.metrics, *layer_lines(record.attention)]
    wanted = sorted(step_values(lines)) + sorted(
        (name, 0, value) for name, value in score_values(record.scores).items()
    )
    held = [(m.key, m.step, m.value) for name in run.data.metrics for m in client.get_metric_history(run_id, name)]
    facts = {
        "metrics": (sorted(held), sorted(wanted)),
        "params": (run.data.params, flat(record.manifest["settings"])),
        "tags": ({name: run.data.tags.get(name) for name in record.tags()}, record.tags()),
        "data": (
            {(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs},
            {(one.name, one.digest) for one in record.datasets},
        ),
        "artifacts": ({one.path for one in client.list_artifacts(run_id)}, {path.name for path in record.artifacts}),
        "models": (len(run.outputs.model_outputs), 1 if record.weights else 0),
        "status": (run.info.status, "FINISHED"),
    }
    return [f"{name}: {has} is not {wants}" for name, (has, wants) in facts.items() if has != wants]
