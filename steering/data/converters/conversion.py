"""From published rows and pictures to a data set folder: conversations.json, the picture archive and facts.json.

Three passes, so that neither rows nor pictures are ever in memory together: rows are cleaned into a journal on disk
and their pictures looked up, which ends a hopeless conversion in minutes; pictures are copied, each decoded once; the
rows that have theirs are written in the order of the file. A sample takes the rows with the smallest
sha256(seed/id): the sample of 1,000 lies in that of 5,000, and that in the whole.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steering.data.conversations import Conversation, write
from steering.data.converters.cleaning import clean
from steering.data.converters.ledger import Ledger, Unusable
from steering.data.converters.pictures import Pictures, Place, named_otherwise
from steering.data.converters.settings import Settings
from steering.data.embedded.writing import whole_folder, write_json
from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError
from steering.progress import progress

DUPLICATE_ID = "duplicate id: numbered"
TEXT_ONLY = "text"


def convert(
    name: str,
    rows: Iterable[Any],
    out: Path,
    *,
    pictures: tuple[Sequence[Place], Mapping[str, Path]],
    settings: Settings,
) -> dict[str, Any]:
    """Write the data set folder *out* from *rows* in LLaVA's shape; returns the facts. Same input, same bytes.

    name: of the converter, with the version of its rules; pictures: places, and the path of each one's source.
    Raises DataError where the policy does not allow what was found, and for fewer rows than the sample asks for.
    """
    ledger = Ledger(settings.policy, settings.dropped_share)
    store = Pictures(*pictures)
    with whole_folder(out) as folder, Journal(folder) as journal:
        read = _clean_all(progress(rows, f"{name}: rows"), journal, ledger=ledger, pictures=store)
        ledger.check(name, read)
        copy = Copy(journal, store, ledger, wanted=_wanted(name, journal, settings))
        write_images(folder, copy.run(f"{name}: rows with their pictures", _order(name, journal, settings)))
        ledger.check(name, read)
        kept = sorted(copy.kept)
        _check_size(name, len(kept), settings)
        write(folder / "conversations.json", (journal[number] for number in progress(kept, f"{name}: written")))
        counts = {**_counts(read, journal, copy, ledger), "pictures_distinct": _distinct(folder)}
        rules = {"converter": name, "policy": settings.policy, "dropped_share": settings.dropped_share}
        facts = {**rules, "sample": _sample(journal, kept, settings), "counts": counts}
        write_json(folder / "facts.json", facts)
    return facts


class Journal:
    """Cleaned conversations on disk, read back by number; their ids and picture names stay in memory."""

    def __init__(self, folder: Path):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._starts = array("Q")
        self.ids: list[str] = []
        self.images: list[str | None] = []
        self.sources: list[str] = []
        self._known: set[str] = set()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> Conversation:
        self._file.seek(self._starts[number])
        turns = json.loads(self._file.readline())
        return Conversation(self.ids[number], self.images[number], tuple((asked, said) for asked, said in turns))

    def add(self, conversation: Conversation, source: str) -> bool:
        """Append; whether the id was taken before and got a number behind it."""
        identifier = self._free(conversation.id)
        self._starts.append(self._file.seek(0, 2))
        self._file.write(json.dumps(conversation.turns).encode() + b"\n")
        self._known.add(identifier)
        self.ids.append(identifier)
        self.images.append(conversation.image)
        self.sources.append(source)
        return identifier != conversation.id

    def _free(self, identifier: str) -> str:
        number, free = 2, identifier
        while free in self._known:
            free, number = f"{identifier}#{number}", number + 1
        return free


def _clean_all(rows: Iterable[Any], journal: Journal, *, ledger: Ledger, pictures: Pictures) -> int:
    """Every usable row into *journal*, all faults into *ledger*; the number of rows read."""
    number = -1
    for number, row in enumerate(rows):
        where = f"row {number} (id {row.get('id')!r})" if isinstance(row, dict) else f"row {number}"
        try:
            cleaned = clean(row, number)
            image = cleaned.conversation.image
            source = TEXT_ONLY if image is None else pictures.source(image)
            repairs = cleaned.repairs if image is None else cleaned.repairs + pictures.repairs(image)
        except Unusable as fault:
            ledger.drop(str(fault), where)
            continue
        if journal.add(cleaned.conversation, source):
            repairs += (DUPLICATE_ID,)
        for kind in repairs:
            ledger.repair(kind, where)
    return number + 1


class Copy:
    """The pictures of rows, each name once, until *wanted* rows have theirs; kept: the numbers of those rows."""

    def __init__(self, journal: Journal, pictures: Pictures, ledger: Ledger, *, wanted: int):
        self._journal, self._pictures, self._ledger, self._wanted = journal, pictures, ledger, wanted
        self._faults: dict[str, str] = {}
        self.names: set[str] = set()
        self.kept: list[int] = []
        self.named_otherwise = 0

    def run(self, what: str, order: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        for number in progress(order, what):
            if len(self.kept) == self._wanted:
                return
            name = self._journal.images[number]
            if name is not None and name not in self.names and name not in self._faults:
                yield from self._picture(name)
            if name is None or name in self.names:
                self.kept.append(number)
            else:
                self._ledger.drop(self._faults[name], f"row (id {self._journal.ids[number]!r})")

    def _picture(self, name: str) -> Iterator[tuple[str, bytes]]:
        """(name, bytes), or nothing and the fault noted."""
        try:
            content = self._pictures.read(name)
        except Unusable as fault:
            self._faults[name] = str(fault)
            return
        self.names.add(name)
        self.named_otherwise += named_otherwise(name, content)
        yield name, content


def _wanted(name: str, journal: Journal, settings: Settings) -> int:
    _check_size(name, len(journal), settings)
    return settings.rows or len(journal)


def _check_size(name: str, usable: int, settings: Settings) -> None:
    if usable < max(settings.rows, 1):
        raise DataError(f"{name}: {usable} usable rows; the sample takes {max(settings.rows, 1)} (setting rows)")


def _order(name: str, journal: Journal, settings: Settings) -> Sequence[int]:
    """Row numbers in the order of the file, or of a sample: that of sha256(converter/seed/id)."""
    if not settings.rows:
        return range(len(journal))
    salt = hashlib.sha256(f"{name.split()[0]}/{settings.seed}/".encode())
    return sorted(range(len(journal)), key=lambda number: _rank(salt, journal.ids[number]))


def _rank(salt: Any, identifier: str) -> bytes:
    digest = salt.copy()
    digest.update(identifier.encode())
    return bytes(digest.digest())


def _sample(journal: Journal, kept: Sequence[int], settings: Settings) -> dict[str, Any]:
    ids = "\n".join(sorted(journal.ids[number] for number in kept))
    taken = {"seed": settings.seed, "rows": settings.rows} if settings.rows else {"seed": None, "rows": "all"}
    return {**taken, "ids_sha256": hashlib.sha256(ids.encode()).hexdigest()}


def _counts(read: int, journal: Journal, copy: Copy, ledger: Ledger) -> dict[str, Any]:
    sources = Counter(journal.sources[number] for number in copy.kept)
    return {
        "rows_in": read,
        "rows_out": len(copy.kept),
        "not_sampled": read - len(copy.kept) - ledger.gone,
        "by_source": dict(sorted(sources.items())),
        "text_only": sources[TEXT_ONLY],
        "pictures": len(copy.names),
        "pictures_named_otherwise": copy.named_otherwise,
        **ledger.counts(),
    }


def _distinct(folder: Path) -> int:
    """Pictures that differ in their bytes."""
    archive = ImageArchive(folder)
    return len({archive.identity(name) for name in archive.names()})
