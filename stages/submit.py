"""A run's answers as files for the official test servers and scripts: writes results/runs/.../submissions/.

Optional: no report asks for it. `snakemake results/runs/WORLD/DATA/ARM/seedN/submissions/manifest.json` makes it from
the predictions, in BENCHMARK/SPLIT/: vqav2.json (every test id, an empty answer where only test-dev was asked) and
vizwiz.json for answers whose references the server alone has; gqa.json, mmmu.json, mmvet.json, and MME's fourteen .txt
for anyone who wants to score with the official scripts. Nothing is sent anywhere.
"""

from pathlib import Path

from steering import layout
from steering.evaluate.benchmarks import FORMS
from steering.evaluate.benchmarks.submission import files
from steering.evaluate.results import answers_of
from steering.job import Job, Slice, run_stage
from steering.manifest import write_json


def main(content: Slice) -> None:
    outcome = layout.outcome(content["world"], content["data"], content["arm"], content["seed"])
    datasets = sorted({benchmark["dataset"] for benchmark in content["benchmarks"].values()})
    inputs = {name: layout.dataset(content["world"], name) for name in datasets}
    job = Job("submit", content, {"predictions": outcome / "predictions", **inputs})
    if not job.finished.exists():
        with job.making() as out:
            for (name, split), records in answers_of(outcome).items():
                _write(out / name / split, _files(content, name, records))
            job.manifest(out)
    job.deliver(outcome / "submissions")
    for path in sorted((outcome / "submissions").rglob("*/*/*.*")):
        print(path)


def _files(content: Slice, name: str, records: list[Slice]) -> Slice:
    benchmark = content["benchmarks"][name]
    form, root = FORMS[benchmark["form"]], layout.dataset(content["world"], benchmark["dataset"]) / benchmark["folder"]
    return files(form.name, records, lambda split: form.examples(root, split))


def _write(folder: Path, found: Slice) -> None:
    for name, value in found.items():
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith(".txt"):
            (folder / name).write_text(value, encoding="utf-8")
        else:
            write_json(folder / name, value, indent=None)


if __name__ == "__main__":
    run_stage(main, about=__doc__)
