"""Our scores beside the papers' numbers as rows of text, as Markdown, and for machines."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from steering.analyse import beside
from steering.analyse.beside import Claim, Place
from steering.analyse.beside_words import Told
from steering.analyse.reading import signed, told_p
from steering.analyse.written import to_markdown

FORM_ONLY, SAME = "in form only", "the same"


def place_rows(told: Told) -> list[dict[str, str]]:
    """Each place as text, benchmark by benchmark."""
    ordered = sorted((p for row in told.rows.values() for p in row), key=lambda p: told.columns.index(p.column))
    return [_place_in_words(place) for place in ordered]


def claim_rows(told: Told) -> list[dict[str, str]]:
    """Each claim of which there is something to say, as text."""
    return [
        {
            "benchmark": claim.column.title,
            "arm": f"{claim.arm} against {claim.against}",
            "the paper": signed(claim.printed),
            "ours": f"{signed(claim.difference)} [{signed(claim.low)}, {signed(claim.high)}]",
            "p (Holm)": told_p(claim.p_holm),
            "reading": claim.reading,
        }
        for claim in told.measured
    ]


def markdown(told: Told) -> str:
    """The tables, what differs, and footnotes."""
    parts = [f"{told.about}. In per cent, ours with 95 % intervals.\n", to_markdown(pd.DataFrame(place_rows(told)))]
    parts += [f"{told.summary}\n"] if told.summary else []
    parts += [to_markdown(pd.DataFrame(claim_rows(told)))] if told.measured else []
    parts += ["".join(f"- {note}\n" for note in [*told.protocol, *told.odd])]
    return "\n".join(parts)


def _place_in_words(place: Place) -> dict[str, str]:
    column = place.column
    return {
        "benchmark": column.title,
        "arm": place.arm,
        "the paper's row": place.row or beside.NO_NUMBER,
        "ours": str(place.measured),
        "the paper": place.printed or beside.NO_NUMBER,
        "difference": "" if math.isnan(place.difference) else signed(place.difference),
        "questions": SAME if column.same else FORM_ONLY,
    }


def as_json(told: Told) -> dict[str, Any]:
    """The same for machines: ours as shares of 1, the paper's as printed, differences in points; None for nothing."""
    places = [place for row in told.rows.values() for place in row]
    return {
        "table": told.about,
        "places": [_place_as_json(place) for place in places],
        "claims": [_claim_as_json(claim) for claim in told.claims],
        "protocol": told.protocol,
        "odd": told.odd,
    }


def _place_as_json(place: Place) -> dict[str, Any]:
    measured = place.measured
    return {
        "benchmark": place.column.benchmark or None,
        "column": place.column.name,
        "same_questions": place.column.same,
        "arm": place.arm,
        "row": place.row or None,
        "printed": float(place.printed) if place.printed else None,
        "state": measured.state or "scored",
        **{name: _known(getattr(measured, name)) for name in ("value", "low", "high")},
        "difference": _known(place.difference),
    }


def _claim_as_json(claim: Claim) -> dict[str, Any]:
    numbers = {name: _known(getattr(claim, name)) for name in ("difference", "low", "high", "p", "p_holm")}
    names = {"arm": claim.arm, "against": claim.against, "column": claim.column.name}
    return {**names, "printed": claim.printed, **numbers, "reading": claim.reading}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
