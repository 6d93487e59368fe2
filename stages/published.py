"""Tables from published outcomes: of runs that were made here or elsewhere and whose outcomes lie in docs/outcomes.

`--keep` first publishes what has been run here. Runs of other settings than today's params.yaml are left out, and told.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from steering.command_line import answer, asking_for_experiments, chosen
from steering.errors import ParamsError, nearest
from steering.graph import Graph, words_of
from steering.params import Params, load, with_seeds
from steering.params.experiments import Experiment
from steering.plan import Plan
from steering.plan_table import aligned, wrapped
from steering.records import recorded
from steering.slices import Run

Record = dict[str, Any]


@dataclass
class Found:
    """What is published of one experiment; starts: scores of the tuned runs that these start from; attention: of those
    records' runs; notes: what is not, and why.
    """

    records: list[Record] = field(default_factory=list)
    starts: list[Record] = field(default_factory=list)
    attention: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def scores(self) -> list[Record]:
        return [score for told in self.records for score in told["scores"]]

    @property
    def with_starts(self) -> list[Record]:
        return [*self.scores, *self.starts]

    def arms(self, wanted: Experiment) -> list[str]:
        """Those that something is published of, in the experiment's order."""
        return [arm for arm in wanted.arms if any(told["arm"] == arm for told in self.records)]


def main(words: Sequence[str]) -> str:
    """The answer to a command line. Raises SteeringError for what there is not."""
    parser = asking_for_experiments("stages.published", __doc__, default="all of which something is published")
    parser.add_argument("--keep", action="store_true", help="publish the outcomes of finished runs first")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="draw figures into FOLDER/EXPERIMENT-FIGURE.png")
    parser.add_argument("--against", metavar="ARM", help="hold the others against it, not the experiment's control")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="of these training seeds alone")
    given = parser.strict(words)
    params = held_against(load(given.params), given.experiments, given.against)
    plan = Plan(of_seeds(params, given.experiments, given.seeds))
    names = [name for name in chosen(plan.params, given.experiments) if plan.runs(name)]
    kept = keep(plan, names) if given.keep else []
    found = {name: find(plan, name) for name in names}
    shown = {name: own for name, own in found.items() if own.records or given.experiments}
    for name in shown if given.figures else ():
        draw(plan, name, found[name], given.figures)
    if given.json:
        return json.dumps({name: as_json(plan, name, own) for name, own in shown.items()}, indent=1)
    tables = [text(plan, name, own, markdown=given.markdown) for name, own in shown.items()]
    told = [f"Published now: {', '.join(kept)}."] if kept else []
    return "\n\n".join([*map(wrapped, told), *tables]) or "Nothing that params.yaml asks for is published."


def held_against(params: Params, names: Sequence[str], arm: str | None) -> Params:
    """*params* with *arm* as the control of the experiments *names*. Raises ParamsError where one does not have it."""
    if arm is None:
        return params
    wanted = {name: params.experiments[name] for name in chosen(params, names)}
    held = {name: told.model_copy(update={"control": arm}) for name, told in wanted.items() if arm in told.arms}
    known = list(dict.fromkeys(other for told in wanted.values() for other in told.arms))
    if not held or (names and len(held) < len(wanted)):
        lacking = ", ".join(name for name in names if name not in held) or "any experiment"
        raise ParamsError([f"--against: {arm} is no arm of {lacking}; allowed {', '.join(known)}{nearest(arm, known)}"])
    return params.model_copy(update={"experiments": params.experiments | held})


def of_seeds(params: Params, names: Sequence[str], seeds: Sequence[int] | None) -> Params:
    """*params* with those *seeds* alone in the experiments *names*; one that has none of them has no runs.

    Raises ParamsError for a seed that none of them has.
    """
    if seeds is None:
        return params
    wanted = {name: params.experiments[name] for name in chosen(params, names)}
    known = sorted({seed for told in wanted.values() for seed in told.seeds})
    if strange := [str(seed) for seed in seeds if seed not in known]:
        asked = ", ".join(names) or "any experiment"
        raise ParamsError([f"--seeds: {', '.join(strange)} of {asked}; allowed {', '.join(map(str, known))}"])
    return with_seeds(params, {name: [seed for seed in told.seeds if seed in seeds] for name, told in wanted.items()})


