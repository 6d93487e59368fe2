"""Training conversations in LLaVA's format, a data set's own or drawn from the benchmarks' training splits.

Writes data/WORLD/mixtures/DATA.json, in which a picture is named "<dataset>/<name in the archive>", and DATA.facts.json
with what is in it and what was left out.
"""

import random
from collections.abc import Iterator

from steering import layout
from steering.data.conversations import Conversation, group_by_picture, write
from steering.data.usable import conversations, tell_left_out
from steering.errors import DataError
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import Example
from steering.job import Slice, run_stage
from steering.manifest import write_json

CONVERSATIONS = "conversations.json"


def main(content: Slice) -> None:
    world = content["world"]
    chosen, left_out = _own(content) if "conversations" in content["mixture"] else _drawn(content)
    facts = {"questions": sum(len(one.turns) for one in chosen), "conversations": len(chosen), "left_out": left_out}
    write(layout.mixture(world, content["name"]), chosen)
    write_json(layout.mixture_facts(world, content["name"]), facts)
    print(f"{facts['questions']} questions in {facts['conversations']} conversations")
    tell_left_out(left_out)


def _own(content: Slice) -> tuple[list[Conversation], dict[str, int]]:
    """A data set's own conversations, or `count` of them in an order that the seed decides."""
    mixture = content["mixture"]
    told, left_out = conversations(content["world"], mixture["conversations"], CONVERSATIONS)
    count = mixture.get("count", len(told))
    if count > len(told):
        source = mixture["conversations"]
        raise DataError(f"mixtures.{content['name']}.count: {count:,} of {source}; allowed up to {len(told):,}")
    return random.Random(mixture["seed"]).sample(told, len(told))[:count] if "count" in mixture else told, left_out


def _drawn(content: Slice) -> tuple[list[Conversation], dict[str, int]]:
    mixture = content["mixture"]
    asked = Asked(content["world"])
    items = [
        (
            asked.group(benchmark, example) if example.image else None,
            asked.picture(benchmark, example),
            example.prompt,
            example.target,
        )
        for benchmark, example in _examples(asked, content, _seen(asked, content))
    ]
    return group_by_picture(items, mixture["turns"], mixture["seed"]), asked.left_out


def _seen(asked: Asked, content: Slice) -> set[str]:
    """The groups of questions that the runs these start from were tuned on."""
    if "seen" not in content:
        return set()
    return {asked.group(benchmark, example) for benchmark, example in _examples(asked, content["seen"], set())}


def _examples(asked: Asked, content: Slice, seen: set[str]) -> Iterator[tuple[Slice, Example]]:
    """The training questions of each share of a mixture, but for those of groups in *seen*, with their benchmarks."""
    mixture = content["mixture"]
    for name, benchmark in sorted(content["benchmarks"].items()):
        drawn = asked.draw(benchmark, "train", mixture["shares"][name], seed=mixture["seed"], seen=seen)
        if seen and not drawn:
            where = f"mixtures.{content['name']}.unseen"
            raise DataError(f"{where}: no question of {name} is left; allowed: a start that draws fewer pictures")
        yield from ((benchmark, example) for example in drawn)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
