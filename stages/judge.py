"""A judge's verdicts on a run's answers, asked over the network: writes results/runs/.../verdicts.json.

The key is read from the variable that params.yaml names. Whatever was answered stays in the run store and is never
asked again, by this run or another; what has no verdict has its reason, and the benchmark then has no score.
"""

from steering import layout
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.judge import JudgedForm, JudgeSettings, verdicts_on
from steering.evaluate.results import answers_of
from steering.evaluate.scoring import example_of
from steering.job import Slice, run_stage
from steering.manifest import write_json


def main(content: Slice) -> None:
    outcome = layout.outcome(content["world"], content["data"], content["arm"], content["seed"])
    found = [
        {"benchmark": name, "split": split, **_verdicts(content, name, records)}
        for (name, split), records in answers_of(outcome).items()
        if name in content["forms"]
    ]
    write_json(outcome / "verdicts.json", found)
    for entry in found:
        given = sum(one["value"] is not None for one in entry.get("verdicts", {}).values())
        print(f"{entry['benchmark']}, {entry['split']}: {entry.get('why') or f'{given} verdicts'}")


def _verdicts(content: Slice, name: str, records: list[Slice]) -> Slice:
    told, form = content["judge"], FORMS[content["forms"][name]]
    if not isinstance(form, JudgedForm):
        return {"why": f"{form.name} is scored by its own rule and takes no judge; take its prompt out of params.yaml"}
    settings = JudgeSettings(**{key: value for key, value in told.items() if key not in ("name", "prompts")})
    answered = [(example_of(record), record["answer"]) for record in records]
    return verdicts_on(form, answered, settings, told["prompts"][name], layout.verdicts(told["name"]))


if __name__ == "__main__":
    run_stage(main, about=__doc__)