def keep(plan: Plan, experiments: Sequence[str]) -> list[str]:
    """Publish every finished run of *experiments*; the names of those."""
    from steering.evaluate.results import read_results
    from steering.published import asked, publish, publish_attention
    from steering.standing import Standing

    standing, kept = Standing(plan, recorded=recorded), []
    for experiment in experiments:
        for run in plan.runs(experiment):
            states = standing.run(run)
            if run.name not in kept and all(states[rule] == "done" for rule in ("tune", "predict", "score")):
                (results,) = read_results([run.__dict__], split=plan.experiment(experiment).split)
                publish(run, results, asked(standing.graph, run))
                if states.get("attention") == "done":
                    publish_attention(run, results.attention, asked(standing.graph, run, "attention"))
                kept.append(run.name)
    return kept


def find(plan: Plan, experiment: str) -> Found:
    """The published runs of an experiment that were asked for what it asks today."""
    from steering.evaluate.results import labels_of, names_of, of_start, shown
    from steering.published import asked, changed, read_attention

    found, graph, labels, starts = Found(), Graph(plan), labels_of(plan.report(experiment)), plan.starts(experiment)
    known = _published(graph, [*plan.runs(experiment), *(start for _, start in starts)], found.notes)
    for run in filter(known.get, plan.runs(experiment)):
        found.records.append({**known[run], "scores": shown(known[run]["scores"], names_of(labels, run.data))})
        looked = read_attention(run) if plan.attended(run.world, run.data) else None
        if looked and not changed(looked, asked(graph, run, "attention")):
            found.attention.append(looked)
    for data, start in starts:
        found.starts += of_start(known[start]["scores"], data, labels) if start in known else []
    return found


def _published(graph: Graph, runs: Sequence[Run], notes: list[str]) -> dict[Run, Record]:
    """The files of those of *runs* that were asked for what is asked today; of the others *notes* tell."""
    from steering.published import asked, changed, read

    found, absent = {}, []
    for run in dict.fromkeys(runs):
        told = read(run)
        if told is None:
            absent.append(run)
        elif other := changed(told, asked(graph, run)):
            notes.append(f"{run.name}: left out, for params.yaml asks for another {', '.join(other)} now")
        else:
            found[run] = told
    names = ", ".join(_named([words_of(run) for run in absent]))
    notes += [f"Not published: {names}."] if absent else []
    return found


