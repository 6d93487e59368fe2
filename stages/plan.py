"""What experiments of params.yaml will take, before anything runs: parameters, memory, hours, and what is done already.

`--parts` lists instead what worlds and arms can be made of. Nothing is written but the answer.
"""

import json
from collections.abc import Sequence
from typing import Any

from steering.command_line import answer, asking_for_experiments, chosen, params_of, with_first_seeds
from steering.forecast import ASSUMPTIONS, Forecast, notes
from steering.params import Params
from steering.plan import Plan
from steering.plan_table import forecast_text, parts_text
from steering.records import recorded
from steering.standing import Standing


def main(words: Sequence[str]) -> str:
    """The answer to a command line. Raises SteeringError for what there is not."""
    parser = asking_for_experiments("stages.plan", __doc__, default="all of params.yaml")
    parser.add_argument("--world", metavar="W", help="only the experiments of this world")
    parser.add_argument("--parts", action="store_true", help="list what worlds and arms can be made of")
    asked = with_first_seeds(parser).strict(words)
    params = params_of(asked)
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


if __name__ == "__main__":
    answer(main)
