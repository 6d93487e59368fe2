"""Training conversations in LLaVA's format, a data set's own or drawn from the benchmarks' training splits.

Writes data/WORLD/mixtures/DATA.json, in which a picture is named "<dataset>/<name in the archive>", and DATA.facts.json
with what is in it and what was left out.
"""

import random

from steering import layout
from steering.data.conversations import Conversation, group_by_picture, write
from steering.data.usable import conversations, tell_left_out
from steering.errors import DataError
from steering.evaluate.asking import Asked
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
        for name, benchmark in sorted(content["benchmarks"].items())
        for example in asked.draw(benchmark, "train", mixture["shares"][name], seed=mixture["seed"])
    ]
    return group_by_picture(items, mixture["turns"], mixture["seed"]), asked.left_out


if __name__ == "__main__":
    run_stage(main, about=__doc__)
