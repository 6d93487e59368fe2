"""Which jobs are done: their output is there, made from today's slice and from inputs that are themselves done.

A job that writes a manifest is asked the way the job asks itself: kind, slice and the digests of its inputs, which
together name its state in the run store. An output without a manifest (check, features, mixture, scores, report) does
not tell what made it; the workflow keeps that record, and `recorded` reads it. What is not known to be today's is
stale, never done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from steering.errors import DataError
from steering.graph import OUTPUTS, SINGLE_FILES, Graph, Words, words_of
from steering.job import contents
from steering.manifest import digest, read_json
from steering.plan import Plan, Run

State = Literal["done", "missing", "stale"]
STATES: tuple[State, ...] = ("done", "missing", "stale")

LARGE_BYTES = 1_000_000_000
"""A single file above this is not read again: it must be older than what was made of it, as for Snakemake."""


class Standing:
    """The state of each job of *plan*, asked once.

    recorded: for an output without manifest, the digest of the slice it was made from; None where that is not known
    or the files it was made from have changed since.
    """

    def __init__(self, plan: Plan, *, recorded: Callable[[Path], str | None] = lambda output: None):
        self.plan, self.graph, self._recorded = plan, Graph(plan), recorded
        self._known: dict[tuple, State] = {}
        self._digests: dict[Path, str] = {}

    def of(self, rule: str, **words: Any) -> State:
        key = (rule, *words.values())
        if key not in self._known:
            self._known[key] = self._judge(rule, words)
        return self._known[key]

    def run(self, run: Run) -> dict[str, State]:
        """The state of each job of a run."""
        return {rule: self.of(rule, **words_of(run)) for rule in self.graph.run_rules(run.world, run.data)}

    def jobs(self, experiment: str) -> dict[str, dict[State, int]]:
        """Rule -> how many of its jobs are done, missing and stale, of all that the experiment rests on."""
        counted: dict[str, dict[State, int]] = {}
        for rule, words in self.graph.jobs(experiment):
            states = counted.setdefault(rule, dict.fromkeys(STATES, 0))
            states[self.of(rule, **words)] += 1
        return counted

    def _judge(self, rule: str, words: Words) -> State:
        output = OUTPUTS[rule](**words)
        proof = output if rule in SINGLE_FILES else output / "manifest.json"
        if not proof.exists():
            return "missing"
        if any(self.of(above, **named) != "done" for above, named in self.graph.above(rule, words)):
            return "stale"
        wanted = digest(getattr(self.plan, rule)(**words))
        if rule in SINGLE_FILES:
            return "done" if self._recorded(output) == wanted else "stale"
        return "done" if self._fits(rule, words, proof, wanted) else "stale"

    def _fits(self, rule: str, words: Words, manifest: Path, wanted: str) -> bool:
        inputs = self.graph.inputs(rule, words)
        try:
            told = read_json(manifest)
            same = told["kind"] == rule and digest(told["slice"]) == wanted
            return same and all(
                name in inputs and self._contents(inputs[name], was, manifest) == was
                for name, was in told["inputs"].items()
            )
        except (OSError, DataError, KeyError, TypeError, AttributeError, ValueError):  # no manifest of a job
            return False

    def _contents(self, path: Path, was: str, manifest: Path) -> str:
        if path.is_file() and path.stat().st_size > LARGE_BYTES:
            return was if path.stat().st_mtime <= manifest.stat().st_mtime else ""
        if path not in self._digests:
            self._digests[path] = contents(path)
        return self._digests[path]
