"""The model card of one run, as Hugging Face's hub reads it: what was trained, on what, how well it does, how it loads.

    YAML front matter   ModelCardData: base_model, library_name, licence, tags, and scores as a model-index
    Markdown            method and counts, data, recipe, scores beside the control's, loading, limits, provenance

A world's parts have licences of their own, so the card's licence is "other" and its sources are listed, in the front
matter (`data_sources`, with the attribution that params.yaml gives) and in the text. Numbers are those of score files:
this run's, one training seed, intervals over questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from steering.analyse.tables import Cell
from steering.analyse.written import to_markdown
from steering.evaluate.results import RunResults
from steering.manifest import read_json

TEMPLATES = Path(__file__).parent / "templates"
OUTSIDE_PEFT = ("none", "full")
ON_THE_WHOLE = ("mrt",)
EDITS = ("mores", "mrt", "loreft")
TASK = "visual-question-answering"
TOLD = ("steps", "conversations", "connector_learning_rate", "method_learning_rate", "warmup_ratio", "weight_decay")

Content = Mapping[str, Any]


def card(content: Content, result: RunResults, control: RunResults | None) -> str:
    """The card of *result*, a run of the experiment whose report has the slice *content*; *control*: that run's own."""
    text = _text(content, result, control)
    front = _front(content, result).to_yaml()
    return str(ModelCard(f"---\n{front}\n---\n\n{text}"))


def _front(content: Content, result: RunResults) -> ModelCardData:
    method, name = result.manifest["method"], result.name.replace("/", "-")
    sources = {one: content["sources"][one] for one in sorted(content["sources"])}
    tags = ["visual-instruction-tuning", method, result.manifest["world"]]
    tags += ["representation-steering"] if method in EDITS else []
    return ModelCardData(
        base_model=[_base(content, part) for part in ("language_model", "vision_encoder")],
        library_name=None if method in OUTSIDE_PEFT else "peft",
        license="other",
        license_name="those-of-its-sources",
        license_link="README.md#data-and-licences",
        language="en",
        pipeline_tag="image-text-to-text",
        tags=tags,
        metrics=list(dict.fromkeys(score["metric"] for score in result.scores)) or None,
        model_name=name,
        eval_results=[_evaluated(content, score) for score in result.scores] or None,
        data_sources=[{"name": one, **_attribution(told)} for one, told in sources.items()],
    )


def _evaluated(content: Content, score: Mapping[str, Any]) -> EvalResult:
    """One benchmark's main metric, in shares of 1 (sums, as MME's, as they are), with its interval as arguments."""
    entry, benchmark = score["metrics"][score["metric"]], str(score["benchmark"])
    told = content["benchmarks"].get(benchmark, {})
    return EvalResult(
        task_type=TASK,
        dataset_type=f"{score['world']}/{told.get('dataset', benchmark)}",
        dataset_name=told.get("title", benchmark),
        dataset_config=benchmark,
        dataset_split=str(score["split"]),
        metric_type=str(score["metric"]),
        metric_value=round(float(entry["value"]), 4),
        metric_args={"low": round(float(entry["low"]), 4), "high": round(float(entry["high"]), 4), "n": score["n"]},
    )


def _text(content: Content, result: RunResults, control: RunResults | None) -> str:
    environment = Environment(  # Markdown, which no browser runs as it is
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    environment.filters["count"] = lambda value: "unknown" if value is None else f"{value:,}"
    manifest, method = result.manifest, result.manifest["method"]
    return environment.get_template("card.md.j2").render(
        content=content,
        run=result.name,
        manifest=manifest,
        method=method,
        base_hash=_base_hash(result.adapter),
        trained=result.adapter.parent.as_posix(),
        settings={name: value for name, value in _settings(content, manifest).items() if name != "method"},
        recipe=_recipe(manifest),
        scores=to_markdown(_scores(content, result, control)) if result.scores else "",
        sources=to_markdown(_sources(content)),
        in_peft=method not in (*OUTSIDE_PEFT, *ON_THE_WHOLE),
        edits=method in EDITS,
        control=content["experiment"]["control"],
    )


def _settings(content: Content, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the arm was told: rank, ratio, layers and the like."""
    return content["arms"].get(manifest["arm"], {"method": manifest["method"]})


def _base_hash(adapter: Path) -> str:
    """What names the bytes of the base model that the adapter belongs to."""
    note = adapter / "adapter_base.json"
    return str(read_json(note).get("base_hash", "unknown")) if note.exists() else "unknown"


def _recipe(manifest: Mapping[str, Any]) -> dict[str, Any]:
    told = {"steps": manifest.get("steps"), **manifest.get("slice", {}).get("recipe", {})}
    return {name: told[name] for name in TOLD if told.get(name) is not None}


def _scores(content: Content, result: RunResults, control: RunResults | None) -> pd.DataFrame:
    """A row per benchmark: questions, and this run's and the control's main metric in per cent with intervals."""
    theirs = {score["benchmark"]: score for score in control.scores} if control else {}
    rows = []
    for score in result.scores:
        row = {"benchmark": score["benchmark"], "metric": score["metric"], "questions": f"{score['n']:,}"}
        row["this run"] = _cell(score)
        if result.manifest["arm"] != content["experiment"]["control"]:
            other = theirs.get(score["benchmark"])
            row[f"control ({content['experiment']['control']})"] = _cell(other) if other else "not run"
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(score: Mapping[str, Any]) -> str:
    entry = score["metrics"][score["metric"]]
    return str(Cell(float(entry["value"]), float(entry["low"]), float(entry["high"])))


def _sources(content: Content) -> pd.DataFrame:
    rows = [{"source": name, **_attribution(told)} for name, told in content["sources"].items()]
    return pd.DataFrame(rows, columns=["source", "licence", "attribution", "from"]).fillna("")


def _attribution(source: Mapping[str, Any]) -> dict[str, str]:
    """Its licence and attribution, and where it is to be had."""
    places = ("package", "repo", "url")
    told = {name: str(source[name]) for name in ("licence", "attribution") if name in source}
    found = next((str(source[name]) for name in places if name in source), "")
    return told | ({"from": f"{found} {source.get('version', '')}".strip()} if found else {})


def _base(content: Content, part: str) -> str:
    """The repository that a part of the base model comes from; its name in params.yaml where it comes from none."""
    told = content["model"][part]
    return str(content["sources"].get(told.get("source"), {}).get("repo", told["name"]))
