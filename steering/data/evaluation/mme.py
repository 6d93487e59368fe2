"""MME: fourteen tasks of two yes/no questions a picture, out of MME_Benchmark_release_version.zip.

The archive has a text file of two lines "question, Yes or No" for each picture, beside it or in questions_answers_YN
with the pictures in images. They are written as the form reads them, a file of lines a task, pictures by name; the
official result files may have them in another order. A sample takes whole pictures.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from steering.data.converters.pictures import SUFFIXES, Listed, Pictures, open_store
from steering.data.evaluation.building import Evaluation
from steering.data.evaluation.official import Key, Official, Published, Question, Written
from steering.errors import DataError

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
TASKS = PERCEPTION + COGNITION
QUESTIONS_FOLDER, PICTURES_FOLDER = "questions_answers_YN", "images"
PER_PICTURE = 2
TRUTHS = ("yes", "no")


@dataclass(frozen=True)
class Pair:
    """The two questions about a picture, as lines of the task's file."""

    task: str
    image: str
    lines: tuple[str, ...]

    def questions(self, split: str) -> list[Question]:
        unit = f"{self.task}/{self.image}"
        return [Question(split, f"{unit}#{number}", unit, unit) for number in range(1, len(self.lines) + 1)]


def _read(sources: Mapping[str, Path], splits: Sequence[str]) -> Published:
    (split,) = splits
    store = open_store(sources["mme"])
    texts, pictures = _members(store.names())
    missing = [task for task in TASKS if not any(name.startswith(f"{task}/") for name in texts)]
    if missing:
        raise DataError(f"{sources['mme']}: no questions of {', '.join(missing)}; it takes the {len(TASKS)} tasks")
    contents = {member: store.read(member) for member in texts.values()}
    pairs = _pairs(contents, texts, pictures, where=str(sources["mme"]))
    lies = {f"{task}/{PurePosixPath(member).name}": member for (task, _), member in pictures.items()}
    found = [question for pair in pairs for question in pair.questions(split)]
    files = [_file(task, [pair for pair in pairs if pair.task == task], split) for task in TASKS]
    read = b"".join(f"{member}\n".encode() + contents[member] for member in sorted(contents))
    official = [Official("the text files with their names before them", str(sources["mme"]), read)]
    return Published(found, files, official, Pictures([Listed("mme", lies=lies)], {"mme": store}))


def _members(names: Iterable[str]) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """ "task/stem" -> text file, in the order of tasks and stems; (task, stem) -> picture."""
    texts: dict[str, str] = {}
    pictures: dict[tuple[str, str], str] = {}
    for name in names:
        path = PurePosixPath(name)
        task = _task(path)
        if task is None:
            continue
        if path.suffix == ".txt":
            texts[f"{task}/{path.stem}"] = name
        elif path.suffix.lower() in SUFFIXES:
            pictures[task, path.stem] = name
    order = {task: at for at, task in enumerate(TASKS)}
    return dict(sorted(texts.items(), key=lambda one: (order[one[0].partition("/")[0]], one[0]))), pictures


def _task(path: PurePosixPath) -> str | None:
    """The task whose folder *path* lies in, or in a folder of questions or pictures there; None for other files."""
    if path.name.startswith("._") or len(path.parts) < 2:
        return None
    above = path.parts[-2]
    if above in (QUESTIONS_FOLDER, PICTURES_FOLDER) and len(path.parts) > 2:
        above = path.parts[-3]
    return above if above in TASKS and "__MACOSX" not in path.parts else None


def _pairs(
    contents: Mapping[str, bytes], texts: Mapping[str, str], pictures: Mapping[tuple[str, str], str], *, where: str
) -> list[Pair]:
    pairs, faults = [], []
    for name, member in texts.items():
        task, stem = name.split("/", 1)
        image = PurePosixPath(pictures.get((task, stem), f"{stem}.jpg")).name
        cells = _cells(contents[member])
        if len(cells) != PER_PICTURE or not all(len(cell) == 2 and cell[1].lower() in TRUTHS for cell in cells):
            faults.append(member)
        pairs.append(Pair(task, image, tuple("\t".join((image, *cell)) for cell in cells)))
    if faults:
        more = f", and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError(
            f"{where}: {len(faults)} files have not {PER_PICTURE} lines, in UTF-8, of a question, a tab, Yes or No: "
            f"{', '.join(faults[:10])}{more}"
        )
    return pairs


def _cells(content: bytes) -> list[list[str]]:
    """The cells of each line; none of what is not UTF-8."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return []
    return [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]


def _file(task: str, pairs: Sequence[Pair], split: str) -> Written:
    keys = [[question.key for question in pair.questions(split)] for pair in pairs]

    def write(kept: Container[Key]) -> bytes:
        lines = [line for pair, asked in zip(pairs, keys, strict=True) if asked[0] in kept for line in pair.lines]
        return "".join(f"{line}\n" for line in lines).encode()

    return Written(f"{split}/{task}.txt", write, frozenset(key for asked in keys for key in asked))


MME = Evaluation(name="mme_eval", version=1, splits={"test": 2_374}, sources=("mme",), read=_read)
