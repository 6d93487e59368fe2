"""Ours beside the papers' numbers: differences are ours minus theirs, claims are paired, what is missing says so."""

from __future__ import annotations

import math

import pytest

from steering.analyse import beside
from steering.analyse.beside import AS_PRINTED, INCOMPLETE, NO_NUMBER, NOT_RUN, REVERSED, Claim, Column, Place
from steering.analyse.beside_words import protocol, summary, tell
from steering.analyse.beside_written import as_json, claim_rows, markdown, place_rows
from steering.analyse.tables import Cell
from tests.analyse.beside_cases import beside_paper

POPE = Column("pope", "POPE", "icons-pope", same=False)
FOUR = {name: [name] for name in ("scienceqa_img", "vizwiz", "iconqa_txt", "iconqa_blank")}
RANKS = {"mores_b": ["mores rank=2"], "lora": ["mores rank=1"]}


def place(found: list[Place], arm: str, column: str) -> Place:
    (one,) = [place for place in found if (place.arm, place.column.name) == (arm, column)]
    return one


def claim(found: list[Claim], arm: str, column: str) -> Claim:
    (one,) = [claim for claim in found if (claim.arm, claim.column.name) == (arm, column)]
    return one


@pytest.fixture
def four(scores):
    """The pope scores as if they were those of Table 6's four benchmarks."""
    own = [score for score in scores if score["benchmark"] == "icons-pope"]
    return [{**score, "benchmark": name} for name in FOUR for score in own]


@pytest.mark.parametrize(
    ("ours", "printed", "difference"), [(0.8, "70.0", 10.0), (0.6, "70.0", -10.0), (0.7, "70.0", 0)]
)
def test_a_difference_is_ours_minus_the_papers(ours, printed, difference):
    assert Place("a", "r", POPE, Cell(ours, ours, ours), printed).difference == pytest.approx(difference)


@pytest.mark.parametrize(
    "one", [Place("a", "r", POPE, Cell(state=NOT_RUN), "70.0"), Place("a", "", POPE, Cell(0.5), "")]
)
def test_what_one_side_lacks_has_no_difference(one):
    assert math.isnan(one.difference)


def test_each_arm_stands_beside_the_papers_number_or_beside_none(scores):
    found = beside.places(beside_paper(), scores)
    assert {(p.arm, p.column.name): p.printed for p in found} == {
        ("none", "pope"): "",
        ("none", "scienceqa_img"): "",
        ("mores_b", "pope"): "87.6",
        ("mores_b", "scienceqa_img"): "70.0",
        ("lora", "pope"): "87.9",
        ("lora", "scienceqa_img"): "71.6",
    }


def test_ours_is_the_mean_over_seeds_with_its_interval(scores):
    cell = place(beside.places(beside_paper(), scores), "lora", "pope").measured
    own = [s for s in scores if (s["arm"], s["benchmark"]) == ("lora", "icons-pope")]
    assert cell.value == pytest.approx(sum(s["metrics"][s["metric"]]["value"] for s in own) / len(own))
    assert cell.low < cell.value < cell.high


def test_what_was_not_run_failed_or_not_scored_says_so(scores):
    own = [score for score in scores if score["arm"] == "none"]
    found = beside.places(beside_paper(), own, failed=["mores_b"], unscored={("lora", "icons-pope")})
    states = {(p.arm, p.column.name): p.measured.state for p in found}
    assert states["mores_b", "pope"] == "failed"
    assert states["lora", "pope"] == "not scored"
    assert states["lora", "scienceqa_img"] == NOT_RUN
    assert states["none", "pope"] == ""


def test_nothing_run_leaves_the_papers_numbers_alone():
    found = beside.places(beside_paper(), [])
    assert {p.measured.state for p in found} == {NOT_RUN}
    assert all(p.printed for p in found if p.row)
    assert {c.state for c in beside.claims(beside_paper(), [], found)} == {NOT_RUN}


def test_questions_are_the_same_where_their_builder_is(scores):
    assert [c.same for c in beside.columns(beside_paper())] == [False, False]
    assert [c.same for c in beside.columns(beside_paper(columns={"p": ["pope"]}, builder="pope_eval"))] == [True]


def test_columns_keep_the_papers_order():
    assert [c.name for c in beside.columns(beside_paper())] == ["scienceqa_img", "pope"]


