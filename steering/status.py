"""Where an experiment stands: done, running, failed and why, waiting in SLURM, and what is older than the code.

What is done is told by `steering.standing`, who works on the rest by `steering.attempts`, the queue by SLURM. Plain
builtins, ready for JSON.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from steering import layout
from steering.attempts import Attempt, last_attempt
from steering.graph import OUTPUTS, SINGLE_FILES, Graph, Words
from steering.heads import last_head, locked
from steering.manifest import code_digest, digest, read_json
from steering.plan import Plan
from steering.slurm import SlurmJob
from steering.standing import Standing

TAIL_BYTES = 4000
PROGRESS = re.compile(r".* s left.*")
VANISHED = "ended without a word: killed, out of memory or time, or its machine went down"

Told = dict[str, Any]


class Status:
    """The status of experiments of *plan*; *queue* is what SLURM says, None where it does not answer."""

    def __init__(self, plan: Plan, standing: Standing, queue: Sequence[SlurmJob] | None = ()):
        self.plan, self.standing, self.queue = plan, standing, queue or ()
        self._states = None if queue is None else {job.id: job.state for job in queue}
        self._nodes = {job.id: job.nodes for job in self.queue}

    def experiment(self, name: str) -> Told:
        """Jobs by rule and state, and each job that somebody works on or worked on in vain."""
        jobs = Graph(self.plan).jobs(name)
        at_work = [told for rule, words in jobs for told in self._at_work(rule, words)]
        running = [told for told in at_work if told["standing"] == "running"]
        return {
            "experiment": name,
            "title": self.plan.experiment(name).title,
            "jobs": self.standing.jobs(name),
            "running": running,
            "failed": [told for told in at_work if told["standing"] != "running"],
            "older_than_the_code": self._older(jobs),
        }

    def _at_work(self, rule: str, words: Words) -> Iterator[Told]:
        if self.standing.of(rule, **words) == "done":
            return
        if attempt := last_attempt(rule, digest(getattr(self.plan, rule)(**words))):
            yield self._told(rule, words, attempt)

    def _told(self, rule: str, words: Words, attempt: Attempt) -> Told:
        log, standing = layout.log(rule, **words), attempt.standing(self._states)
        return {
            "rule": rule,
            "job": "/".join(log.with_suffix("").parts[2:]),
            "standing": standing,
            "host": self._nodes.get(attempt.slurm_job or "") or attempt.host,
            "pid": attempt.pid,
            "slurm_job": attempt.slurm_job,
            "started": attempt.started,
            "ended": attempt.ended,
            "exit_code": attempt.exit_code,
            "why": attempt.fault or (VANISHED if standing == "vanished" else None),
            "progress": progress_in(log) if standing == "running" else None,
            "log": str(log),
        }

    def _older(self, jobs: Sequence[tuple[str, Words]]) -> list[Told]:
        """Done jobs whose manifest tells of other code than today's, by rule and commit."""
        today, counted = code_digest(), Counter[tuple[str, str]]()
        for rule, words in jobs:
            if rule in SINGLE_FILES or self.standing.of(rule, **words) != "done":
                continue
            made = read_json(OUTPUTS[rule](**words) / "manifest.json")
            if made.get("code") != today:
                counted[rule, made.get("commit", "unknown")] += 1
        return [{"rule": rule, "commit": commit, "jobs": count} for (rule, commit), count in counted.items()]

    def head(self) -> Told:
        """Who decides here: a head that runs, one that died, or none."""
        known, lock = last_head(), locked()
        if known is None:
            return {"state": "none", "locked": lock}
        return {"state": "running" if known.alive else "dead", "locked": lock, "told": known.told()}

    def waiting(self) -> list[Told]:
        """The jobs in SLURM's queue, by why they wait."""
        waits = Counter(job.reason for job in self.queue if job.waits)
        return [{"reason": reason, "jobs": count} for reason, count in waits.most_common()]


def progress_in(log: Any) -> str | None:
    """The last thing a job said about how far it is."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return next((line for line in reversed(lines) if PROGRESS.fullmatch(line)), None)
