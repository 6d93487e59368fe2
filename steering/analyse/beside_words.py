"""What is told of an experiment beside a printed table: places, claims, what differs in protocol, and what is odd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steering import papers
from steering.analyse import beside
from steering.analyse.beside import Beside, Claim, Column, Place
from steering.evaluate.benchmarks import FORMS


@dataclass(frozen=True)
class Told:
    """about: the printed table's title; rows: {(arm, row of the paper, its trainable parameters): its places}.

    claims: all of them; those that ours can be held against are `measured`.
    """

    about: str
    columns: list[Column]
    rows: dict[tuple[str, str, str], list[Place]]
    claims: list[Claim]
    summary: str
    protocol: list[str]
    odd: list[str]

    @property
    def measured(self) -> list[Claim]:
        return [claim for claim in self.claims if not claim.state]


def tell(
    paper: Beside,
    scores: Sequence[Mapping[str, Any]],
    *,
    failed: Collection[str] = (),
    unscored: Collection[tuple[str, str]] = (),
) -> Told:
    """All that is shown of an experiment beside a table of the papers; arguments as `beside.places` takes them."""
    places = beside.places(paper, scores, failed=failed, unscored=unscored)
    claims = beside.claims(paper, scores, places)
    rows: dict[tuple[str, str, str], list[Place]] = {}
    for place in places:
        rows.setdefault((place.arm, place.row, _trainable(paper, place.row)), []).append(place)
    title = papers.about_table(paper["table"])["title"]
    shown = beside.columns(paper)
    return Told(title, shown, rows, claims, summary(claims), protocol(paper, shown), beside.odd(paper, places))


def _trainable(paper: Beside, row: str) -> str:
    at = (paper["table"], paper["model"], row)
    return next((n.trainable for n in papers.printed() if (n.table, n.model, n.arm) == at), "")


def protocol(paper: Beside, shown: Sequence[Column]) -> list[str]:
    """What differs between ours and the paper's, or may: a sentence each."""
    about, world = papers.about_table(paper["table"]), paper["world"]
    parts = f"{world['language_model']} and {world['vision_encoder']}, {world['visual_tokens']} visual tokens"
    seeds = len(paper["seeds"])
    ours = "; ".join(_training(told) for told in paper["training"]) or "none, for no data is named"
    return [
        f"Model. Ours: world {world['name']}, {parts}. The paper's: {about['models'][paper['model']]}.",
        f"Training. Ours: {ours}. The paper's: {about['trained']}.",
        *_questions(paper, shown),
        f"Seeds. Ours: {seeds} training seed{'s' if seeds != 1 else ''}, with 95 % intervals over "
        f"{'seeds and ' if seeds > 1 else ''}questions. The paper gives no interval; its numbers are taken as exact.",
        *_without(paper),
    ]


def _training(told: Mapping[str, Any]) -> str:
    start = told.get("start")
    begun = f", from the model of its seed that {start['arm']} tuned on {start['data']}" if start else ""
    new = ", on pictures that are new to it" if start and start.get("unseen") else ""
    return f"{told['data']}, {told['steps']:,} steps of {told['conversations']:,} conversations{begun}{new}"


def _questions(paper: Beside, shown: Sequence[Column]) -> Iterator[str]:
    asked = {column: paper["benchmarks"][column.benchmark] for column in shown if column.benchmark}
    alike = [f"{own['title']} beside {column.title}" for column, own in asked.items() if column.same]
    other = [f"{own['title']} beside {column.title}" for column, own in asked.items() if not column.same]
    bare = [own["title"] for own in asked.values() if not own["instruction"]]
    if other:
        yield f"Questions. In form only, other ones than the paper's, so levels cannot be compared: {', '.join(other)}."
    if alike:
        yield f"Questions. Of the same benchmark: {', '.join(alike)}."
    if bare:
        yield f"Prompt. Ours: without the official sentence on how to answer: {', '.join(bare)}."
    yield f"Metric. Ours: {_metrics({column: own['form'] for column, own in asked.items()})}."


def _metrics(forms: Mapping[Column, str]) -> str:
    titles: dict[str, list[str]] = {}
    for column, form in forms.items():
        metric = papers.about_column(column.name).get("metric")
        known = FORMS[form]
        titles.setdefault(metric if metric in known.metrics else known.metric, []).append(column.title)
    return "; ".join(f"{metric} for {', '.join(own)}" for metric, own in titles.items())


def _without(paper: Beside) -> Iterator[str]:
    """What one side has and the other has not."""
    at = (paper["table"], paper["model"])
    beside_rows = {row for rows in paper["rows"].values() for row in rows}
    beside_columns = {column for columns in paper["columns"].values() for column in columns}
    unasked = [column for column in papers.benchmarks(*at) if column not in beside_columns]
    absent = {
        "Arms that the paper's table does not have": [arm for arm, rows in paper["rows"].items() if not rows],
        "Its rows that no arm here stands beside": [row for row in papers.rows(*at) if row not in beside_rows],
        "Its columns that no benchmark here stands beside": [papers.about_column(name)["title"] for name in unasked],
    }
    yield from (f"{what}: {', '.join(f'‘{name}’' for name in names)}." for what, names in absent.items() if names)


def summary(claims: Sequence[Claim]) -> str:
    """How many of the paper's differences ours bear out."""
    counts = Counter(claim.reading for claim in claims)
    told = ", ".join(f"{what}: {count}" for what, count in counts.most_common())
    return (
        f"Of {len(claims)} differences that the paper's numbers make between these arms, ours are {told}."
        if told
        else ""
    )
