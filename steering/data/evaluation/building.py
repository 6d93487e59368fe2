"""From official downloads of a benchmark to the data set folder that its form reads, with the pictures it names alone.

A sample takes, of each split, the units with the smallest sha256(builder/seed/split/unit) up to `rows` questions: the
sample of 1,000 lies in that of 5,000, and that in the whole. Units are single questions but where a score needs several
together (the two questions about a picture of MME) or where picture and truth go together (POPE).
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steering.data.converters.cleaning import picture_name
from steering.data.converters.ledger import Ledger, Unusable
from steering.data.converters.pictures import Pictures
from steering.data.converters.settings import Sample, check_sources, read_as
from steering.data.embedded.writing import whole_folder, write_json
from steering.data.evaluation.official import Key, Published, Question, Written
from steering.data.shards import write_images
from steering.errors import DataError, nearest
from steering.progress import progress

Unit = list[Question]


@dataclass(frozen=True)
class Settings(Sample):
    """splits: those to build, with commas between; see Sample for the rest."""

    splits: str = ""


@dataclass(frozen=True)
class Evaluation:
    """How the evaluation data of one benchmark is built; a builder of steering.data.builders.

    name: in params.yaml; version: of its rules.  splits: questions as published, None where no count is known.
    sources: what every split needs, split_sources: what one needs beside; optional: used where given.
    read: the questions and files of (sources, splits).
    """

    name: str
    version: int
    splits: Mapping[str, int | None]
    read: Callable[[Mapping[str, Path], Sequence[str]], Published]
    sources: tuple[str, ...] = ()
    split_sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    default: str = "test"

    def __call__(self, sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Write the data set folder *out*; returns the facts. Same sources and settings, same bytes.

        settings: Settings. Raises DataError that names all faults of a kind at once: settings, sources, rows of the
        official file, pictures that are missing or unreadable (unless the policy is to drop their questions).
        """
        known = read_as(Settings, self.name, settings, splits=self.default)
        splits = self._splits(known.splits)
        self._check_sources(sources, splits)
        published = self.read(sources, splits)
        return _build(self, published, out, splits=splits, settings=known)

    def needed(self, splits: Iterable[str]) -> tuple[str, ...]:
        """The sources that *splits* cannot do without."""
        more = (source for split in splits for source in self.split_sources.get(split, ()))
        return tuple(dict.fromkeys((*self.sources, *more)))

    def _splits(self, told: str) -> list[str]:
        splits = list(dict.fromkeys(name.strip() for name in str(told).split(",")))
        faults = [
            f"{self.name}: setting splits: {name!r}: unknown{nearest(name, self.splits)}; "
            f"allowed are {', '.join(self.splits)}, with commas between"
            for name in splits
            if name not in self.splits
        ]
        if faults:
            raise DataError("\n".join(faults))
        return splits

    def _check_sources(self, sources: Mapping[str, Path], splits: Sequence[str]) -> None:
        needed = self.needed(splits)
        taken = (*needed, *self.optional)
        strange = [source for source in sources if source not in taken]
        if strange:
            raise DataError(
                f"{self.name}: sources {', '.join(strange)}: not taken for {', '.join(splits)}"
                f"{nearest(strange[0], taken)}; it takes {', '.join(needed)}"
                + (f", and may take {', '.join(self.optional)}" if self.optional else "")
            )
        check_sources(self.name, sources, (*needed, *(source for source in self.optional if source in sources)))


def _build(
    builder: Evaluation, published: Published, out: Path, *, splits: Sequence[str], settings: Settings
) -> dict[str, Any]:
    name, ledger = builder.name, Ledger(settings.policy, settings.dropped_share)
    units = _usable(published.questions, published.pictures, ledger)
    ledger.check(name, len(published.questions))
    with whole_folder(out) as folder:
        taking = Taking(published.pictures, ledger)
        write_images(folder, taking.run(name, _ordered(name, units, splits, settings), settings.rows))
        ledger.check(name, len(published.questions))
        if taking.short:
            raise DataError("\n".join(taking.short))
        _write(folder, published.files, {question.key for question in taking.kept})
        facts = _facts(builder, published, taking, ledger, splits=splits, settings=settings)
        write_json(folder / "facts.json", facts)
    for line in facts["differs"]:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    return facts


