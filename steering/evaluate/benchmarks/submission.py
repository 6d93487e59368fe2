"""Answers in the shape that the official servers and scripts take, from prediction records {"id", "answer", ...}.

VQAv2 and VizWiz go through the EvalAI normaliser (confirmed: LLaVA's convert_vqav2_for_submission.py and
convert_vizwiz_for_submission.py), GQA as its scorer compares it, MME as lines for calculation.py, MMMU as letters and
texts for main_eval_only.py, MM-Vet as {id: answer} for its evaluator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import Example
from steering.evaluate.benchmarks.gqa import bare
from steering.evaluate.benchmarks.mmmu import MMMU
from steering.evaluate.normalise import normalise
from steering.evaluate.scoring import example_of

Predictions = Sequence[Mapping[str, Any]]
Examples = Callable[[str], Sequence[Example]]
TEST = "test"


def files(form: str, predictions: Predictions, examples: Examples) -> dict[str, Any]:
    """{file name: JSON value, or text for .txt} that *form* sends in or hands to its script; empty where it has none.

    examples: of an official split of the benchmark. VQAv2 and VizWiz have a file only for answers without references.
    """
    blind = not any(row["answers"] for row in predictions)
    if form == "vqav2" and blind:
        return {"vqav2.json": vqav2(predictions, [example.id for example in examples(TEST)])}
    if form == "vizwiz" and blind:
        return {"vizwiz.json": vizwiz(predictions, [str(example.image) for example in examples(TEST)])}
    if form == "mme":
        return {f"{task}.txt": text for task, text in mme(predictions).items()}
    shapes: dict[str, Callable[[Predictions], Any]] = {"gqa": gqa, "mmmu": mmmu, "mmvet": mmvet}
    return {f"{form}.json": shapes[form](predictions)} if form in shapes else {}


def vqav2(predictions: Predictions, test_ids: Iterable[str]) -> list[dict[str, Any]]:
    """[{"question_id", "answer"}] for every one of *test_ids*, in their order, an empty answer where none was given.

    test_ids: of the whole test split, also where only test-dev was asked. Raises DataError for answers to others.
    """
    said, ids = _by_id(predictions), list(test_ids)
    _check_known(said, ids)
    return [{"question_id": _number(one), "answer": normalise(said[one]) if one in said else ""} for one in ids]


def vizwiz(predictions: Predictions, images: Iterable[str]) -> list[dict[str, str]]:
    """[{"image", "answer"}] for every one of *images*; raises DataError where one was not asked, as LLaVA does."""
    said, names = _by_id(predictions), list(images)
    _check_known(said, names)
    missing = [name for name in names if name not in said]
    if missing:
        raise DataError(f"predictions: {len(missing)} of {len(names)} pictures have none, first {missing[0]}")
    return [{"image": name, "answer": normalise(said[name])} for name in names]


def gqa(predictions: Predictions) -> list[dict[str, str]]:
    """[{"questionId", "prediction"}], as GQA's eval.py reads them."""
    return [{"questionId": number, "prediction": bare(answer)} for number, answer in _by_id(predictions).items()]


def mme(predictions: Predictions) -> dict[str, str]:
    """{task: text of its file}, lines of picture, question, Yes or No, answer, the two of a picture together.

    A tab or a line break in an answer becomes a space, for the official script parts lines at them.
    """
    lines: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in predictions:
        task, pair, second = str(row["id"]).split("/")
        picture = str(row["image"]).removeprefix(f"{task}/")
        cells = (picture, row["question"], str(row["target"]).capitalize(), " ".join(str(row["answer"]).split()))
        lines[task].append((int(pair), int(second), "\t".join(cells) + "\n"))
    return {task: "".join(line for *_, line in sorted(found)) for task, found in sorted(lines.items())}


def mmmu(predictions: Predictions) -> dict[str, str]:
    """{id: letter, or text of an open answer}, empty where no letter was read (Mmmu.submission)."""
    _by_id(predictions)
    return MMMU.submission((example_of(row), str(row["answer"])) for row in predictions)


def mmvet(predictions: Predictions) -> dict[str, str]:
    """{id: answer}, as MM-Vet's evaluator reads them."""
    return _by_id(predictions)


def _by_id(predictions: Predictions) -> dict[str, str]:
    said = {str(row["id"]): str(row["answer"]) for row in predictions}
    if len(said) < len(predictions):
        raise DataError(f"predictions: {len(predictions) - len(said)} ids come more than once; allowed is once")
    return said


def _check_known(said: Mapping[str, str], allowed: Sequence[str]) -> None:
    known = set(allowed)
    strange = [one for one in said if one not in known]
    if strange:
        raise DataError(f"predictions: {len(strange)} ids are not of this test split, first {strange[0]}")


def _number(question_id: str) -> int:
    if not question_id.isdecimal():
        raise DataError(f"question_id {question_id!r}; VQAv2 has whole numbers")
    return int(question_id)
