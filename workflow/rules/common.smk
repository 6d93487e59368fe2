# The plan, and the functions by which rules ask it. Validation happens here, when the DAG is parsed.

import shlex
import sys
from pathlib import Path

from steering import layout
from steering.errors import SteeringError
from steering.interrupts import SHELL
from steering.params import OF_A_RUN, load, of_first_seeds
from steering.plan import Plan, outcomes, slice_file
from steering.requests import Requests

PARAMS_FILE = Path(config.get("params", "params.yaml"))
FIRST_SEEDS = config.get("first_seeds")

try:
    PARAMS = of_first_seeds(load(PARAMS_FILE), FIRST_SEEDS)
except SteeringError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)

PLAN = Plan(PARAMS)
REQUESTS = Requests(PLAN)
RUN_WORDS = {"world": "{world}", "data": "{data}", "arm": "{arm}", "seed": "{seed}"}
GPU_MODEL = config.get("gpu_model")
MAX_RUNTIME_MINUTES = int(config.get("max_runtime_minutes", 10**9))


# the stages run in the environment that snakemake itself runs in, whether or not it is on the caller's PATH
ENVIRONMENT = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "

shell.prefix((SHELL + ENVIRONMENT).replace("{", "{{").replace("}", "}}"))


def mixtures_under(world):
    """A pattern of the world's own mixtures, in a path behind its name."""
    return rf"(?:(?<=/{world}/)|(?<=/{world}/mixtures/))(?:{'|'.join(PARAMS.worlds[world].mixtures) or '(?!)'})"


wildcard_constraints:
    world="|".join(PARAMS.worlds),
    data="|".join(map(mixtures_under, PARAMS.worlds)),
    arm="|".join(PARAMS.arms),
    seed="[0-9]+",
    part="[0-9]+",
    analysis="|".join(OF_A_RUN),
    experiment="|".join(PLAN.runnable()),
    dataset="[a-z0-9_]+",
    name="[a-z0-9_]+",


def slice_of(rule_name):
    """The slice file of a job, as a function of its wildcards; a changed slice is another file, so it runs again."""

    def of(wildcards):
        words = dict(wildcards.items())
        words |= {name: int(words[name]) for name in ("seed", "part") if name in words}
        return slice_file(rule_name, getattr(PLAN, rule_name)(**words))

    return of


def base_of(world):
    return layout.language_model(PARAMS.worlds[world].language_model) / "manifest.json"


def data_of(world, names):
    """Prepared data sets of a world with their picture checks and, where they are computed once, their features."""
    for name in names:
        yield layout.dataset(world, name) / "manifest.json"
        yield layout.check(world, name)
        if PARAMS.worlds[world].features == "once":
            yield layout.features(world, name)


def asked_of(wildcards):
    """The data of everything that is asked."""
    return data_of(wildcards.world, PLAN.asked_datasets(wildcards.world))


def encoder_of(wildcards):
    """The vision encoder of a run that trains or edits it; nothing where features computed once are read."""
    name = PARAMS.worlds[wildcards.world].vision_encoder
    return [layout.vision_encoder(name) / "manifest.json"] if PLAN.live(wildcards.world, wildcards.arm) else []


def start_of(wildcards):
    """The tuned run that a run starts from; nothing where that is a connector."""
    start = PLAN.start(wildcards.world, wildcards.data, int(wildcards.seed))
    return [layout.run(*run_of(start)) / "manifest.json"] if start else []


def connector_of(wildcards):
    """The connector that a run starts from; nothing where that is a tuned run."""
    if start_of(wildcards):
        return []
    seed = PLAN.pretrain_seed(wildcards.world, int(wildcards.seed))
    return layout.connector(wildcards.world, seed) / "manifest.json"


def verdicts_of(wildcards):
    """What the judge of a run's world said; nothing where no answers of it are judged."""
    run = (wildcards.world, wildcards.data, wildcards.arm, wildcards.seed)
    return [layout.outcome(*run) / "verdicts.json"] if PLAN.judged(wildcards.world, wildcards.data) else []


