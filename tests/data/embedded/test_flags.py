"""Colours of a flag are measured inside its outline, and wrong choices are wrong beyond doubt."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from steering.data.embedded.flags import (
    SHADES,
    ColourTally,
    ask_largest,
    ask_present,
    colour_shares,
    draw_flag,
    flag_picture,
)


def svg(*stripes: tuple[float, str]) -> str:
    top, bars = 17.0, ""
    for share, colour in stripes:
        bars += f'<rect x="5" y="{top}" width="62" height="{38 * share}" fill="{colour}"/>'
        top += 38 * share
    outline = '<rect x="5" y="17" width="62" height="38" fill="none" stroke="#000" stroke-width="2"/>'
    return f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{bars}{outline}</svg>'


def shares(**given: float) -> dict[str, float]:
    return {**dict.fromkeys(SHADES, 0.0), **given}


def tally() -> ColourTally:
    return ColourTally(random.Random(0))


def test_shares_are_those_of_the_stripes_and_the_outline_is_not_black():
    found = colour_shares(draw_flag(svg((0.5, "#d22f27"), (0.5, "#fff"))))
    assert found["red"] == pytest.approx(0.5, abs=0.02) and found["white"] == pytest.approx(0.5, abs=0.02)
    assert found["black"] == 0


def test_light_and_dark_shades_have_one_name():
    assert colour_shares(draw_flag(svg((0.5, "#1e50a0"), (0.5, "#92d3f5"))))["blue"] == 1


def test_the_picture_shows_the_flag_on_grey():
    picture = flag_picture(draw_flag(svg((1, "#d22f27"))))
    assert picture.size == (128, 128)
    assert picture.getpixel((64, 64)) == (0xD2, 0x2F, 0x27)
    assert picture.getpixel((64, 3)) == (0xBE, 0xBE, 0xBE)


def test_wrong_colours_are_not_in_the_flag():
    ((right, wrong),) = ask_present(tally(), shares(red=0.6, white=0.4))
    assert right in ("red", "white")
    assert len(set(wrong)) == 3 and not {"red", "white"} & set(wrong)


def test_a_trace_of_a_colour_is_neither_right_nor_wrong():
    for _ in range(20):
        ((right, wrong),) = ask_present(tally(), shares(red=0.95, green=0.03, blue=0.02))
        assert right == "red" and not {"green", "blue"} & set(wrong)


def test_orange_is_no_wrong_choice_beside_red_or_yellow():
    ((_, wrong),) = ask_present(tally(), shares(yellow=1.0))
    assert "orange" not in wrong


def test_a_flag_of_too_many_colours_gives_no_question():
    assert ask_present(tally(), shares(red=0.2, white=0.2, blue=0.2, green=0.2, black=0.2)) == []


def test_the_largest_colour_is_twice_any_other_choice():
    ((right, wrong),) = ask_largest(tally(), shares(blue=0.6, white=0.3, red=0.1))
    assert right == "blue" and "blue" not in wrong and len(set(wrong)) == 3
    assert ask_largest(tally(), shares(blue=0.5, white=0.5)) == []
    assert ask_largest(tally(), shares(brown=0.9)) == []


def test_colours_are_right_as_evenly_as_the_flags_allow():
    counter, rights = tally(), Counter()
    for _ in range(60):
        ((right, _),) = ask_present(counter, shares(red=0.4, white=0.3, blue=0.3))
        rights[right] += 1
    assert set(rights.values()) == {20}
