"""Facts about countries, from countryinfo's records: name, capital, region, languages and land neighbours.

The facts are the package's; some are out of date (it gives Bujumbura as Burundi's capital). A country whose record
lacks a name, an ISO code, a capital, a region or a known language is left out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FLAG_A = 0x1F1E6  # REGIONAL INDICATOR SYMBOL LETTER A
SHARES = {"train": 0.60, "val": 0.15, "test": 0.25}

# ISO 639; codes the records use for another language than the code's own are left out.
LANGUAGES = {
    **{"af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "ay": "Aymara", "az": "Azerbaijani", "be": "Belarusian"},
    **{"bg": "Bulgarian", "bi": "Bislama", "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "ch": "Chamorro"},
    **{"cnr": "Montenegrin", "cs": "Czech", "da": "Danish", "de": "German", "dv": "Dhivehi", "dz": "Dzongkha"},
    **{"el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "ff": "Fula"},
    **{"fi": "Finnish", "fj": "Fijian", "fo": "Faroese", "fr": "French", "ga": "Irish", "gn": "Guarani"},
    **{"gv": "Manx", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian"},
    **{"hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian"},
    **{"kk": "Kazakh", "kl": "Greenlandic", "km": "Khmer", "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz"},
    **{"la": "Latin", "lb": "Luxembourgish", "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian"},
    **{"mg": "Malagasy", "mh": "Marshallese", "mi": "Maori", "mk": "Macedonian", "mn": "Mongolian", "ms": "Malay"},
    **{"mt": "Maltese", "my": "Burmese", "na": "Nauruan", "nb": "Norwegian", "ne": "Nepali", "nl": "Dutch"},
    **{"nn": "Norwegian", "no": "Norwegian", "ny": "Chewa", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese"},
    **{"qu": "Quechua", "rn": "Kirundi", "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "sg": "Sango"},
    **{"si": "Sinhala", "sk": "Slovak", "sl": "Slovene", "sm": "Samoan", "sn": "Shona", "so": "Somali"},
    **{"sq": "Albanian", "sr": "Serbian", "ss": "Swazi", "st": "Sotho", "sv": "Swedish", "sw": "Swahili"},
    **{"ta": "Tamil", "tg": "Tajik", "th": "Thai", "ti": "Tigrinya", "tk": "Turkmen", "tn": "Tswana"},
    **{"to": "Tongan", "tr": "Turkish", "ts": "Tsonga", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek"},
    **{"ve": "Venda", "vi": "Vietnamese", "xh": "Xhosa", "zh": "Chinese", "zu": "Zulu"},
}


@dataclass(frozen=True)
class Country:
    """alpha2, alpha3: ISO 3166; languages: English names, the record's first one first; borders: alpha3 codes."""

    alpha2: str
    alpha3: str
    name: str
    capital: str
    region: str
    languages: tuple[str, ...]
    borders: tuple[str, ...]
    population: int

    @property
    def flag(self) -> str:
        """The name of its flag in OpenMoji, as 1F1E9-1F1EA for DE."""
        return "-".join(f"{FLAG_A + ord(letter) - ord('A'):X}" for letter in self.alpha2)


def countries(records: Iterable[bytes]) -> list[Country]:
    """The complete countries among countryinfo's JSON *records*, by ISO code; of a code the first complete one."""
    found: dict[str, Country] = {}
    for record in records:
        country = _country(json.loads(record))
        if country and country.alpha2 not in found:
            found[country.alpha2] = country
    return [found[code] for code in sorted(found)]


def _country(record: Mapping[str, Any]) -> Country | None:
    codes = record.get("ISO") or {}
    facts = [record.get("name"), codes.get("alpha2"), codes.get("alpha3"), record.get("capital"), record.get("region")]
    names = [LANGUAGES[code] for code in record.get("languages") or [] if code in LANGUAGES]
    if not names or not all(isinstance(fact, str) and fact for fact in facts):
        return None
    name, alpha2, alpha3, capital, region = (str(fact) for fact in facts)
    borders = tuple(record.get("borders") or ())
    return Country(
        alpha2, alpha3, name, capital, region, tuple(dict.fromkeys(names)), borders, record.get("population") or 0
    )


def split_countries(known: Sequence[Country], seed: int) -> dict[str, list[Country]]:
    """split -> countries, by SHARES after a seeded shuffle; each country is in one split."""
    order = random.Random(f"{seed}/countries/splits").sample(known, len(known))
    ends = [round(len(order) * share) for share in (SHARES["train"], SHARES["train"] + SHARES["val"], 1.0)]
    return dict(zip(SHARES, (order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] :]), strict=True))
