"""The report's section beside a printed table: the paper's numbers are the file's, each footnote where it concerns."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from steering import papers
from steering.analyse.report import ReportInput, html
from steering.analyse.sections.paper import section
from tests.analyse.beside_cases import beside_paper

TABLES = [(table, model) for table in papers.comparable() for model in papers.models(table)]
PRINTED = re.compile(r'data-printed="([^"]+)">([^<]*)<')


def bare(report: ReportInput, **changes) -> ReportInput:
    """The report as if nothing had been run."""
    return replace(report, scores=[], attention=[], manifests=[], metrics={}, predictions={}, **changes)


def test_an_experiment_beside_no_table_has_no_such_section(report_input):
    assert section(report_input) is None
    assert 'id="paper"' not in html(bare(report_input))


@pytest.mark.parametrize(("table", "model"), TABLES)
def test_the_papers_numbers_on_the_page_are_those_of_the_file(report_input, table, model):
    rows = {f"arm_{at}": [row] for at, row in enumerate(papers.rows(table, model))}
    columns = {f"ours_{column}": [column] for column in papers.benchmarks(table, model)}
    paper = beside_paper(table, model, rows=rows, columns=columns)
    shown = PRINTED.findall(html(bare(report_input, arms=list(rows), paper=paper)))
    filed = {(n.arm, n.benchmark): n.value for n in papers.printed() if (n.table, n.model) == (table, model)}
    assert {tuple(place.rsplit("/", 1)): value for place, value in shown} == filed
    assert len(shown) == len(filed)


def test_cells_that_one_side_lacks_say_so(report_input):
    page = html(bare(report_input, paper=beside_paper()))
    part = page[page.index('<section id="paper">') :].split("</section>")[0]
    assert part.count('<span class="absent">not run</span>') == 6
    assert part.count('<span class="printed">not in the paper</span>') == 2
    assert "ScienceQA-IMG †" in part
    assert "GQA †" not in part


def test_the_mark_of_other_questions_goes_where_they_are_the_same(report_input):
    page = html(bare(report_input, paper=beside_paper(columns={"p": ["pope"]}, builder="pope_eval")))
    assert "POPE</th>" in page and "POPE †" not in page


def test_the_section_has_a_chart_where_there_is_something_to_hold_against(report_input):
    made = section(replace(report_input, paper=beside_paper()))
    assert made and set(made.charts) == {"paper"}
    assert "Table 1 of the MoReS paper" in made.text
    drawn = made.charts["paper"].to_dict()
    values = [row for data in drawn["datasets"].values() for row in data if "benchmark" in row]
    assert {(row["arm"], row["benchmark"]) for row in values} == {("mores_b", "POPE"), ("mores_b", "ScienceQA-IMG")}
    nothing = section(bare(report_input, paper=beside_paper()))
    assert nothing and nothing.charts == {}


def test_a_diverged_arm_is_told_as_failed(report_input):
    manifests = [{**m, "state": "diverged"} for m in report_input.manifests if m["arm"] == "lora"]
    made = section(replace(report_input, scores=[], manifests=manifests, paper=beside_paper()))
    assert made
    states = {place.arm: place.measured.state for row in made.facts["told"].rows.values() for place in row}
    assert states == {"none": "not run", "mores_b": "not run", "lora": "failed"}
