"""Where experiments stand: what is done, what runs where and how far, what failed and why, what is older than the code.

Reads what is on the disk and asks SLURM where there is one; changes nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steering import slurm
from steering.command_line import answer, asking_for_experiments, chosen, params_of, with_first_seeds
from steering.heads import last_head
from steering.params import Params
from steering.plan import Plan
from steering.records import recorded
from steering.standing import Standing
from steering.status import Status
from steering.status_text import status_text


def main(words: Sequence[str]) -> str:
    """The answer to a command line. Raises SteeringError for what there is not."""
    parser = asking_for_experiments("stages.status", __doc__, default="the default of params.yaml")
    asked = with_first_seeds(parser).strict(words)
    params = params_of(asked)
    told = standing_now(params, asked.experiments or [params.default])
    return json.dumps(told, indent=1) if asked.json else status_text(told)


def standing_now(params: Params, names: Sequence[str]) -> dict[str, Any]:
    plan, (queue, silent) = Plan(params), _queue()
    status = Status(plan, Standing(plan, recorded=recorded), queue)
    experiments = [status.experiment(name) for name in chosen(params, names)]
    return {"experiments": experiments, "waiting": status.waiting(), "head": status.head(), "silent": silent}


def _queue() -> tuple[list[slurm.SlurmJob] | None, str | None]:
    """SLURM's jobs of this folder; None, with the reason, where it does not answer though jobs went there."""
    try:
        return slurm.jobs(Path.cwd()), None
    except slurm.SlurmError as error:
        head = last_head()
        return None, str(error) if head and head.submits else None


if __name__ == "__main__":
    answer(main)
