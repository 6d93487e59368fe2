"""Control of one run's answers by editing a few tokens: writes results/runs/.../token_control/.

tries.jsonl has a line for each edit, a question's lines together, and token_control.json what they add up to. An
attempt that was cut short goes on behind its last whole question.
"""

from pathlib import Path

from steering import layout
from steering.evaluate import journal
from steering.evaluate.scoring import read_predictions
from steering.interrupts import Interrupted, Interrupts
from steering.job import Job, Slice, check_outputs, run_stage
from steering.manifest import write_json
from steering.progress import progress

LINES, SUMMARY = "tries.jsonl", "token_control.json"
SPLIT = "test"


def main(content: Slice) -> None:
    from steering import assemble

    run = (content["world"], content["data"], content["arm"], content["seed"])
    answers = layout.outcome(*run) / "predictions"
    datasets = sorted({benchmark["dataset"] for benchmark in content["benchmarks"].values()})
    inputs = {
        "run": layout.run(*run),
        "base": layout.language_model(content["language_model"]["name"]),
        "answers": answers,
        **{name: layout.dataset(content["world"], name) for name in datasets},
        **assemble.pictures(content, datasets),
    }
    if assemble.live(content, layout.run(*run)):
        inputs["vision"] = layout.vision_encoder(content["vision_encoder"]["name"])
    job = Job("analysis", content, inputs)
    if not job.finished.exists():
        check_outputs(answers, ["predictions.jsonl"])
        _control(job, content, answers / "predictions.jsonl")
    job.deliver(layout.analysis(*run, content["analysis"]))


def _control(job: Job, content: Slice, answers: Path) -> None:
    from steering.analyse.controlled import contrast, summary
    from steering.analyse.token_control import control
    from steering.evaluate.trained import trained

    run = (content["world"], content["data"], content["arm"], content["seed"])
    model, samples = trained(content, layout.run(*run))
    forms = {name: benchmark["form"] for name, benchmark in content["benchmarks"].items()}
    tried, grid = _cases(content, answers, forms, samples.places)
    with job.making() as out:
        done = journal.resume(out / LINES, tried, _names)
        with Interrupts() as interrupts:
            for number in progress(range(done, len(tried)), "question edited", start=done):
                if interrupts.asked:
                    at = f"stopped after question {number} of {len(tried)}"
                    raise Interrupted(f"{interrupts.asked}: {at}; run again to go on from there")
                lines = control(model, samples, tried[number], wanted=content["wanted"], forms=forms)
                journal.append(out / LINES, lines)
        about = {"run": "/".join((*run[:3], f"seed{run[3]}")), "arm": run[2], "seed": run[3]}
        lines = read_predictions(out / LINES)
        found = {"rows": summary([lines]), "object_less_random": contrast([lines])}
        write_json(out / SUMMARY, {**about, "grid": grid, "wanted": content["wanted"], **found})
        job.manifest(out, resumed_from=done, questions=len(tried))


def _cases(content: Slice, answers: Path, forms: dict[str, str], places) -> tuple[list, int]:
    """The cases of the run, and how many patches a picture has a side; *places*: how many visual tokens it has."""
    from steering.analyse.control_cases import cases
    from steering.analyse.patches import grid_side

    wanted = content["wanted"]
    records = [record for record in read_predictions(answers) if record["split"] == SPLIT]
    first = next((r["picture"] for r in records if r["benchmark"] == wanted["benchmark"] and r["picture"]), None)
    grid = grid_side(places(first) or 1) if first else 1
    dataset = content["benchmarks"][wanted["benchmark"]]["dataset"]
    things = _things(layout.dataset(content["world"], dataset))
    return cases(records, wanted, forms=forms, grid=grid, things=things), grid


def _things(folder: Path):
    """What shows in the picture of a record, by the picture's identity."""
    from steering.data.embedded.objects import things
    from steering.data.shards import ImageArchive

    if (told := things(folder)) is None:
        return lambda record: None
    archive = ImageArchive(folder)
    by_identity = {archive.identity(name): there for name, there in told.items() if name in archive}
    return lambda record: by_identity.get(record["group"], [])


def _names(case) -> list[journal.Named]:
    question = case.question
    return [(question["benchmark"], question["split"], question["id"])] * len(case.tries)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