def _usable(questions: Iterable[Question], pictures: Pictures, ledger: Ledger) -> dict[tuple[str, str], Unit]:
    """The questions by split and unit, units without all their pictures left out; faults and repairs go to *ledger*."""
    units: dict[tuple[str, str], Unit] = {}
    broken: dict[tuple[str, str], str] = {}
    for question in questions:
        place = question.split, question.together
        units.setdefault(place, []).append(question)
        try:
            repairs = () if question.image is None else pictures.repairs(picture_name(question.image) or "")
        except Unusable as fault:
            broken[place] = str(fault)
            continue
        for kind in repairs:
            ledger.repair(kind, _where(question))
    for place, kind in broken.items():
        _drop(units.pop(place), kind, ledger)
    return units


def _drop(unit: Unit, fault: str, ledger: Ledger) -> None:
    for question in unit:
        ledger.drop(fault, _where(question))


def _where(question: Question) -> str:
    return f"{question.split} {question.id}" + (f" ({question.image})" if question.image else "")


def _ordered(
    name: str, units: Mapping[tuple[str, str], Unit], splits: Sequence[str], settings: Settings
) -> dict[str, list[Unit]]:
    """The units of each split in the order of the file, or of a sample."""
    places = list(units)
    if settings.rows:
        places.sort(key=lambda place: _rank(f"{name}/{settings.seed}/{'/'.join(place)}"))
    return {split: [units[place] for place in places if place[0] == split] for split in splits}


def _rank(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Taking:
    """The questions that stay, and their pictures, each name once; a unit with an unreadable picture goes.

    short: what is wrong with splits that have fewer questions than the sample takes, or none.
    """

    def __init__(self, pictures: Pictures, ledger: Ledger):
        self._pictures, self._ledger = pictures, ledger
        self.kept: list[Question] = []
        self.names: set[str] = set()
        self.short: list[str] = []

    def run(self, name: str, splits: Mapping[str, list[Unit]], rows: int) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of pictures; of each split at most *rows* questions, 0 for all."""
        for split, units in splits.items():
            taken, full = 0, not rows
            for unit in progress(units, f"{name}: {split}"):
                full = full or taken + len(unit) > rows
                if rows and full:
                    break
                try:
                    found = self._read(unit)
                except Unusable as fault:
                    _drop(unit, str(fault), self._ledger)
                    continue
                taken += len(unit)
                self.kept += unit
                self.names.update(found)
                yield from found.items()
            if not taken or (not full and taken < rows):
                wanted = f"the sample takes {rows} (setting rows)" if rows else "it takes one at least"
                self.short.append(f"{name}: {split}: {taken} usable questions; {wanted}")

    def _read(self, unit: Unit) -> dict[str, bytes]:
        names = dict.fromkeys(question.image for question in unit)
        return {name: self._pictures.read(name) for name in names if name is not None and name not in self.names}


def _write(folder: Path, files: Iterable[Written], kept: set[Key]) -> None:
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content(kept))


def _facts(
    builder: Evaluation,
    published: Published,
    taking: Taking,
    ledger: Ledger,
    *,
    splits: Sequence[str],
    settings: Settings,
) -> dict[str, Any]:
    there = Counter(question.split for question in published.questions)
    kept = Counter(question.split for question in taking.kept)
    ids = "\n".join(sorted("/".join(question.key) for question in taking.kept))
    taken = {"seed": settings.seed, "rows": settings.rows} if settings.rows else {"seed": None, "rows": "all"}
    official = {file.name: file.facts() for file in published.official}
    for name, sums in published.known.items():
        if name in official:
            official[name]["known_as"] = sums.get(official[name]["sha256"])
    return {
        "builder": f"{builder.name} {builder.version}",
        "policy": settings.policy,
        "dropped_share": settings.dropped_share,
        "sample": {**taken, "ids_sha256": hashlib.sha256(ids.encode()).hexdigest()},
        "official": official,
        "counts": {
            "official": {split: there[split] for split in splits},
            "questions": {split: kept[split] for split in splits},
            "pictures": len(taking.names),
            **ledger.counts(),
        },
        "differs": [*_other_counts(builder, there, splits), *_other_files(official, published.known)],
        **published.facts,
    }


def _other_counts(builder: Evaluation, there: Mapping[str, int], splits: Iterable[str]) -> Iterator[str]:
    for split in splits:
        if builder.splits[split] not in (None, there[split]):
            yield f"{split}: {there[split]:,} questions; published are {builder.splits[split]:,}"


def _other_files(official: Mapping[str, Any], known: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for name, found in official.items():
        sums = known.get(name, {})
        if sums and found["sha256"] not in sums:
            stands = ", ".join(f"{sum} ({what})" for sum, what in sums.items())
            yield f"{name}: sha256 {found['sha256']}; known are {stands}"
