"""From boxes to patches, by closed forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steering.analyse.patches import covered, grid_side, shares
from steering.errors import DataError

edges = st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda pair: pair[0] < pair[1])


def test_the_whole_picture_covers_every_patch() -> None:
    assert shares([(0, 0, 1, 1)], 3) == pytest.approx([1.0] * 9)


def test_a_quarter_on_a_grid_of_four_is_its_four_patches() -> None:
    assert shares([(0.5, 0, 1, 0.5)], 4) == [0, 0, 1, 1, 0, 0, 1, 1] + [0] * 8
    assert covered([(0.5, 0, 1, 0.5)], 4) == [2, 3, 6, 7]


def test_a_box_across_patches_covers_each_by_its_overlap() -> None:
    assert shares([(0.25, 0.25, 0.75, 0.5)], 2) == pytest.approx([0.25, 0.25, 0, 0])
    assert covered([(0.1, 0.1, 0.7, 0.4)], 2) == [0, 1]
    assert covered([(0.3, 0.1, 0.9, 0.4)], 2) == [1, 0]


def test_no_box_touches_no_patch() -> None:
    assert covered([], 4) == []
    assert covered([(0, 0, 0.5, 0.5)], 4) == [0, 1, 4, 5]  # an edge that is shared is not touched


@given(edges, edges, st.integers(1, 7))
def test_shares_add_up_to_the_area_of_the_box(across, down, side) -> None:
    box = (across[0] / 40, down[0] / 40, across[1] / 40, down[1] / 40)
    area = (box[2] - box[0]) * (box[3] - box[1])
    assert sum(shares([box], side)) / side**2 == pytest.approx(area)


@given(edges, edges, st.integers(1, 7))
def test_the_most_covered_patch_comes_first_and_each_once(across, down, side) -> None:
    box = (across[0] / 40, down[0] / 40, across[1] / 40, down[1] / 40)
    found, all_of = covered([box], side), shares([box], side)
    assert [all_of[n] for n in found] == pytest.approx(sorted((s for s in all_of if s > 0), reverse=True))
    assert len(set(found)) == len(found)


def test_what_is_no_square_grid_is_refused() -> None:
    assert [grid_side(tokens) for tokens in (1, 16, 576)] == [1, 4, 24]
    with pytest.raises(DataError, match="15 visual tokens are no square grid"):
        grid_side(15)
