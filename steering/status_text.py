"""A status as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from steering.plan_table import aligned
from steering.standing import STATES

Told = Mapping[str, Any]

HEADS = {
    "none": "No snakemake runs here.",
    "running": "Running: {told}.",
    "dead": "Killed: {told}. `make resume` goes on.",
}


def status_text(told: Told) -> str:
    """All experiments, then the queue and the head."""
    lines = [line for experiment in told["experiments"] for line in _experiment(experiment)]
    if told["waiting"]:
        waiting = ", ".join(f"{entry['jobs']} for {entry['reason']}" for entry in told["waiting"])
        lines += [f"Waiting in SLURM: {waiting}", ""]
    if told["silent"]:
        lines += [f"SLURM does not say what runs: {told['silent']}", ""]
    return "\n".join([*lines, _head(told["head"])])


def _head(head: Told) -> str:
    if head["state"] == "none" and head["locked"]:
        return "No snakemake is known to run here, but one left its lock. `make resume` goes on."
    return HEADS[head["state"]].format(**head)


def _experiment(told: Told) -> Iterator[str]:
    jobs = told["jobs"]
    total = sum(sum(states.values()) for states in jobs.values())
    done = sum(states["done"] for states in jobs.values())
    yield f"{told['experiment']}: {told['title']}"
    yield f"  {done} of {total} jobs done, {len(told['running'])} running, {len(told['failed'])} failed"
    left = {rule: states for rule, states in jobs.items() if states["done"] < sum(states.values())}
    if left:
        yield ""
        yield from aligned(["rule", *STATES], [[rule, *(str(left[rule][state]) for state in STATES)] for rule in left])
    for title, entries in (("Running", told["running"]), ("Failed", told["failed"])):
        if entries:
            yield from ("", f"  {title}", *(line for entry in entries for line in _job(entry)))
    if older := told["older_than_the_code"]:
        yield ""
        yield "  Done by other code than today's: " + ", ".join(
            f"{entry['jobs']} {entry['rule']} ({entry['commit']})" for entry in older
        )
    yield ""


def _job(told: Told) -> Iterator[str]:
    where = f"SLURM {told['slurm_job']} on {told['host']}" if told["slurm_job"] else f"{told['host']} {told['pid']}"
    yield f"    {told['rule']} {told['job']}  {where}, since {told['started']}"
    if told["progress"]:
        yield f"      {told['progress']}"
    if told["why"]:
        code = "" if told["exit_code"] is None else f" (code {told['exit_code']}, {told['ended']})"
        yield from (f"      {line}" for line in f"{told['why']}{code}".splitlines())
        yield f"      {told['log']}"
