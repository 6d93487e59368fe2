"""MMMU's validation questions out of the official parquet files, as TinyLLaVA's anns_for_eval.json has them.

Prompts are those of the official LLaVA settings: question, options as "(A) text", an instruction; marks like <image 1>
stay. A question whose row holds several pictures gets none: it is asked nothing, as in TinyLLaVA. The truth is the
official answer_dict_val.json where that is given (what differs from the rows is told), else the rows' own answers.
Pictures keep the bytes that the rows have.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steering.data.converters.pictures import Listed, Pictures
from steering.data.converters.raw import check_records
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Key, Large, Official, Published, Question, Written, dump, find
from steering.errors import DataError

SUBJECTS = (
    "Accounting",
    "Agriculture",
    "Architecture_and_Engineering",
    "Art",
    "Art_Theory",
    "Basic_Medical_Science",
    "Biology",
    "Chemistry",
    "Clinical_Medicine",
    "Computer_Science",
    "Design",
    "Diagnostics_and_Laboratory_Medicine",
    "Economics",
    "Electronics",
    "Energy_and_Power",
    "Finance",
    "Geography",
    "History",
    "Literature",
    "Manage",
    "Marketing",
    "Materials",
    "Math",
    "Mechanical_Engineering",
    "Music",
    "Pharmacy",
    "Physics",
    "Psychology",
    "Public_Health",
    "Sociology",
)
PICTURES = tuple(f"image_{number}" for number in range(1, 8))
FIELDS = tuple((name, str) for name in ("id", "question", "options", "answer", "question_type"))
ANSWERS = "mmmu_answers"
KINDS = {"multiple-choice": "multiple-choice", "open": "short-answer"}
"""The rows' names of question types -> those of answer_dict_val.json."""
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
SHORT_ANSWER = "Answer the question using a single word or phrase."
FILE_SPLITS = {"val": "validation", "dev": "dev"}
KNOWN = {
    "answer_dict_val.json": {
        "76080f5597b8f4d29abba8551489c4b82e4a285b9d62b946fd67a1952e95502c": "the official repository's"
    }
}


@dataclass(frozen=True)
class Row:
    """A question as anns_for_eval.json has it, its truth, and where its one picture lies in Rows, if it has one."""

    number: str
    prompt: str
    kind: str
    choices: tuple[str, ...]
    truth: str | list[str]
    lies: str | None

    @property
    def image(self) -> str | None:
        return f"images/{self.number}.png" if self.lies else None

    def annotation(self) -> dict[str, Any]:
        letters = list(string.ascii_uppercase[: len(self.choices)])
        return {
            "id": self.number,
            "prompt": self.prompt,
            **({"image": self.image} if self.image else {}),
            "question_type": self.kind,
            "all_choices": letters,
            "index2ans": dict(zip(letters, self.choices, strict=True)),
        }


class Rows:
    """The pictures in parquet files, by "<file's number>/<row>/<column>"; the file read last is kept in memory."""

    def __init__(self, files: Sequence[Path]):
        self._files = list(files)
        self._number, self._read = -1, dict[str, bytes]()

    def __contains__(self, name: str) -> bool:
        return name in self._of(name)

    def size(self, name: str) -> int:
        return len(self._of(name)[name])

    def read(self, name: str) -> bytes:
        return self._of(name)[name]

    def names(self) -> Iterator[str]:
        for number in range(len(self._files)):
            yield from self._of(f"{number}/")

    def _of(self, name: str) -> dict[str, bytes]:
        number = int(name.split("/")[0])
        if number != self._number:
            self._number, self._read = number, {}
            for at, row in enumerate(_table(self._files[number])):
                self._read |= {f"{number}/{at}/{column}": row[column]["bytes"] for column in _shown(row)}
        return self._read


def _table(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file: texts, and pictures as {"bytes"}."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        there = file.schema_arrow.names
        texts = [name for name, _ in FIELDS]
        if missing := [name for name in (*texts, PICTURES[0]) if name not in there]:
            raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(there)}")
        return list(file.read(columns=[name for name in (*texts, *PICTURES) if name in there]).to_pylist())
    except pyarrow.ArrowInvalid as fault:
        raise DataError(f"{path}: not a parquet file ({fault}); fetch it again") from fault


def _shown(row: Mapping[str, Any]) -> list[str]:
    """The columns of *row* that hold a picture."""
    return [name for name in PICTURES if row.get(name) is not None and row[name].get("bytes")]


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    if len(splits) > 1:
        raise DataError(f"mmmu_eval: setting splits: {', '.join(splits)}; anns_for_eval.json holds one, so name one")
    (split,) = splits
    files = _files(sources["mmmu"], split)
    rows = [row for number, path in enumerate(files) for row in _rows(path, number)]
    pictures = Listed("mmmu", lies={row.image: row.lies for row in rows if row.image and row.lies})
    published = Published(
        [Question(split, row.number, row.image) for row in rows],
        [_annotations(rows, split)],
        [Large(f"{path.parent.name}/{path.name}", path) for path in files],
        Pictures([pictures], {"mmmu": Rows(files)}),
        known=KNOWN,
        facts={"several_pictures": sum(row.lies is None for row in rows)},
    )
    if ANSWERS in sources:
        _take_official(published, rows, find(sources[ANSWERS], f"answer_dict_{split}.json"), split)
    else:
        truth = {row.number: {"question_type": row.kind, "ground_truth": row.truth} for row in rows}
        published.files.append(_truth(truth, split))
    return published