def test_a_claim_holds_the_papers_difference_beside_ours(scores):
    found = beside.places(beside_paper(), scores)
    own = claim(beside.claims(beside_paper(), scores, found), "mores_b", "pope")
    gap = place(found, "mores_b", "pope").measured.value - place(found, "lora", "pope").measured.value
    assert (own.against, own.printed) == ("lora", pytest.approx(-0.3))
    assert own.difference == pytest.approx(100 * gap)
    assert own.low < own.difference < own.high < 0
    assert own.reading == AS_PRINTED


def test_a_difference_the_other_way_round_is_told(scores):
    paper = beside_paper(rows={"lora": ["lora"], "mores_b": ["mores_h"]})
    (own,) = [c for c in beside.claims(paper, scores, beside.places(paper, scores)) if c.column.name == "pope"]
    assert own.printed == pytest.approx(0.3)
    assert own.reading == REVERSED


@pytest.mark.parametrize(
    ("printed", "low", "high", "p", "reading"),
    [
        (1.0, 1, 3, 0.01, AS_PRINTED),
        (-1.0, 1, 3, 0.01, REVERSED),
        (-1.0, -3, -1, 0.01, AS_PRINTED),
        (0.0, 1, 3, 0.01, "higher"),
        (1.0, -1, 3, 0.5, "no difference shown"),
        (1.0, 1, 3, 0.2, "unclear: does not survive the correction for many comparisons"),
    ],
)
def test_only_what_survives_the_correction_is_read_as_a_direction(printed, low, high, p, reading):
    assert Claim("a", "b", POPE, printed, difference=2.0, low=low, high=high, p=p, p_holm=p).reading == reading


def test_claims_are_of_arms_that_both_have(scores):
    rows = {"none": [], "mores_b": ["mores_b"], "ia3": ["ia3"], "lora": ["lora"]}
    found = beside.claims(beside_paper(rows=rows), scores, beside.places(beside_paper(rows=rows), scores))
    assert {(c.arm, c.state) for c in found} == {("mores_b", ""), ("ia3", NOT_RUN)}
    without = beside_paper(rows={"mores_b": ["mores_b"]})
    assert beside.claims(without, scores, beside.places(without, scores)) == []


def test_an_average_is_of_all_columns_or_not_at_all(four):
    paper = beside_paper("6", rows=RANKS, columns=FOUR)
    found = beside.places(paper, four)
    own = [place(found, "lora", name).measured.value for name in FOUR]
    assert place(found, "lora", "average").measured.value == pytest.approx(sum(own) / 4)
    assert place(found, "lora", "average").printed == "81.8"
    three = beside_paper("6", rows=RANKS, columns={name: FOUR[name] for name in list(FOUR)[:3]})
    assert "average" not in {p.column.name for p in beside.places(three, four)}


def test_an_average_that_lacks_a_benchmark_is_none(four):
    paper = beside_paper("6", rows=RANKS, columns=FOUR)
    for left_out in ({"lora"}, {"lora", "mores_b", "none"}):
        kept = [s for s in four if not (s["benchmark"] == "vizwiz" and s["arm"] in left_out)]
        assert place(beside.places(paper, kept), "lora", "average").measured.state == INCOMPLETE


def test_a_claim_of_averages_is_the_mean_of_its_benchmarks(four):
    paper = beside_paper("6", rows=RANKS, columns=FOUR)
    found = beside.claims(paper, four, beside.places(paper, four))
    each = [claim(found, "mores_b", name).difference for name in FOUR]
    assert claim(found, "mores_b", "average").difference == pytest.approx(sum(each) / 4)
    assert claim(found, "mores_b", "average").printed == pytest.approx(-0.1)


def test_one_arm_may_stand_beside_two_rows(scores):
    paper = beside_paper("6", rows={"lora": ["mores rank=1", "mores token_ratio=0.01"]}, columns={"p": ["vizwiz"]})
    assert [(p.row, p.printed) for p in beside.places(paper, scores)] == [
        ("mores rank=1", "59.2"),
        ("mores token_ratio=0.01", "59.2"),
    ]


