"""Score a run's predictions, without a model: writes results/runs/.../scores.json, per benchmark and split.

What cannot be scored (no references here, no judge) has its entry all the same, with the reason under "unscored".
"""

from steering import layout
from steering.evaluate.asking import Asked
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.form import Form
from steering.evaluate.judge import JudgedForm, judged_by
from steering.evaluate.results import answers_of
from steering.evaluate.scoring import example_of, score, unscored, without_references
from steering.job import Slice, run_stage
from steering.manifest import read_json, write_json

NO_JUDGE = (
    "{} is graded by a judge and none is set for it; params.yaml takes one under judges, with a prompt for {}, and its "
    "name as the world's judge"
)


def main(content: Slice) -> None:
    names = (content["world"], content["data"], content["arm"], content["seed"])
    outcome, asked = layout.outcome(*names), Asked(content["world"])
    about = {key: content[key] for key in ("world", "data", "arm", "seed")} | {
        "run": "/".join((*names[:3], f"seed{names[3]}")),
        "method": content["settings"]["method"],
    }
    verdicts = read_json(outcome / "verdicts.json") if content.get("judged") else []
    by_question = {(entry["benchmark"], entry["split"]): entry for entry in verdicts}
    write_json(
        outcome / "scores.json",
        [
            {
                "benchmark": name,
                "split": split,
                **about,
                **_score(asked, content["benchmarks"][name], records, by_question.get((name, split))),
            }
            for (name, split), records in answers_of(outcome).items()
        ],
        indent=None,
    )


def _score(asked: Asked, benchmark: Slice, records: list[Slice], verdicts: Slice | None) -> Slice:
    form = FORMS[benchmark["form"]]
    if why := without_references(records):
        return unscored(form, records, why)
    if verdicts is not None:
        judged, why = _judged(form, records, verdicts)
        return score(judged, records) if judged else unscored(form, records, why)
    if isinstance(form, JudgedForm) and form.needs_judge:
        return unscored(form, records, NO_JUDGE.format(form.name, form.name))
    return score(form, records, train_examples=asked.examples(benchmark, "train"))


def _judged(form: Form, records: list[Slice], verdicts: Slice) -> tuple[Form | None, str]:
    if not isinstance(form, JudgedForm):
        return None, verdicts["why"]
    return judged_by(form, [(example_of(record), record["answer"]) for record in records], verdicts)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
