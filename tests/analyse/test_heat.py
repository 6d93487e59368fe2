"""Attention drawn: clear where there is none, fullest where there is most, and marked where roles change."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from steering.analyse.heat import HEAT, INK, LEAST, ROLES, SIDE, STRIP, overlay, whole_map

SPANS = [("template", 0, 2), ("visual", 2, 6), ("answer", 6, 8)]


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as opened:
        return np.asarray(opened.convert("RGBA")).astype(int)


def test_an_overlay_is_one_pixel_a_token_whose_opacity_is_its_share_of_the_top() -> None:
    drawn = pixels(overlay(np.array([[0.0, 0.1], [0.2, 0.4]]), top=0.2))
    assert drawn.shape == (2, 2, 4)
    assert (drawn[..., :3] == HEAT).all()
    assert drawn[0, 0, 3] == 0 and drawn[1, 0, 3] == drawn[1, 1, 3] == 225
    assert abs(drawn[0, 1, 3] - 112) < 8


def test_nothing_anywhere_is_clear() -> None:
    assert pixels(overlay(np.zeros((3, 3)), top=0.0))[..., 3].max() == 0


def test_a_map_is_logarithmic_between_its_ends() -> None:
    weights = np.full((8, 8), LEAST)
    weights[7, 1], weights[7, 3] = 1.0, LEAST**0.5
    drawn = pixels(whole_map(weights, [("prompt", 0, 8)]))[STRIP:, STRIP:]
    cell = SIDE // 8
    assert drawn.shape[:2] == (SIDE, SIDE)
    at = [drawn[-1, place * cell + cell // 2] for place in (0, 1, 3)]
    assert [place[3] for place in at] == [0, 255, pytest.approx(128, abs=6)]
    assert tuple(at[1][:3]) == INK


def test_edges_tell_who_stands_where() -> None:
    drawn = pixels(whole_map(np.full((8, 8), LEAST), SPANS))
    cell = SIDE // 8
    for role, first, last in SPANS:
        colour = tuple(bytes.fromhex(ROLES[role][1:]))
        middle = STRIP + (first + last) * cell // 2
        assert tuple(drawn[0, middle][:3]) == tuple(drawn[middle, 0][:3]) == colour
        if first:
            line = STRIP + first * cell
            assert tuple(drawn[-1, line]) == tuple(drawn[line, -1]) == (*colour, 255)
    assert drawn[-1, STRIP + 3 * cell, 3] == 0


def test_a_long_text_is_averaged_down() -> None:
    weights = np.full((700, 700), 0.01)
    drawn = pixels(whole_map(weights, [("prompt", 0, 700)]))
    assert drawn.shape[:2] == (SIDE + STRIP, SIDE + STRIP)
    assert len({tuple(pixel) for pixel in drawn[STRIP:, STRIP:].reshape(-1, 4)}) == 1
    assert len(whole_map(np.random.default_rng(0).random((700, 700)) / 350, SPANS)) < 12_000
