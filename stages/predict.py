"""Answers of one run to every benchmark of its world: writes results/runs/.../predictions.jsonl, scored elsewhere."""

import json

from steering import layout
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.scoring import prediction_of
from steering.job import Job, Slice, run_stage


def main(content: Slice) -> None:
    from steering import assemble

    names = (content["world"], content["data"], content["arm"], content["seed"])
    datasets = {benchmark["dataset"] for benchmark in content["benchmarks"].values()}
    inputs = {
        "run": layout.run(*names),
        "base": layout.language_model(content["language_model"]["name"]),
        **{name: layout.dataset(content["world"], name) for name in sorted(datasets)},
        **assemble.pictures(content, sorted(datasets)),
    }
    if assemble.live(content, layout.run(*names)):
        inputs["vision"] = layout.vision_encoder(content["vision_encoder"]["name"])
    job = Job("predict", content, inputs)
    if not job.finished.exists():
        _predict(job, content, names)
    job.deliver(layout.outcome(*names) / "predictions")


def _predict(job: Job, content: Slice, names: tuple) -> None:
    from steering.evaluate.predict import predict
    from steering.evaluate.trained import trained

    model, samples = trained(content, layout.run(*names))
    longest = max(FORMS[benchmark["form"]].max_new_tokens for benchmark in content["benchmarks"].values())
    with job.making() as out, (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for split in content["splits"]:
            for question, said in predict(model, samples, _questions(content, split), max_new_tokens=longest):
                record = prediction_of(question.example, group=question.group, answer=said)
                line = {"benchmark": question.benchmark, "split": split, "picture": question.picture, **record}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        job.manifest(out)


def _questions(content: Slice, split: str) -> list:
    from steering.evaluate.predict import Question

    asked = Asked(content["world"])
    return [
        Question(name, example, asked.picture(benchmark, example), asked.group(benchmark, example))
        for name, benchmark in sorted(content["benchmarks"].items())
        for example in asked.draw(benchmark, split, benchmark.get("ask"), seed=0)
    ]


if __name__ == "__main__":
    run_stage(main, about=__doc__)
