"""A country is taken only with all its facts, once, and stands in one split."""

from __future__ import annotations

import json

from steering.data.embedded.facts import Country, countries, split_countries

GERMANY = {
    "name": "Germany",
    "ISO": {"alpha2": "DE", "alpha3": "DEU"},
    "capital": "Berlin",
    "region": "Europe",
    "languages": ["de", "xx"],
    "borders": ["FRA"],
    "population": 80,
}


def read(*records: dict) -> list[Country]:
    return countries(json.dumps(record).encode() for record in records)


def test_facts_are_read_and_codes_become_names():
    (germany,) = read(GERMANY)
    assert (germany.capital, germany.languages, germany.borders, germany.population) == (
        "Berlin",
        ("German",),
        ("FRA",),
        80,
    )


def test_the_flag_is_named_by_regional_indicators():
    assert read(GERMANY)[0].flag == "1F1E9-1F1EA"


def test_a_country_without_a_fact_is_left_out():
    faulty = [
        {"capital": None},
        {"capital": ["A"]},
        {"region": ""},
        {"languages": None},
        {"languages": ["xx"]},
        {"ISO": None},
    ]
    assert read(*({**GERMANY, **fault} for fault in faulty)) == []


def test_of_two_records_of_a_code_the_first_complete_one_counts():
    assert [c.name for c in read({**GERMANY, "capital": ""}, {**GERMANY, "name": "A"}, {**GERMANY, "name": "B"})] == [
        "A"
    ]


def test_splits_share_no_country_and_lose_none():
    known = [Country(f"{k:02d}", "", f"Land{k}", "", "", (), (), 0) for k in range(40)]
    splits = split_countries(known, 0)
    assert {split: len(members) for split, members in splits.items()} == {"train": 24, "val": 6, "test": 10}
    assert sorted(c.name for members in splits.values() for c in members) == sorted(c.name for c in known)
    assert splits == split_countries(known, 0) != split_countries(known, 1)
