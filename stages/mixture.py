"""Draw training conversations (LLaVA's format) from the benchmarks' training splits: writes data/WORLD/mixtures/."""

from steering import layout
from steering.data.conversations import group_by_picture, write
from steering.evaluate.asking import Asked
from steering.job import Slice, run_stage


def main(content: Slice) -> None:
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
    conversations = group_by_picture(items, mixture["turns"], mixture["seed"])
    write(layout.mixture(content["world"], content["name"]), conversations)
    print(f"{len(items)} questions in {len(conversations)} conversations")


if __name__ == "__main__":
    run_stage(main, about=__doc__)
