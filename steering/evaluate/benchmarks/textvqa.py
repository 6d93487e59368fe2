"""Questions about text in pictures in the TextVQA 0.5.1 format, scored by VQA accuracy over ten references.

Files: TextVQA_0.5.1_<split>.json {"data": [{"question", "image_id", "question_id", "answers": [10 texts]}]}; the OCR
form also reads LLaVA's llava_textvqa_<split>_v051_ocr.jsonl {"question_id": the image_id, "image", "text"}, whose text
is the whole prompt with a line "Reference OCR token: ...". A line finds its references by (image_id, lower-cased
question), as in LLaVA's eval_textvqa.py (confirmed); of several with one key the last counts, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from steering.errors import DataError
from steering.evaluate.benchmarks.form import SHORT_ANSWER, Array, Example, Outcomes, field, read_json, share
from steering.evaluate.benchmarks.vqa import check_no_subset, most_given, outcome_of, read_lines, references

OCR = "Reference OCR token:"
PROTOCOL = {
    "decoding": "generation",
    "files": "TextVQA 0.5.1",
    "ocr": "no OCR tokens in the prompt",
    "prompt": f"question, then: {SHORT_ANSWER}",
    "scoring": "VQA accuracy, leave-one-out over 10 references, EvalAI normaliser; an empty answer is unparsed",
}
OCR_PROTOCOL = PROTOCOL | {
    "ocr": "Rosetta OCR tokens in the prompt, as LLaVA's file has them",
    "prompt": f"LLaVA: question, {OCR} tokens, then: {SHORT_ANSWER}",
}


class TextVqa:
    """No subsets, no categories; the picture is <image_id>.jpg."""

    name = "textvqa"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens = 16
    lettered = False
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_no_subset(self.name, subset)
        return _annotated(root / f"TextVQA_0.5.1_{split}.json")

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        return outcome_of(example, answer)

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        return {"accuracy": share}[name](weights, outcomes["correct"])


class TextVqaOcr(TextVqa):
    """TextVqa asked in LLaVA's own lines, with the reference OCR tokens in the prompt."""

    name = "textvqa_ocr"
    protocol: Mapping[str, str] = OCR_PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        annotated = super().examples(root, split, subset)
        by_key: dict[tuple[str, str], list[Example]] = {}
        for example in annotated:
            by_key.setdefault(_key(str(example.image).removesuffix(".jpg"), example.question), []).append(example)
        lines = read_lines(root / f"llava_textvqa_{split}_v051_ocr.jsonl")
        used: dict[tuple[str, str], int] = {}
        return [_asked(row, where, by_key, used) for row, where in lines]


def question_of(prompt: str) -> str:
    """The question in a prompt of LLaVA's: its first line, or the second after a line of OCR tokens.

    Raises ValueError for another shape than question, OCR tokens or not, instruction.
    """
    lines = prompt.split("\n")
    if f"{OCR} " in prompt and len(lines) == 3:
        return lines[1] if lines[0].startswith(OCR) else lines[0]
    if len(lines) == 2:
        return lines[0]
    raise ValueError(f"{len(lines)} lines")


def _key(image_id: str, question: str) -> tuple[str, str]:
    return image_id, question.lower()


def _annotated(path: Path) -> list[Example]:
    rows = field(read_json(path), "data", str(path))
    return [_example(row, f"{path}: question {field(row, 'question_id', str(path))}") for row in rows]


def _example(row: Any, where: str) -> Example:
    # The question stays as it is: LLaVA's lines are matched against it, outer spaces included.
    question = field(row, "question", where)
    answers = references(field(row, "answers", where), where)
    return Example(
        id=str(row["question_id"]),
        image=f"{field(row, 'image_id', where)}.jpg",
        prompt=f"{question.strip()}\n{SHORT_ANSWER}",
        target=most_given(answers),
        answers=answers,
        question=question,
    )


def _asked(
    row: Any, where: str, by_key: Mapping[tuple[str, str], list[Example]], used: dict[tuple[str, str], int]
) -> Example:
    """The example of one of LLaVA's lines; *used* counts the lines of each key, so that each gets an id of its own."""
    text, image_id = field(row, "text", where), str(field(row, "question_id", where))
    try:
        key = _key(image_id, question_of(text))
    except ValueError as fault:
        raise DataError(
            f"{where}: a prompt of {fault}; allowed are a question, a line '{OCR} ...' or none, and an instruction"
        ) from None
    found = by_key.get(key)
    at = used[key] = used.get(key, 0) + 1
    if not found or at > len(found):
        raise DataError(f"{where}: picture {image_id} has {len(found or [])} questions {key[1]!r}; line {at} needs one")
    return replace(found[-1], id=found[at - 1].id, image=field(row, "image", where), prompt=text)


TEXTVQA = TextVqa()
TEXTVQA_OCR = TextVqaOcr()
