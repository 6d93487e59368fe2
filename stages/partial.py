"""Report what came through of experiments that did not come through whole: writes results/EXPERIMENT/partial/.

A run counts when all its jobs are done by today's params.yaml. `snakemake` calls this where jobs failed.
"""

import subprocess
import sys
from collections.abc import Sequence

from steering.command_line import answer, asking_for_experiments, chosen, params_of, with_first_seeds
from steering.evaluate.results import run_name
from steering.plan import Plan, slice_file
from steering.records import recorded
from steering.standing import Standing


def main(words: Sequence[str]) -> str:
    """A line for each experiment. Raises SteeringError for what there is not."""
    parser = asking_for_experiments("stages.partial", __doc__, default="the default of params.yaml")
    asked = with_first_seeds(parser).strict(words)
    params = params_of(asked)
    plan = Plan(params)
    return "\n".join(_report(plan, name) for name in chosen(params, asked.experiments or [params.default]))


def _report(plan: Plan, name: str) -> str:
    standing, runs = Standing(plan, recorded=recorded), plan.runs(name)
    there = [run_name(vars(run)) for run in runs if set(standing.run(run).values()) == {"done"}]
    if len(there) == len(runs) or not there:
        return f"{name}: {len(there)} of {len(runs)} runs came through; no partial report"
    content = plan.report(name) | {"there": there}
    subprocess.run([sys.executable, "-m", "stages.report", slice_file("report", content)], check=True)
    return f"{name}: {len(there)} of {len(runs)} runs came through"


if __name__ == "__main__":
    answer(main)
