"""All experiments of params.yaml on one page, as far as they are there: writes results/index.html.

`snakemake` calls this when it ends, well or not; a person may at any time. It reads and builds nothing else.
"""

from collections.abc import Sequence
from pathlib import Path

from steering import layout
from steering.analyse.index import write_index
from steering.command_line import Parser, answer, params_of, with_first_seeds
from steering.plan import Plan
from steering.records import recorded


def main(words: Sequence[str]) -> str:
    """The page's path. Raises SteeringError for a params file that is wrong."""
    parser = Parser(prog="python -m stages.index", description=__doc__, allow_abbrev=False)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    asked = with_first_seeds(parser).strict(words)
    write_index(Plan(params_of(asked)), layout.INDEX, recorded=recorded)
    return str(layout.INDEX)


if __name__ == "__main__":
    answer(main)
