"""College questions of thirty subjects about pictures: MMMU, by letter or by a short open answer.

Files (LLaVA's and TinyLLaVA's): anns_for_eval.json, a list of {"id", "prompt", "image" absent for several pictures,
"question_type", "all_choices", "index2ans"}; answer_dict_<split>.json {id: {"question_type", "ground_truth"}}.
Reading and judging an answer: confirmed with the official eval_utils.py, on the stripped answer, and with
TinyLLaVA's model_vqa_mmmu.py. Where they guess a letter at random, `accuracy` counts the answer as unparsed and wrong,
and `accuracy_guess` takes a letter seeded by the question's id. The official script parts sentences at a full stop
before a capital, of which its lower-cased text has none: only line breaks part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from steering.errors import DataError, nearest
from steering.evaluate.benchmarks.form import LETTERS, Array, Example, Outcomes, check_subset, field, read_json, share

DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
SUBJECTS = tuple(subject for subjects in DOMAINS.values() for subject in subjects)
GROUPS = {f"accuracy_{domain}": subjects for domain, subjects in DOMAINS.items()} | {
    f"accuracy_{subject}": (subject,) for subject in SUBJECTS
}
CHOICE = "multiple-choice"
GUESS_SEED = 42

ENDS = ",.!?;:'"
WORDS_OF_A_SENTENCE = 5
# Matched anywhere in a lower-cased line, also inside words ("is " in "this "), as the official script does.
KEYS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = (":", ",", ".", "!", "?", ";", "'")
NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)

PROTOCOL = {
    "decoding": "generation",
    "prompt": "the file's, without <image>; marks like <image 1> stay",
    "several pictures": "questions without image in the file hold several pictures; whatever was answered is not "
    "read, as officially: unparsed and wrong in accuracy, a seeded guess in accuracy_guess; "
    "accuracy_one_picture leaves them out",
    "scoring": "letters by '(A)', ' A ', else in more than 5 words by option text, of several the last; open answers "
    "by numbers to 2 decimals and contained strings; an answer that names no option is unparsed and wrong, and a "
    f"letter drawn by seed {GUESS_SEED} and the id in accuracy_guess",
}


def read_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the option that *answer* names, None where the official script would guess."""
    text = answer.strip()
    for end in ENDS:  # one after another, so that "B,." keeps its comma
        text = text.strip(end)
    text = f" {text} "
    letters = LETTERS[: len(choices)]
    for form in ("({})", " {} "):
        if named := _last(text, {letter: form.format(letter) for letter in letters}):
            return named
    if len(text.split()) <= WORDS_OF_A_SENTENCE:
        return None
    return _last(text.lower(), {letter: choice.lower() for letter, choice in zip(letters, choices, strict=True)})


def read_open(answer: str) -> list[str | float]:
    """What *answer* may mean: its key phrases, or the whole without any, and the numbers in them, normalised."""
    phrases = _phrases(answer.strip().strip(".").lower())
    numbers = [number for phrase in phrases for pattern in NUMBERS for number in pattern.findall(phrase)]
    return [meaning for text in (*phrases, *numbers) for meaning in normal(text)]


def open_is_right(references: Iterable[str], said: Iterable[str | float]) -> bool:
    """Whether a number of *said* equals a reference, or a string of *said* contains one."""
    wanted = [meaning for reference in references for meaning in normal(reference)]
    texts = [text for text in wanted if isinstance(text, str)]
    return any(any(t in one for t in texts) if isinstance(one, str) else one in wanted for one in said)


