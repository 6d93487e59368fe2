"""Numbers as tables and reports write them."""

from __future__ import annotations

import pytest

from steering.analyse import reading


@pytest.mark.parametrize(
    ("p", "told"), [(1.0, "1.000"), (0.0496, "0.050"), (0.0005, "0.001"), (0.0004, "<0.001"), (0.0, "<0.001")]
)
def test_no_p_is_told_as_nought(p: float, told: str) -> None:
    assert reading.told_p(p) == told


@pytest.mark.parametrize(("value", "told"), [(1.25, "+1.2"), (-3.04, "\u22123.0"), (0.0, "+0.0")])
def test_a_difference_has_its_sign_and_a_true_minus(value: float, told: str) -> None:
    assert reading.signed(value) == told