def test_a_column_takes_its_own_metric():
    metrics = {
        name: {"value": v, "low": v, "high": v} for name, v in (("aAcc", 0.5), ("fAcc", 0.2), ("hard_pairs", 0.3))
    }
    score = {"world": "3b", "arm": "lora", "seed": 0, "benchmark": "hallusion", "n": 9, "form": "hallusion"}
    score |= {"metric": "aAcc", "metrics": metrics, "run": "r", "outcomes": {"id": ["0"], "group": ["0"]}}
    columns = {"hallusion": ["hallusion_hard", "hallusion_figure", "hallusion_question"]}
    found = beside.places(beside_paper("5", rows={"lora": ["lora"]}, columns=columns), [score])
    assert [p.measured.value for p in found] == [0.3, 0.2, 0.5]


def test_what_differs_is_told(scores):
    told = " ".join(protocol(beside_paper(), beside.columns(beside_paper())))
    assert "16 visual tokens. The paper's: Phi-2 and SigLIP SO400M/14-384, 729 visual tokens." in told
    assert "In form only, other ones than the paper's" in told
    assert "The paper gives no interval" in told
    assert "Arms that the paper's table does not have: ‘none’." in told
    assert "‘full’, ‘adapter’, ‘oft’, ‘ia3’, ‘mores_l’, ‘mores_h’" in told
    assert "stands beside: ‘VQAv2’, ‘GQA’, ‘TextVQA’, ‘MM-Vet’, ‘MMMU’." in told


def test_each_mixture_tells_its_own_steps_and_start():
    paper = beside_paper()
    paper["training"] += [{"data": "task", "steps": 60, "conversations": 5, "start": {"data": "icons", "arm": "full"}}]
    told = " ".join(protocol(paper, beside.columns(paper)))
    assert "Training. Ours: icons, 120 steps of 5 conversations; task, 60 steps of 5 conversations, from the" in told
    assert "from the model of its seed that full tuned on icons. The paper's:" in told
    paper["training"][-1]["start"]["unseen"] = True
    told = " ".join(protocol(paper, beside.columns(paper)))
    assert "that full tuned on icons, on pictures that are new to it. The paper's:" in told
    paper["training"] = []
    assert "Training. Ours: none, for no data is named. " in " ".join(protocol(paper, beside.columns(paper)))


def test_the_same_questions_are_not_called_others():
    paper = beside_paper(columns={"p": ["pope"]}, builder="pope_eval")
    told = " ".join(protocol(paper, beside.columns(paper)))
    assert "Of the same benchmark: p beside POPE." in told
    assert "In form only" not in told


def test_an_oddity_is_told_only_beside_the_number_it_concerns(scores):
    exchanged, oft = "exchanged", "OFT's POPE score"
    told = " ".join(tell(beside_paper(), scores).odd)
    assert exchanged in told and oft not in told
    assert oft in " ".join(tell(beside_paper(rows={"oft": ["oft"]}), []).odd)
    assert exchanged not in " ".join(tell(beside_paper(columns={"s": ["scienceqa_img"]}), []).odd)


def test_a_summary_counts_every_claim():
    made = [Claim("a", "b", POPE, 1.0, state=NOT_RUN), Claim("a", "b", POPE, 1.0, state=NOT_RUN)]
    assert summary(made).startswith("Of 2 differences") and "not run: 2" in summary(made)
    assert summary([]) == ""


def test_rows_of_text_and_json_say_the_same(scores):
    told = tell(beside_paper(), [score for score in scores if score["arm"] != "mores_b"])
    texts, numbers = place_rows(told), as_json(told)["places"]
    by_place = {(row["column"], row["arm"]): row for row in numbers}
    assert len(texts) == len(numbers) == 6
    assert (
        by_place["pope", "mores_b"] | {"printed": 87.6, "state": NOT_RUN, "value": None, "difference": None}
        == (by_place["pope", "mores_b"])
    )
    assert by_place["pope", "none"]["printed"] is None
    assert {(row["arm"], row["the paper"]) for row in texts if row["benchmark"] == "POPE"} == {
        ("none", NO_NUMBER),
        ("mores_b", "87.6"),
        ("lora", "87.9"),
    }
    assert {row["questions"] for row in texts} == {"in form only"}
    assert claim_rows(told) == []
    assert [c["reading"] for c in as_json(told)["claims"]] == [NOT_RUN, NOT_RUN]


def test_markdown_has_the_tables_and_every_footnote(scores):
    told = tell(beside_paper(), scores)
    text = markdown(told)
    assert "| POPE | mores_b | mores_b |" in text
    assert "mores_b against lora | −0.3 |" in text
    assert all(f"- {note}\n" in text for note in [*told.protocol, *told.odd])
