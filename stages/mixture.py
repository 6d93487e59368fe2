"""Training conversations in LLaVA's format, a data set's own or drawn from the benchmarks' training splits.

Writes data/WORLD/mixtures/DATA.json, in which a picture is named "<dataset>/<name in the archive>".
"""

from collections.abc import Iterator
from dataclasses import replace

from steering import layout
from steering.data.conversations import Conversation, group_by_picture, read, write
from steering.evaluate.asking import Asked
from steering.job import Slice, run_stage

CONVERSATIONS = "conversations.json"


def main(content: Slice) -> None:
    own = content["mixture"].get("conversations")
    conversations = list(_own(content["world"], own) if own else _drawn(content))
    write(layout.mixture(content["world"], content["name"]), conversations)
    print(f"{sum(len(one.turns) for one in conversations)} questions in {len(conversations)} conversations")


def _own(world: str, dataset: str) -> Iterator[Conversation]:
    for one in read(layout.dataset(world, dataset) / CONVERSATIONS):
        yield replace(one, image=f"{dataset}/{one.image}") if one.image else one


def _drawn(content: Slice) -> list[Conversation]:
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
    return group_by_picture(items, mixture["turns"], mixture["seed"])


if __name__ == "__main__":
    run_stage(main, about=__doc__)
