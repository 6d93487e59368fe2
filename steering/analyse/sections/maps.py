"""What each arm looks at (MoReS paper, Fig. 8): attention over the picture, and whole maps, of the same questions.

Over the picture lies the mean over answer tokens of the attention to each visual token; its colours reach from 0 to the
largest that any arm has in that layer for that question. An arm shows its first training seed.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import load_file

from steering.analyse.gallery import data_address
from steering.analyse.heat import LEAST, ROLES, Array, overlay, whole_map
from steering.analyse.sections.section import Section
from steering.analyse.written import to_markdown
from steering.manifest import read_json

if TYPE_CHECKING:
    from steering.analyse.report import ReportInput

Record = Mapping[str, Any]
GREY_SIDE = 192  # pixels of the picture under a heat


@dataclass(frozen=True)
class Found:
    """What one run's maps/ holds: its record, and arrays by "N.layerL" and "N.layerL.visual"."""

    record: Record
    arrays: Mapping[str, Array]

    @classmethod
    def read(cls, folder: Path) -> Found:
        return cls(read_json(folder / "maps.json"), load_file(folder / "maps.safetensors"))

    def looked(self, question: int, layer: int) -> Array:
        """Attention to each visual token, mean over answer tokens: (v,)."""
        found: Array = self.arrays[f"{question}.layer{layer}.visual"].astype(float).mean(0)
        return found


@dataclass(frozen=True)
class Look:
    """One arm's attention in one layer: share of 1 on the picture, the heat over it or nothing, the whole map."""

    arm: str
    share: float
    heat: str
    map: str


@dataclass(frozen=True)
class Asked:
    """One question with each arm's answer; looks and tops (the fullest colour, of 1) by layer."""

    question: str
    truth: str
    picture: str
    grey: str
    aspect: str
    answers: Mapping[str, str]
    tops: Mapping[int, float]
    looks: Mapping[int, Sequence[Look]]


def maps(report: ReportInput) -> Section | None:
    """None where no run has maps."""
    found = _first_seeds(report)
    if not found:
        return None
    record = next(iter(found.values())).record
    asked = [
        _asked(places, found, record["layers"], picture=lambda image: report.picture(record["benchmark"], image))
        for places in _shared(found)
    ]
    facts = {"questions": asked, "layers": record["layers"], "roles": ROLES, "least": LEAST}
    return Section("maps", "Attention maps", facts | {"protocol": record["protocol"]}, text=_text(asked))


def _first_seeds(report: ReportInput) -> dict[str, Found]:
    """The maps of each arm's first seed that has any, in the order of the arms."""
    ordered = sorted(report.manifests, key=lambda manifest: manifest["seed"])
    folders: dict[str, Path] = {}
    for manifest in ordered:
        own = report.analyses.get(manifest["run"], {})
        if "maps" in own:
            folders.setdefault(manifest["arm"], own["maps"])
    return {arm: Found.read(folders[arm]) for arm in report.arms if arm in folders}


def _shared(found: Mapping[str, Found]) -> list[dict[str, int]]:
    """Where each arm has the questions that all arms were asked."""
    places = {
        arm: {question["id"]: number for number, question in enumerate(one.record["questions"])}
        for arm, one in found.items()
    }
    first = next(iter(places.values()))
    return [{arm: own[key] for arm, own in places.items()} for key in first if all(key in p for p in places.values())]


def _asked(
    places: Mapping[str, int],
    found: Mapping[str, Found],
    layers: Sequence[int],
    *,
    picture: Callable[[str], bytes | None],
) -> Asked:
    records = {arm: one.record["questions"][places[arm]] for arm, one in found.items()}
    record = next(iter(records.values()))
    shown = picture(record["image"])
    looked = {layer: {arm: one.looked(places[arm], layer) for arm, one in found.items()} for layer in layers}
    tops = {layer: max(float(own.max()) for own in arms.values()) for layer, arms in looked.items()}
    looks = {
        layer: [_look(arm, found[arm], places[arm], layer, top=tops[layer], looked=own) for arm, own in arms.items()]
        for layer, arms in looked.items()
    }
    grey, aspect = _grey(shown) if shown else ("", "1")
    return Asked(
        question=str(record["question"] or record["prompt"]),
        truth=str(record["target"]),
        picture=data_address(shown) if shown else "",
        grey=grey,
        aspect=aspect,
        answers={arm: own["answer"] for arm, own in records.items()},
        tops=tops,
        looks=looks,
    )


def _look(arm: str, found: Found, number: int, layer: int, *, top: float, looked: Array) -> Look:
    told = found.record["questions"][number]
    heat = _address(overlay(looked.reshape(told["grid"]), top=top)) if told["grid"] else ""
    drawn = whole_map(found.arrays[f"{number}.layer{layer}"], told["spans"])
    return Look(arm, float(looked.sum()), heat, _address(drawn))


def _grey(shown: bytes) -> tuple[str, str]:
    """The picture as it lies under a heat, pale and without colours, and its aspect."""
    with Image.open(io.BytesIO(shown)) as opened:
        kept, aspect = opened.convert("L"), f"{opened.width} / {opened.height}"
    kept.thumbnail((GREY_SIDE, GREY_SIDE))
    file = io.BytesIO()
    kept.point(lambda value: 90 + value * 165 // 255).save(file, "JPEG", quality=80)
    return _address(file.getvalue(), "jpeg"), aspect


def _address(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def _text(asked: Sequence[Asked]) -> str:
    """Each arm's share of attention on the picture, mean over the questions shown."""
    if not asked:
        return ""
    told: dict[str, Sequence[str]] = {"arm": list(asked[0].answers)}
    for layer in asked[0].looks:
        shares = np.array([[look.share for look in question.looks[layer]] for question in asked])  # (n, arms)
        told |= {f"layer {layer}, %": [f"{100 * share:.1f}" for share in shares.mean(0)]}
    return f"Attention on the picture, mean of {len(asked)} questions:\n\n{to_markdown(pd.DataFrame(told))}"
