"""The papers' numbers beside ours for experiments of params.yaml, whatever of them has been run; writes nothing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from steering.command_line import answer, asking_for_experiments, chosen
from steering.errors import ParamsError
from steering.params import Params, load
from steering.plan import Plan
from steering.plan_table import aligned, wrapped


def main(words: Sequence[str]) -> str:
    """The answer to a command line. Raises SteeringError for what there is not."""
    from steering.analyse.beside_written import as_json

    asked = asking_for_experiments("stages.paper", __doc__, default="all that stand beside a table").strict(words)
    params = load(asked.params)
    told = {name: beside(Plan(params), name) for name in standing_beside(params, asked.experiments)}
    if asked.json:
        return json.dumps({name: as_json(own) for name, own in told.items()}, indent=1)
    return "\n\n".join(text(name, own) for name, own in told.items())


def standing_beside(params: Params, names: Sequence[str]) -> list[str]:
    """The experiments meant. Raises ParamsError for one that stands beside no table."""
    beside = [name for name, experiment in params.experiments.items() if experiment.paper]
    wanted = chosen(params, names) if names else beside
    faults = [name for name in wanted if name not in beside]
    if faults or not wanted:
        said = ", ".join(faults) or "all"
        raise ParamsError([f"experiment: {said} without `paper`; allowed {', '.join(beside) or 'none in this file'}"])
    return wanted


def beside(plan: Plan, experiment: str) -> Any:
    from steering.analyse.beside_words import tell
    from steering.analyse.unscored import places
    from steering.evaluate.results import scores_there

    runs = [run.__dict__ for run in plan.runs(experiment)]
    scores, unscored = scores_there(runs, split=plan.experiment(experiment).split)
    return tell(plan.beside_paper(experiment), scores, unscored=places(unscored))


def text(name: str, told: Any) -> str:
    from steering.analyse.beside_written import claim_rows, place_rows

    lines = [f"{name}: {told.about}, per cent", "", *_table(place_rows(told), left=3), ""]
    lines += [wrapped(told.summary), ""] if told.summary else []
    lines += [*_table(claim_rows(told), left=2), ""] if told.measured else []
    return "\n".join([*lines, *(wrapped(f"- {note}") for note in [*told.protocol, *told.odd])])


def _table(rows: Sequence[Mapping[str, str]], *, left: int) -> list[str]:
    return aligned(list(rows[0]), [list(row.values()) for row in rows], left=left)


if __name__ == "__main__":
    answer(main)
