"""What experiments of params.yaml will take, before anything runs: parameters, memory, hours, and what is done already.

`--parts` lists instead what worlds and arms can be made of. Nothing is written but the answer.
"""

import argparse
import json
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from steering.errors import ParamsError, SteeringError, nearest
from steering.forecast import ASSUMPTIONS, Forecast, notes
from steering.manifest import read_json, sha256_file
from steering.params import Params, load
from steering.plan import Plan
from steering.plan_table import forecast_text, parts_text
from steering.standing import Standing

RECORDS = Path(".snakemake") / "metadata"


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


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="python -m stages.plan", description=__doc__, allow_abbrev=False)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all of params.yaml")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    parser.add_argument("--world", metavar="W", help="only the experiments of this world")
    parser.add_argument("--json", action="store_true", help="for machines, on stdout alone")
    parser.add_argument("--parts", action="store_true", help="list what worlds and arms can be made of")
    return parser.strict(words)


def main(words: Sequence[str]) -> str:
    """The answer to a command line. Raises SteeringError for what there is not."""
    asked = arguments(words)
    params = load(asked.params)
    if asked.parts:
        from steering.parts import parts

        listed = parts(params)
        return json.dumps(listed, indent=1) if asked.json else parts_text(listed)
    told = planned(params, asked.experiments, asked.world)
    return json.dumps(told, indent=1) if asked.json else forecast_text(told)


def planned(params: Params, names: Sequence[str], world: str | None) -> dict[str, Any]:
    plan = Plan(params)
    wanted = chosen(params, names, world)
    forecast = Forecast(plan, Standing(plan, recorded=recorded))
    experiments = [forecast.experiment(name) for name in wanted]
    return {"experiments": experiments, "assumptions": ASSUMPTIONS, "notes": notes(experiments)}


def chosen(params: Params, names: Sequence[str], world: str | None) -> list[str]:
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


def _unknown(kind: str, names: Any, known: list[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{kind}: {name} is unknown; allowed {', '.join(known)}{nearest(name, known)}"


def recorded(output: Path) -> str | None:
    """The digest of the slice that Snakemake made *output* from; None where an input has changed since.

    A rule's only parameter is the path of its slice, which its digest names.
    """
    try:
        told = read_json(RECORDS / urlsafe_b64encode(str(output).encode()).decode())
        (slice_path,) = told["params"]
        changed = any(_changed(Path(name), told, output) for name in told["input"])
    except (OSError, KeyError, TypeError, ValueError):  # no record, or that of another version of Snakemake
        return None
    return None if changed or told.get("incomplete") else Path(slice_path.strip("'")).stem


def _changed(path: Path, told: dict[str, Any], output: Path) -> bool:
    """By checksum where Snakemake noted one, else by time."""
    known = told.get("input_checksums", {}).get(str(path))
    if known:
        return known != f"sha256:{sha256_file(path)}"
    return path.stat().st_mtime > output.stat().st_mtime


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]), flush=True)
    except SteeringError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
