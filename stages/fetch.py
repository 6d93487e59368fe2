"""Fetch one source, checked against its checksum: writes downloads/NAME/.

`python -m stages.fetch --list [WORLD ...]` tells instead what worlds need, what is here, missing or damaged, and how
many GB; --check reads every byte, --json is for machines.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from steering import layout
from steering.data.sources import fetch
from steering.errors import ParamsError, SteeringError, nearest
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    os.environ["HF_HUB_OFFLINE"] = "0"  # here alone: no other stage may reach for a network
    job = Job("fetch", content, {})
    folder = layout.download(content["name"])
    path = fetch(content["source"], folder)
    job.manifest(folder, file=path.name)


def listed(words: Sequence[str]) -> str:
    """The answer to --list. Raises SteeringError for a world that is not there."""
    from steering.data import catalogue
    from steering.params import load
    from steering.plan import Plan

    told = _parser().parse_args(words)
    plan = Plan(load())
    if unknown := [name for name in told.worlds if name not in plan.params.worlds]:
        known = list(plan.params.worlds)
        raise ParamsError(
            f"world {name} is unknown; allowed: {', '.join(known)}{nearest(name, known)}" for name in unknown
        )
    wanted = {name: plan.fetch(name)["source"] for name in plan.sources_of(told.worlds)}
    found = catalogue.rows(wanted, layout.download("x").parent, read=told.check)
    return json.dumps(catalogue.as_json(found), indent=1) if told.json else catalogue.table(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.fetch --list", description=__doc__)
    parser.add_argument("worlds", nargs="*", help="default: all of params.yaml")
    parser.add_argument("--json", action="store_true", help="for machines, on stdout alone")
    parser.add_argument("--check", action="store_true", help="read every byte and compare checksums")
    return parser


if __name__ == "__main__":
    if "--list" in sys.argv[1:]:
        try:
            print(listed([word for word in sys.argv[1:] if word != "--list"]))
        except SteeringError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
    else:
        run_stage(main, about=__doc__)