def normal(text: str) -> list[str | float]:
    """A number to 2 decimals where *text* is one, else lower case; one character must have a blank beside it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def guess(example: Example) -> str:
    """The letter that stands for an unread answer; empty for an open question. The same in any order of questions."""
    return Random(f"{GUESS_SEED}/{example.id}").choice(LETTERS[: len(example.choices)]) if example.choices else ""


class Mmmu:
    """subset: one subject, which is also the category; None for all. choices are empty for an open question."""

    name = "mmmu"
    version = 1
    metric = "accuracy"
    metrics: tuple[str, ...] = ("accuracy", "accuracy_guess", "accuracy_one_picture", *GROUPS)
    max_new_tokens = 1024
    lettered = True
    protocol: Mapping[str, str] = PROTOCOL

    def examples(self, root: Path, split: str, subset: str | None = None) -> list[Example]:
        check_subset(self.name, subset, SUBJECTS)
        path, answers = root / "anns_for_eval.json", root / f"answer_dict_{split}.json"
        truth = read_json(answers)
        rows = read_json(path)
        if not isinstance(rows, list):
            raise DataError(f"{path}: {type(rows).__name__}; allowed is a list of questions")
        examples = [_example(row, truth, f"{path}: row {n}", answers) for n, row in enumerate(rows, start=1)]
        return [example for example in examples if subset in (None, example.category)]

    def outcome(self, example: Example, answer: str) -> dict[str, float]:
        parsed, correct = _judged(example, answer)
        right = guess(example) == example.target if example.choices else False
        return {
            "correct": float(correct),
            "parsed": float(parsed),
            "correct_guess": float(correct or (right and not parsed)),
            "one_picture": float(example.image is not None),
            "subject": float(SUBJECTS.index(example.category)),
        }

    def measure(self, name: str, outcomes: Outcomes, weights: Array) -> Array:
        correct = outcomes["correct"]
        if name in GROUPS:
            members = [SUBJECTS.index(subject) for subject in GROUPS[name]]
            whole = np.isin(outcomes["subject"], members).astype(np.float64)
            return share(weights, correct * whole, whole)
        if name == "accuracy_one_picture":
            return share(weights, correct * outcomes["one_picture"], outcomes["one_picture"])
        return share(weights, {"accuracy": correct, "accuracy_guess": outcomes["correct_guess"]}[name])

    def submission(self, answered: Iterable[tuple[Example, str]]) -> dict[str, str]:
        """{id: letter or text} as main_eval_only.py takes it, to whose accuracy ours is equal; empty where unread."""
        return {example.id: _submitted(example, answer) for example, answer in answered}


def _phrases(text: str) -> list[str]:
    """What follows the last key word of each line, the shortest; the last line may also be an equation."""
    lines = text.split("\n")
    found = [_tail(line, (*KEYS, "=") if at == len(lines) - 1 else KEYS) for at, line in enumerate(lines)]
    return [tail for tail in found if tail and tail not in TRIVIAL] or [text]


def _tail(line: str, keys: Iterable[str]) -> str:
    """The shortest text after the last place of one of *keys*; an empty one only stands where no longer one follows."""
    shortest = ""
    for key in keys:
        tail = line.rsplit(key, 1)[-1].strip() if key in line else None
        if tail is not None and (not shortest or len(tail) < len(shortest)):
            shortest = tail
    return shortest


def _last(text: str, spelled: Mapping[str, str]) -> str | None:
    """The letter whose spelling comes last in *text*, of those at one place the first; None without any."""
    places = {letter: text.rfind(spelling) for letter, spelling in spelled.items()}
    best = max(places, key=lambda letter: places[letter], default=None)
    return best if best is not None and places[best] >= 0 else None


def _judged(example: Example, answer: str) -> tuple[bool, bool]:
    """Whether *answer* was read, and whether it is right."""
    if example.image is None:
        return False, False
    if example.choices:
        letter = read_choice(answer, example.choices)
        return letter is not None, letter in example.answers
    return bool(answer.strip()), open_is_right(example.answers, read_open(answer))


def _submitted(example: Example, answer: str) -> str:
    if example.image is None:
        return ""
    return (read_choice(answer, example.choices) or "") if example.choices else answer


def _example(row: Any, truth: Any, where: str, answers: Path) -> Example:
    name = field(row, "id", where)
    known = field(truth, name, str(answers))
    kind = field(known, "question_type", f"{answers}: {name}")
    if field(row, "question_type", where) != kind:
        raise DataError(f"{where}: question_type {row['question_type']!r}; {answers} has {kind!r} for {name}")
    right = field(known, "ground_truth", f"{answers}: {name}")
    references = tuple(str(one) for one in (right if isinstance(right, list) else [right]))
    choices = _choices(row, where) if kind == CHOICE else ()
    allowed = LETTERS[: len(choices)]
    if not all(one.strip() if kind != CHOICE else one in tuple(allowed) for one in references) or not references:
        raise DataError(
            f"{answers}: {name}: ground_truth {right!r}; allowed are {allowed or 'texts that are not empty'}"
        )
    prompt = field(row, "prompt", where).replace("<image>", "").strip()
    return Example(name, row.get("image") or None, prompt, references[0], references, choices, prompt, _subject(name))


def _choices(row: Any, where: str) -> tuple[str, ...]:
    letters, texts = field(row, "all_choices", where), field(row, "index2ans", where)
    if not letters or list(letters) != list(LETTERS[: len(letters)]):
        raise DataError(f"{where}: all_choices {letters!r}; allowed are the letters from A on")
    return tuple(str(field(texts, letter, f"{where}: index2ans")) for letter in letters)


def _subject(name: str) -> str:
    """Accounting of validation_Accounting_1."""
    subject = "_".join(name.split("_")[1:-1])
    if subject not in SUBJECTS:
        raise DataError(
            f"mmmu: {name}: subject {subject!r} is unknown; it has {len(SUBJECTS)}{nearest(subject, SUBJECTS)}"
        )
    return subject


MMMU = Mmmu()