def _named(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for arm in dict.fromkeys(run["arm"] for run in runs):
        seeds = dict.fromkeys(str(run["seed"]) for run in runs if run["arm"] == arm)
        yield f"{arm} (seed {', '.join(seeds)})"


def text(plan: Plan, experiment: str, found: Found, *, markdown: bool) -> str:
    from steering.analyse.written import to_markdown

    heading = f"{'## ' if markdown else ''}{experiment}: {plan.experiment(experiment).title}"
    frames = frames_of(plan, experiment, found) if found.records else []
    notes = found.notes + origin(found)
    if markdown:
        return "\n".join([f"{heading}\n", *map(to_markdown, frames), *(f"- {note}" for note in notes)])
    tables = [line for frame in frames for line in (*_lines(frame), "")]
    return "\n".join([heading, "", *tables, *(wrapped(f"- {note}") for note in notes)])


def _lines(frame: Any) -> list[str]:
    return aligned([*frame.columns], [list(map(str, row)) for row in frame.itertuples(index=False)])


def origin(found: Found) -> list[str]:
    """When and with which code the runs were made, and which of them chose among words that tie."""
    from steering.published import tied

    if not found.records:
        return []
    made = [told["made"] for told in found.records]
    days = sorted({own["finished"][:10] for own in made})
    commits = ", ".join(sorted({own["commit"] for own in made}))
    notes = [f"{len(made)} runs, made {' to '.join(dict.fromkeys([days[0], days[-1]]))} with {commits}."]
    rounded = [told for told in found.records if tied(told)]
    which = ", ".join(_named(rounded)) if len(rounded) < len(made) else "all"
    why = "answered from bfloat16 logits, where the first of the words that tie was taken"
    return notes + ([f"{len(rounded)} of them {why}: {which}."] if rounded else [])


def frames_of(plan: Plan, experiment: str, found: Found) -> list[Any]:
    """The tables of scores, of differences to the control and, where there are such, of single seeds, of differences
    to the tuned run that runs start from, and of LMAR against the control's.
    """
    from steering.analyse import by_seed, overall, shift, tables
    from steering.analyse.written import wide
    from steering.evaluate.results import labels_of

    control, scores, arms = plan.experiment(experiment).control, found.scores, found.arms(plan.experiment(experiment))
    table = tables.collect(found.with_starts, manifests=found.records, experiment=experiment)
    known = tables.main_metrics(scores)
    metrics = {name: known[name] for name in labels_of(plan.report(experiment)).values() if name in known}
    together = overall.overall(scores, arms=arms, control=control)
    over_start = overall.over_start(scores, found.starts, arms=arms)
    looked = shift.shifts(found.attention, arms=arms, control=control)
    single = by_seed.by_seed(scores, arms=arms, control=control)
    frames = [wide(tables.rows_to_read(table, metrics, arms=arms)), overall.to_read(together, control)]
    frames += [by_seed.to_read(single, control)] if len(single) else []
    frames += [overall.to_read(over_start, tables.START)] if len(over_start) else []
    return frames + ([shift.to_read(looked, control)] if len(looked) else [])


def draw(plan: Plan, experiment: str, found: Found, folder: Path) -> None:
    """Write the report's figures of scores and attention; none where nothing is published."""
    from steering.analyse import by_seed, rendering, report, shift, tables

    wanted, scores = plan.experiment(experiment), found.scores
    table = tables.collect(found.with_starts, manifests=found.records, experiment=experiment)
    differences = tables.differences(scores, control=wanted.control)
    arms = found.arms(wanted)
    charts = report.score_charts(
        scores, found.records, table=table, differences=differences, arms=arms, control=wanted.control
    )
    gained = report.start_charts(tables.differences(found.with_starts, control=tables.START), arms)
    looks = report.attention_charts(shift.curves(found.attention, arms), arms)
    single = by_seed.by_seed(scores, arms=arms, control=wanted.control)
    seeds = [("seeds", by_seed.strip(single, arms))] if len(single) else []
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in chain(charts, seeds, gained, looks):
        rendering.save_png(chart, folder / f"{experiment}-{name}.png")


def as_json(plan: Plan, experiment: str, found: Found) -> Record:
    from steering.analyse.by_seed import by_seed
    from steering.analyse.overall import over_start, overall
    from steering.analyse.shift import shifts

    wanted = plan.experiment(experiment)
    together = overall(found.scores, arms=wanted.arms, control=wanted.control)
    gained = over_start(found.scores, found.starts, arms=wanted.arms).to_dict("records")
    looks = shifts(found.attention, arms=wanted.arms, control=wanted.control).to_dict("records")
    runs = [{key: told[key] for key in ("arm", "seed", "made")} for told in found.records]
    single = by_seed(found.scores, arms=wanted.arms, control=wanted.control)
    seeds = single.astype(object).where(single.notna(), None).to_dict("records")
    compared = {"overall": together.to_dict("records"), "by_seed": seeds, "over_start": gained, "attention": looks}
    return {"runs": runs, "against": wanted.control, **compared, "notes": found.notes}


if __name__ == "__main__":
    answer(main)
