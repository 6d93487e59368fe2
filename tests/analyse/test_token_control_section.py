"""The report's part on token control: there where it was measured, escaped, with pictures and intervals."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from steering.analyse.report import ReportInput, draw, html, write_figures
from steering.analyse.sections import token_control
from steering.analyse.sections.token_control import MARK, marked
from tests.analyse.invented_control import TRIED, put

ATTACK = "<script>alert('x')</script>"


@pytest.fixture
def measured(report_input: ReportInput, tmp_path: Path) -> ReportInput:
    folders = {
        f"embedded/icons/{arm}/seed{seed}": {"token_control": put(tmp_path / arm / str(seed), arm, seed)}
        for arm in ("none", "lora")
        for seed in (0, 1)
    }
    return replace(report_input, analyses=folders)


def test_what_was_not_measured_is_not_shown(report_input: ReportInput) -> None:
    assert token_control.section(report_input) is None
    assert "token_control" not in html(report_input)


def test_what_was_measured_is_shown_by_arm_kind_and_number(measured: ReportInput) -> None:
    found = token_control.section(measured)
    assert found is not None and found.facts["seeds"] == 2 and found.facts["questions"] == 20
    assert len(found.facts["rows"]) == 2 * len(TRIED)
    assert [row["success"] for row in found.facts["rows"] if row["kind"] == "no step (control)"] == ["0 [0, 0]"] * 2
    page = html(measured)
    assert 'id="token_control"' in page and page.count("data-chart=") == len(draw(measured).charts)
    assert "4 tokens, end of the prompt" in page


def test_its_figures_and_its_table_are_written(measured: ReportInput, tmp_path: Path) -> None:
    write_figures(measured, tmp_path / "out")
    for name in ("token_control_success", "token_control_changed"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 1000
    assert "## Control by token editing" in (tmp_path / "out" / "table.md").read_text()


def test_each_kind_has_its_examples_and_what_is_edited_in_a_picture_is_framed(measured: ReportInput) -> None:
    found = token_control.section(measured)
    assert found is not None
    examples = found.facts["examples"]
    assert [one["kind"] for one in examples] == [words for words in token_control.WORDS.values() for _ in range(2)]
    assert all(one["picture"].startswith("data:image/png") for one in examples)


def test_text_from_data_is_escaped(report_input: ReportInput, tmp_path: Path) -> None:
    hurt = put(tmp_path / "hurt", "none", 0, after=ATTACK, before=ATTACK, aim=ATTACK, question=ATTACK, id=ATTACK)
    page = html(replace(report_input, analyses={"embedded/icons/none/seed0": {"token_control": hurt}}))
    assert ATTACK not in page and "&lt;script&gt;" in page


def test_a_frame_stands_on_the_edge_of_its_patch_and_nowhere_else() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "PNG")
    image = Image.open(io.BytesIO(marked(file.getvalue(), [6], 4))).convert("RGB")  # second row, third column
    red = tuple(int(MARK[at : at + 2], 16) for at in (1, 3, 5))
    framed = {(x, y) for x in range(64) for y in range(64) if image.getpixel((x, y)) == red}
    assert {(32, 16), (47, 16), (32, 31), (47, 31)} <= framed
    assert all(32 <= x < 48 and 16 <= y < 32 for x, y in framed) and (40, 24) not in framed
