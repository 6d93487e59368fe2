"""The questions of a world's benchmarks and the pictures they are about, across its data sets.

A picture is named "<dataset>/<name in the archive>" wherever data sets meet.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache
from typing import Any

from steering import layout
from steering.data.shards import ImageArchive
from steering.data.usable import excluded
from steering.evaluate.benchmarks import FORMS, Example
from steering.evaluate.benchmarks.form import without_instruction
from steering.evaluate.questions import draw

Benchmark = Mapping[str, Any]


def official_split(benchmark: Benchmark, split: str) -> str | None:
    """The official split that stands for *split*, ours; None where the benchmark has none."""
    told: Mapping[str, str] = benchmark.get("splits") or {}
    return told.get(split) if told else split


class Asked:
    """Examples of benchmarks (form, dataset, folder, subset) in one world, but for those on pictures that the picture
    check of their data set leaves out.

    left_out: how many those were, by "<dataset>/<form>/<subset>/<split>", of the examples that were read.
    """

    def __init__(self, world: str):
        self.world = world
        self.archive = cache(self._archive)
        self.left_out: dict[str, int] = {}
        self._excluded = cache(lambda dataset: excluded(world, dataset))

    def _archive(self, dataset: str) -> ImageArchive:
        return ImageArchive(layout.dataset(self.world, dataset))

    def examples(self, benchmark: Benchmark, split: str) -> list[Example]:
        """All questions of *split*, ours, as the official split that stands for it has them; none where none does."""
        official = official_split(benchmark, split)
        if official is None:
            return []
        root = layout.dataset(self.world, benchmark["dataset"]) / benchmark["folder"]
        told = FORMS[benchmark["form"]].examples(root, official, benchmark["subset"])
        examples = self._usable(benchmark, split, told)
        return examples if benchmark["instruction"] else [without_instruction(example) for example in examples]

    def _usable(self, benchmark: Benchmark, split: str, examples: list[Example]) -> list[Example]:
        faulty = self._excluded(benchmark["dataset"])
        kept = [example for example in examples if example.image not in faulty]
        if len(kept) < len(examples):
            parts = (benchmark["dataset"], benchmark["form"], benchmark["subset"], split)
            self.left_out["/".join(filter(None, parts))] = len(examples) - len(kept)
        return kept

    def draw(
        self,
        benchmark: Benchmark,
        split: str,
        share: Mapping[str, Any] | None,
        *,
        seed: int,
        seen: Container[str] = (),
    ) -> list[Example]:
        """The share of *split* that is asked, None for all, but for *seen* groups; see steering.evaluate.questions."""
        examples = self.examples(benchmark, split)
        if share is None:
            return examples
        return draw(examples, share, identity=lambda example: self.group(benchmark, example), seed=seed, seen=seen)

    def group(self, benchmark: Benchmark, example: Example) -> str:
        """What questions must share to count as one cluster: the picture, or the question itself without one."""
        if example.image is None:
            return f"{benchmark['dataset']}/{benchmark['form']}/{example.id}"
        return self.archive(benchmark["dataset"]).identity(example.image)

    def picture(self, benchmark: Benchmark, example: Example) -> str | None:
        return None if example.image is None else f"{benchmark['dataset']}/{example.image}"
