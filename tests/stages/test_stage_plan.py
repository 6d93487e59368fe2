"""`python -m stages.plan`: the answer, its machine-readable twin, and a user's own faults in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from stages.plan import main
from steering.errors import ParamsError
from steering.manifest import sha256_file, write_json
from steering.plan_table import experiment_lines
from steering.records import recorded

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE, REAL = str(ROOT / "tests/example.yaml"), str(ROOT / "params.yaml")
KEYS = {
    "world",
    "experiment",
    "arm",
    "method",
    "trainable_llm",
    "trainable_all",
    "trainable_connector",
    "papers_count",
    "dead",
    "sites",
    "adapter_bytes",
    "step_flops",
    "peak_memory_bytes",
    "hours",
    "runs",
    "done",
    "missing",
    "stale",
}


def answer(*words: str, params: str = EXAMPLE) -> str:
    return main([*words, "--params", params])


def told(*words: str, params: str = EXAMPLE) -> dict:
    return json.loads(answer(*words, "--json", params=params))


def stage(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "stages.plan", "--params", EXAMPLE, *words]
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=settings, capture_output=True, text=True)


def test_every_experiment_is_told_where_none_is_named(here):
    content = told()
    assert set(content) == {"experiments", "assumptions", "notes"}
    assert [experiment["experiment"] for experiment in content["experiments"]] == ["table", "longer"]
    assert all(arm.keys() >= KEYS for experiment in content["experiments"] for arm in experiment["arms"])


def test_named_experiments_come_once_in_the_order_asked(here):
    names = [experiment["experiment"] for experiment in told("longer", "table", "longer")["experiments"]]
    assert names == ["longer", "table"]


def test_a_world_leaves_its_own_experiments(here):
    assert [e["experiment"] for e in told("--world", "long")["experiments"]] == ["longer"]


def test_asking_writes_nothing(here):
    answer()
    assert list(here.iterdir()) == []


def test_the_table_is_readable_in_160_columns_for_every_real_experiment(here):
    text = answer(params=REAL)
    assert max(map(len, text.splitlines())) <= 160
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_it_stays_readable_where_memory_was_measured(here):
    experiment = next(e for e in told(params=REAL)["experiments"] if e["experiment"] == "embedded")
    for arm in experiment["arms"]:
        arm |= {"measured_peak_memory_bytes": 3_850_000_000, "hours_from": "measured"}
    lines = list(experiment_lines(experiment))
    assert "process" in lines[3]
    assert max(map(len, lines)) <= 160


def test_numbers_stand_to_the_right(here):
    lines = answer("table").splitlines()
    head = next(index for index, line in enumerate(lines) if line.lstrip().startswith("arm"))
    end = lines[head].index("trainable TP") + len("trainable TP")
    rows = lines[head + 2 : head + 5]
    assert [row[:end].split()[-1] for row in rows] == ["0", "516", "7,168"]
    assert all(row[end : end + 2] == "  " for row in rows)


def test_an_experiment_without_data_says_so(here):
    text = (ROOT / "tests/example.yaml").read_text().replace("    data: mix\n", "", 1)
    Path("sized.yaml").write_text(text)
    assert "no data yet: sized, not run" in answer("table", params="sized.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tabel"], "experiment: tabel is unknown; allowed table, longer (did you mean table?)"),
        (["--world", "smal"], "world: smal is unknown; allowed small, long (did you mean small?)"),
        (["table", "--world", "long"], "world: long has none of these experiments; allowed small"),
        (
            ["--jsn"],
            "--jsn: unknown option; allowed --help, --params, --json, --world, --parts, --first-seeds "
            "(did you mean --json?)",
        ),
        (["--world"], "argument --world: expected one argument"),
    ],
)
def test_a_fault_of_the_user_is_one_line(here, words, said):
    with pytest.raises(ParamsError) as error:
        answer(*words)
    assert str(error.value) == said


def test_a_fault_ends_with_code_2_and_nothing_on_stdout(here):
    done = stage("nothing")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_reader_that_leaves_early_sees_no_traceback(here):
    command = f"{sys.executable} -m stages.plan --params {REAL} | true; exit ${{PIPESTATUS[0]}}"
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], env=settings, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_parts_are_listed_for_people_and_machines(here):
    text, listed = answer("--parts"), told("--parts")
    assert "language families" in text
    assert "mlp2_gelu" in text
    assert {row["name"] for row in listed["methods"]} >= {"mores", "mrt", "lora"}
    assert max(map(len, text.splitlines())) <= 160


@pytest.fixture
def record(here):
    """An output as Snakemake leaves it: made from one input and one slice."""
    source, output = Path("in.json"), Path("data/world/mixtures/mix.json")
    output.parent.mkdir(parents=True)
    source.write_text("{}")
    output.write_text("[]")
    sums = {"in.json": f"sha256:{sha256_file(source)}"}
    content = {"params": ["'.store/slices/mixture/0123456789abcdef.json'"], "input": ["in.json"], "incomplete": False}
    name = urlsafe_b64encode(str(output).encode()).decode()

    def write(**changed) -> Path:
        write_json(Path(".snakemake/metadata") / name, content | {"input_checksums": sums} | changed)
        return output

    return write


def test_snakemakes_record_tells_the_slice(record):
    assert recorded(record()) == "0123456789abcdef"


def test_another_time_of_the_same_bytes_changes_nothing(record):
    output = record()
    os.utime("in.json", (2**33, 2**33))
    assert recorded(output) == "0123456789abcdef"


def test_other_bytes_of_an_input_do_even_with_an_old_time(record):
    output = record()
    Path("in.json").write_text("[1]")
    os.utime("in.json", (1, 1))
    assert recorded(output) is None


def test_an_input_without_checksum_goes_by_its_time(record):
    output = record(input_checksums={})
    os.utime("in.json", (1, 1))
    assert recorded(output) == "0123456789abcdef"
    os.utime("in.json", (2**33, 2**33))
    assert recorded(output) is None


@pytest.mark.parametrize("changed", [{"incomplete": True}, {"params": []}, {"params": None}, {"input": ["gone.json"]}])
def test_a_record_that_does_not_tell_is_none(record, changed):
    assert recorded(record(**changed)) is None


def test_no_record_is_none(here):
    assert recorded(Path("anything")) is None
