"""A forecast and the list of parts as plain text: tables of at most 160 columns, numbers to the right."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

WIDTH = 150
Told = Mapping[str, Any]


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, indent: str = "  ") -> list[str]:
    """Lines of a table; the first *left* columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        sides = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return (indent + "  ".join(sides)).rstrip()

    return [line(header), line(["-" * width for width in widths]), *map(line, rows)]


def count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes with a decimal unit."""
    return "-" if value is None else _scaled(value, ("B", "kB", "MB", "GB", "TB"))


def flops(value: float) -> str:
    return _scaled(value / 1e9, ("G", "T", "P", "E"))


def _scaled(value: float, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} {units[-1]}"


def hours(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float | None) -> str:
    """How many times fewer; two digits are enough where it is small."""
    return "-" if value is None else f"{value:,.0f}x" if value >= 9.95 else f"{value:.2g}x"


def fewer(reference: str) -> Callable[[Told], str]:
    """Times fewer parameters than *reference*, without and with the connector."""
    key = f"fewer_than_{reference}"
    return lambda arm: f"{ratio(arm[key])} / {ratio(arm[f'{key}_with_connector'])}"


Column = tuple[str, Callable[[Told], str]]

MARKS = {"measured": "", "scaled": "~", "assumed": "?"}

COLUMNS: list[Column] = [
    ("arm", lambda arm: arm["arm"]),
    ("method", lambda arm: arm["method"]),
    ("trainable TP", lambda arm: count(arm["trainable_llm"])),
    ("papers' TP", lambda arm: "same" if arm["papers_count"] == arm["trainable_llm"] else count(arm["papers_count"])),
    ("dead", lambda arm: count(arm["dead"])),
    ("+ connector", lambda arm: count(arm["trainable_all"])),
    ("lora is", fewer("lora")),
    ("full is", fewer("full")),
    ("adapter", lambda arm: size(arm["adapter_bytes"])),
    ("step FLOP", lambda arm: flops(arm["step_flops"])),
    ("state", lambda arm: size(arm["state_bytes"])),
    ("peak", lambda arm: size(arm["peak_memory_bytes"])),
    ("process", lambda arm: size(arm["measured_peak_memory_bytes"])),
    ("hours", lambda arm: MARKS[arm["hours_from"]] + hours(arm["hours"])),
    ("disk", lambda arm: size(arm["disk_bytes"])),
]


def shown(told: Told) -> list[Column]:
    """The columns that say something about these arms; a process on a GPU has its memory elsewhere."""
    arms = told["arms"]
    known = {"lora is": "fewer_than_lora", "full is": "fewer_than_full"}
    columns = [column for column in COLUMNS if known.get(column[0], "arm") in arms[0]]
    silent = {
        "papers' TP": all(arm["papers_count"] == arm["trainable_llm"] for arm in arms),
        "process": told["device"] == "gpu" or not any(arm["measured_peak_memory_bytes"] for arm in arms),
    }
    return [column for column in columns if not silent.get(column[0])]


def experiment_lines(told: Told) -> Iterator[str]:
    arms = told["arms"]
    columns = shown(told)
    names = [told["data"]] if isinstance(told["data"], str) else told["data"] or []
    data = f"data {', '.join(names)}" if names else "no data yet: sized, not run"
    yield from (f"{told['experiment']}: {told['title']}", f"  world {told['world']}, {data}, seeds {told['seeds']}", "")
    yield from aligned([name for name, _ in columns], [[cell(arm) for _, cell in columns] for arm in arms], left=2)
    yield ""
    yield _total(told)
    if told["jobs"]:
        yield from ("", *_jobs(told["jobs"]), *_runs(arms))
    yield ""


def _total(told: Told) -> str:
    arms, unit = told["arms"], "GPU-hours" if told["device"] == "gpu" else "CPU-thread-hours"
    sources = ", ".join(sorted({arm["hours_from"] for arm in arms}))
    left = f", {hours(sum(arm['hours_left'] or 0 for arm in arms))} of them to go" if told["jobs"] else ""
    disk = size(sum(arm["disk_bytes"] for arm in arms))
    return f"  {hours(sum(arm['hours'] for arm in arms))} {unit} ({sources}){left}; {disk} on disk"


def _jobs(jobs: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = [[rule, *(str(states[state]) for state in ("done", "stale", "missing"))] for rule, states in jobs.items()]
    return aligned(["job", "done", "stale", "missing"], rows)


def _runs(arms: Sequence[Told]) -> Iterator[str]:
    """Runs that are begun and not done, job by job."""
    begun = {name: jobs for arm in arms for name, jobs in arm["jobs"].items() if {"done", "stale"} & {*jobs.values()}}
    rows = [[name, *jobs.values()] for name, jobs in begun.items() if {*jobs.values()} != {"done"}]
    if rows:
        yield ""
        yield from aligned(["run begun, not done", *next(iter(begun.values()))], rows)


def legend(assumed: Told) -> Iterator[str]:
    """What the columns mean and what was assumed."""
    yield "hours: of all seeds, training and answering; as measured, ~ scaled by FLOPs from the world's other runs, or"
    yield f"? assumed from {assumed['gpu']}, or {assumed['cpu_thread']}"
    yield f"state: weights, gradients, Adam.  peak: with activations, {assumed['memory']}"
    yield "process: the most memory that a finished run's whole process took, libraries and data included"
    yield f"step FLOP: positions = {assumed['positions']}"
    yield "lora is, full is: so many times this arm's parameters, without / with the connector and all that is trained"
    yield f"disk: {assumed['disk']}"


def forecast_text(told: Told) -> str:
    """The whole answer, as a person reads it."""
    tables = [line for experiment in told["experiments"] for line in experiment_lines(experiment)]
    footnotes = [*legend(told["assumptions"]), "", *(f"- {note}" for note in told["notes"])]
    return "\n".join([*tables, *map(wrapped, footnotes)])


def wrapped(text: str, indent: str = "  ") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent)


def parts_text(parts: Mapping[str, Sequence[Told]]) -> str:
    return "\n".join(line for kind, rows in parts.items() for line in (kind.replace("_", " "), *_parts(rows), ""))


def _parts(rows: Sequence[Told]) -> Iterator[str]:
    """A table where parts have numbers; else a line each, with what there is to say."""
    if rows and any(isinstance(value, int) for value in rows[0].values()):
        header = list(rows[0])
        texts = sum(isinstance(value, str) for value in rows[0].values())
        yield from aligned(header, [[_cell(row[key]) for key in header] for row in rows], left=texts)
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        said = [_cell(value) for key, value in row.items() if key != "name" and value]
        yield wrapped(f"  {row['name'].ljust(width)}  {'  '.join(said)}".rstrip(), " " * (width + 4))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "[" + ", ".join(f"{name} {json.dumps(default)}" for name, default in value.items()) + "]"
    return value.replace("\n", "\\n") if isinstance(value, str) else count(value)
