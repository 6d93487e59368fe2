"""What the commands that a person types share: options, the experiments that are meant, faults in one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from steering.errors import ParamsError, SteeringError, nearest
from steering.params import Params, load, of_first_seeds


class Parser(argparse.ArgumentParser):
    """A wrong option ends like every fault of a user: one line with what is allowed, code 2."""

    def error(self, message: str) -> NoReturn:
        raise ParamsError([message])

    def strict(self, words: Sequence[str]) -> argparse.Namespace:
        arguments, strange = self.parse_known_args(words)
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        if strange:
            close = nearest(strange[0].split("=")[0], options)
            raise ParamsError([f"{strange[0]}: unknown option; allowed {', '.join(options)}{close}"])
        return arguments


def asking_for_experiments(prog: str, about: str | None, *, default: str) -> Parser:
    """A parser of `EXPERIMENT ... --params FILE --json`; *default* tells what is meant where none is named."""
    parser = Parser(prog=f"python -m {prog}", description=about, allow_abbrev=False)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"default: {default}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    parser.add_argument("--json", action="store_true", help="for machines, on stdout alone")
    return parser


def with_first_seeds(parser: Parser) -> Parser:
    """*parser* with `--first-seeds N`, which `snakemake --config first_seeds=N` asks for too: see `params_of`."""
    parser.add_argument("--first-seeds", type=int, metavar="N", help="of each experiment the first N training seeds")
    return parser


def params_of(asked: argparse.Namespace) -> Params:
    """What `--params` and `--first-seeds` name. Raises ParamsError for a file that is wrong, or no number of seeds."""
    return of_first_seeds(load(asked.params), asked.first_seeds)


def chosen(params: Params, names: Sequence[str], world: str | None = None) -> list[str]:
    """The experiments meant, each once. Raises ParamsError for a name that stands for none, or none of *world*."""
    worlds = {name: wanted.world for name, wanted in params.experiments.items()}
    faults = [*_unknown("experiment", names, list(worlds)), *_unknown("world", filter(None, [world]), [*params.worlds])]
    if faults:
        raise ParamsError(faults)
    asked = list(dict.fromkeys(names)) or list(worlds)
    kept = [name for name in asked if world in (None, worlds[name])]
    if not kept:
        allowed = ", ".join(sorted({worlds[name] for name in asked}))
        raise ParamsError([f"world: {world} has none of these experiments; allowed {allowed}"])
    return kept


def _unknown(kind: str, names: Iterable[str], known: list[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{kind}: {name} is unknown; allowed {', '.join(known)}{nearest(name, known)}"


def answer(main: Callable[[Sequence[str]], str]) -> None:
    """Print what *main* says to the words typed; a fault goes to stderr in its own words, with its code."""
    try:
        print(main(sys.argv[1:]), flush=True)
    except SteeringError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