def answered_by(wildcards):
    """What answers a run's questions: its model, and the data that they are about."""
    yield base_of(wildcards.world)
    yield from asked_of(wildcards)
    yield from encoder_of(wildcards)
    yield from start_of(wildcards)
    yield layout.run(wildcards.world, wildcards.data, wildcards.arm, wildcards.seed) / "manifest.json"


def run_of(run):
    """The words of a run, as wildcards tell them."""
    return run.world, run.data, run.arm, run.seed


def overhead_of(wildcards):
    """What an experiment's overhead is measured of: the models of its first seed, and their answers."""
    for run in PLAN.overhead_runs(wildcards.experiment):
        if PLAN.live(run.world, run.arm):
            yield layout.vision_encoder(PARAMS.worlds[run.world].vision_encoder) / "manifest.json"
        yield layout.run(*run_of(run)) / "manifest.json"
        yield layout.outcome(*run_of(run)) / "predictions" / "predictions.jsonl"
        yield from start_of(run)


def analyses_of(wildcards):
    """What an experiment asks for beside scores and attention."""
    for run in PLAN.runs(wildcards.experiment):
        yield from (
            layout.analysis(*run_of(run), name) / "manifest.json" for name in PLAN.analyses(wildcards.experiment)
        )
    if PLAN.overhead_runs(wildcards.experiment):
        yield layout.overhead(wildcards.experiment)


def parts_of(wildcards):
    """The parts in which a run is asked; nothing where it is asked as a whole."""
    run = (wildcards.world, wildcards.data, wildcards.arm, wildcards.seed)
    for part in PLAN.parts(wildcards.world):
        yield layout.prediction_part(*run, part) / "manifest.json"
        yield layout.prediction_part(*run, part) / "predictions.jsonl"


def world_of(wildcards):
    """The world of a run, or of an experiment."""
    return wildcards.get("world") or PLAN.experiment(wildcards.experiment).world


def memory_of(rule_name):
    """What a scheduler is asked for, in MB; a job that is tried again asks for more."""

    def of(wildcards, attempt):
        return attempt * REQUESTS.memory_mb(rule_name, world_of(wildcards), wildcards.get("arm"))

    return of


def runtime_of(rule_name):
    """As for memory, in minutes; what a site allows at most goes on in the next attempt."""

    def of(wildcards, attempt):
        wanted = attempt * REQUESTS.runtime_minutes(rule_name, world_of(wildcards), wildcards.get("arm"))
        return min(wanted, MAX_RUNTIME_MINUTES)

    return of


def gpus_of(wildcards):
    return PARAMS.worlds[world_of(wildcards)].gpus


# What a job on several nodes asks for is per node (gres), on one node per job (gpu); None asks for nothing.


def gpu_on(nodes, gpus):
    return gpus if nodes == 1 else None


def gpu_model_on(nodes, gpus):
    return GPU_MODEL if nodes == 1 and gpus else None


def gpu_model_of(wildcards):
    return gpu_model_on(1, gpus_of(wildcards))


def gres_on(nodes, gpus):
    return ":".join(filter(None, ("gpu", GPU_MODEL, str(gpus)))) if nodes > 1 and gpus else None


def nodes_on(nodes):
    return nodes if nodes > 1 else None


def alone(wildcards):
    """A group of its own for a run that takes several devices: one SLURM job array asks alike for all its jobs."""
    run = (wildcards.world, wildcards.data, wildcards.arm, wildcards.seed)
    return "_".join(("tune", *run)) if REQUESTS.alone(wildcards.world, wildcards.arm) else None


def threads_of(wildcards):
    return PARAMS.worlds[world_of(wildcards)].threads


def undisturbed(wildcards):
    """All threads of this machine, so that nothing is timed beside another job; a cluster's job has its own."""
    return threads_of(wildcards) if workflow.non_local_exec else workflow.cores


def experiment_files(name):
    folder = layout.experiment(name)
    return [folder / file for file in ("report.html", "table.csv", "table.md", "tracked.json")]


def shown(path, caption, **more):
    """An output that `snakemake --report` shows."""
    return report(path, caption=f"../report/{caption}.rst", category="{experiment}", **more)