def _files(path: Path, split: str) -> list[Path]:
    """The parquet files of *split*, by subject; raises DataError that names all subjects without one."""
    files = sorted(path.glob(f"*/{FILE_SPLITS[split]}-*.parquet"))
    missing = [subject for subject in SUBJECTS if subject not in {file.parent.name for file in files}]
    if missing:
        raise DataError(
            f"{path}: no SUBJECT/{FILE_SPLITS[split]}-*.parquet of {len(missing)} of {len(SUBJECTS)} subjects: "
            f"{', '.join(missing)}"
        )
    return [file for file in files if file.parent.name in SUBJECTS]


def _rows(path: Path, number: int) -> list[Row]:
    table = _table(path)
    check_records(((f"row {at}", row) for at, row in enumerate(table)), where=str(path), takes=FIELDS)
    faults = [f"{row['id']}: {fault}" for row in table for fault in _faults(row)]
    if faults:
        more = f"; and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(f"{path}: {len(faults)} faults: {'; '.join(faults[:10])}{more}")
    return [_row(row, f"{number}/{at}") for at, row in enumerate(table)]


def _faults(row: Mapping[str, Any]) -> Iterator[str]:
    if row["question_type"] not in KINDS:
        yield f"question_type {row['question_type']!r}; allowed are {', '.join(KINDS)}"
    if not isinstance(_listed(row["options"]), list):
        yield f"options {row['options'][:80]!r}; allowed is a list, written out"
    if not _shown(row):
        yield "no picture"


def _row(row: Mapping[str, Any], place: str) -> Row:
    kind, shown = KINDS[row["question_type"]], _shown(row)
    choices = tuple(map(str, _listed(row["options"]))) if row["question_type"] == "multiple-choice" else ()
    return Row(
        number=row["id"],
        prompt=_prompt(row["question"], choices),
        kind=kind,
        choices=choices,
        truth=row["answer"] if choices else _references(row["answer"]),
        lies=f"{place}/{shown[0]}" if len(shown) == 1 else None,
    )


def _listed(text: str) -> Any:
    """The list that *text* writes out; None where it is none."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, list) else None


def _references(answer: str) -> str | list[str]:
    """An open question's answer; several where it writes out a list."""
    several = _listed(answer) if answer.startswith("[") else None
    return [str(one) for one in several] if several else answer


def _prompt(question: str, choices: Sequence[str]) -> str:
    if not choices:
        return f"{question}\n\n{SHORT_ANSWER}"
    options = "".join(f"({letter}) {text}\n" for letter, text in zip(string.ascii_uppercase, choices, strict=False))
    return f"{question}\n{options}\n{LETTER_ANSWER}"


def _annotations(rows: Sequence[Row], split: str) -> Written:
    keys = frozenset((split, row.number) for row in rows)
    return Written(
        "anns_for_eval.json",
        lambda kept: dump([row.annotation() for row in rows if (split, row.number) in kept]),
        keys,
    )


def _truth(truth: Mapping[str, Any], split: str, official: bytes | None = None) -> Written:
    def write(kept: Container[Key]) -> bytes:
        return dump({number: known for number, known in truth.items() if (split, number) in kept})

    return Written(f"answer_dict_{split}.json", write, frozenset((split, number) for number in truth), official)


def _take_official(published: Published, rows: Sequence[Row], file: Official, split: str) -> None:
    """Take the truth from *file*; raises DataError where it lacks a question or calls its type otherwise."""
    truth = file.named_records((("question_type", str), ("ground_truth", (str, list))))
    faults = [f"{row.number}: not there" for row in rows if row.number not in truth]
    there = [row for row in rows if row.number in truth]
    faults += [
        f"{row.number}: question_type {truth[row.number]['question_type']!r}, the rows say {row.kind!r}"
        for row in there
        if truth[row.number]["question_type"] != row.kind
    ]
    if faults:
        more = f"; and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(f"{file.where}: {len(faults)} faults: {'; '.join(faults[:10])}{more}")
    other = [row.number for row in there if truth[row.number]["ground_truth"] != row.truth]
    published.facts = {**published.facts, "answers_other_than_in_rows": other}
    published.files.append(_truth(truth, split, file.content))
    published.official = [*published.official, file]


MMMU = Evaluation(
    name="mmmu_eval",
    version=1,
    splits={"val": 900, "dev": 150},
    default="val",
    sources=("mmmu",),
    optional=(ANSWERS,),
    read=_read,
)
