"""Compare what is here with the sha256 sums that manifests keep: a damaged disk or cache shows here first.

Every folder with a manifest below the folders named, by default all that the pipeline makes. Ends with code 0 where all
files are as promised, else with a line for each that is not.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from steering.command_line import Parser, answer
from steering.errors import DataError
from steering.job import damages

MADE = ("models", "data", "checkpoints", "results")


def main(words: Sequence[str]) -> str:
    """What was compared. Raises DataError with all damages at once, or where there is nothing to compare."""
    folders = _asked(words)
    manifests = sorted(manifest for folder in folders for manifest in folder.rglob("manifest.json"))
    if not manifests:
        raise DataError(f"{', '.join(map(str, folders))}: no manifest in there; `snakemake` makes them")
    if found := list(_damages(manifests)):
        raise DataError("\n".join(found))
    return f"{len(manifests)} manifests: every file is as they say"


def _asked(words: Sequence[str]) -> list[Path]:
    parser = Parser(prog="python -m stages.verify", description=__doc__, allow_abbrev=False)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    return parser.strict(words).folders or [Path(name) for name in MADE]


def _damages(manifests: Iterable[Path]) -> Iterator[str]:
    for manifest in manifests:
        yield from damages(manifest.parent)


if __name__ == "__main__":
    answer(main)
