"""Answers of one run to every benchmark of its world: writes results/runs/.../predictions.jsonl, scored elsewhere.

An attempt that was cut short goes on behind its last whole batch. Asked in parts, a run has a job for each, and one
that joins them; the lines are those of the whole.
"""

from pathlib import Path

from steering import layout
from steering.data.usable import tell_left_out
from steering.evaluate import journal
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.likelihood import LikelihoodForm
from steering.evaluate.scoring import prediction_of, read_predictions
from steering.interrupts import Interrupted, Interrupts
from steering.job import Job, Slice, check_outputs, run_stage
from steering.manifest import read_json
from steering.progress import progress

LINES = "predictions.jsonl"
Run = tuple[str, str, str, int]
"""World, data, arm and seed."""


def main(content: Slice) -> None:
    run = (content["world"], content["data"], content["arm"], content["seed"])
    if "parts" in content and "part" not in content:
        _join(content, run)
    elif "part" in content:
        _answer("predict_part", content, run, layout.prediction_part(*run, part=content["part"]))
    else:
        _answer("predict", content, run, layout.outcome(*run) / "predictions")


def _answer(kind: str, content: Slice, run: Run, out: Path) -> None:
    from steering import assemble

    datasets = {benchmark["dataset"] for benchmark in content["benchmarks"].values()}
    inputs = {
        "run": layout.run(*run),
        "base": layout.language_model(content["language_model"]["name"]),
        **({"start": start} if (start := assemble.started(content)) else {}),
        **{name: layout.dataset(content["world"], name) for name in sorted(datasets)},
        **assemble.pictures(content, sorted(datasets)),
        **{f"check_{name}": layout.check(content["world"], name) for name in sorted(datasets)},
    }
    if assemble.live(content, layout.run(*run)):
        inputs["vision"] = layout.vision_encoder(content["vision_encoder"]["name"])
    job = Job(kind, content, inputs)
    if not job.finished.exists():
        _predict(job, content, run)
    job.deliver(out)


def _predict(job: Job, content: Slice, run: Run) -> None:
    from steering.evaluate.predict import part_of, planned, predict
    from steering.evaluate.trained import trained

    model, samples = trained(content, layout.run(*run))
    asked = Asked(content["world"])
    questions = [question for split in content["splits"] for question in _questions(asked, content, split)]
    tell_left_out(asked.left_out)
    batches = part_of(planned(questions), content.get("part", 1), content.get("parts", 1))
    with job.making() as out:
        done = journal.resume(out / LINES, batches, _names)
        answers = predict(model, samples, batches[done:])
        with Interrupts() as interrupts:
            for number in progress(range(done, len(batches)), "batch of answers", start=done):
                if interrupts.asked:
                    at = f"stopped after batch {number} of {len(batches)}"
                    raise Interrupted(f"{interrupts.asked}: {at}; run again to go on from there")
                journal.append(out / LINES, map(_record, next(answers)))
        left_out = {"left_out": asked.left_out} if asked.left_out else {}
        job.manifest(out, resumed_from=done, contexts_cut=_contexts_cut(out / LINES), **left_out)


def _join(content: Slice, run: Run) -> None:
    """The parts' lines one behind the other; the manifest tells the time of all and the memory of the largest."""
    folders = [layout.prediction_part(*run, part=part) for part in range(1, content["parts"] + 1)]
    job = Job("predict", content, {f"part_{part}": folder for part, folder in enumerate(folders, start=1)})
    if not job.finished.exists():
        with job.making() as out:
            with (out / LINES).open("wb") as file:
                for folder in folders:
                    check_outputs(folder, [LINES])
                    file.write((folder / LINES).read_bytes())
            told = [read_json(folder / "manifest.json") for folder in folders]
            facts = {name: told[0][name] for name in ("left_out",) if name in told[0]}
            facts |= {name: sum(part[name] for part in told) for name in ("runtime_seconds", "resumed_from")}
            memory = max(part["peak_memory_bytes"] for part in told)
            job.manifest(out, **facts, peak_memory_bytes=memory, contexts_cut=_contexts_cut(out / LINES))
    job.deliver(layout.outcome(*run) / "predictions")


def _names(batch) -> list[journal.Named]:
    from steering.evaluate.predict import asked_in

    return [(question.benchmark, question.split, question.example.id) for question in asked_in(batch)]


def _record(answer) -> Slice:
    question = answer.question
    record = prediction_of(question.example, group=question.group, answer=answer.said)
    cut = {"context_cut": answer.cut} if answer.cut else {}
    return {"benchmark": question.benchmark, "split": question.split, "picture": question.picture, **record, **cut}


def _contexts_cut(path: Path) -> dict[str, int]:
    """Benchmark -> how many of its questions had a context longer than the model's window."""
    cut = [line["benchmark"] for line in read_predictions(path) if "context_cut" in line]
    return {name: cut.count(name) for name in sorted(set(cut))}


def _questions(asked: Asked, content: Slice, split: str) -> list:
    from steering.evaluate.predict import Question

    return [
        Question(
            name,
            example,
            asked.picture(benchmark, example),
            asked.group(benchmark, example),
            split=split,
            max_new_tokens=form.max_new_tokens,
            request=form.request(example) if isinstance(form, LikelihoodForm) else None,
        )
        for name, benchmark in sorted(content["benchmarks"].items())
        for form in [FORMS[benchmark["form"]]]
        for example in asked.draw(benchmark, split, benchmark.get("ask"), seed=0)
    ]


if __name__ == "__main__":
    run_stage(main, about=__doc__)
