"""A form's answers brought before a judge, and its verdicts as a file: verdicts.json, per benchmark and split.

The file is a list of {"benchmark", "split", "prompt": sha256, "verdicts": {id: the fields of a Verdict}}, or of
{"benchmark", "split", "why"} where the judge could not be asked at all. What has no verdict has a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from steering.errors import SteeringError
from steering.evaluate.judge.asking import JudgeQuestion, Verdict, ask_judge, unscored
from steering.evaluate.judge.settings import JudgePrompt, JudgeSettings, read_prompt

if TYPE_CHECKING:  # the forms import this package
    from steering.evaluate.benchmarks.form import Example, Form

Answered = Iterable[tuple["Example", str]]
ASK_ANEW = "; to ask anew, delete verdicts.json beside the predictions and run again: what was answered is kept"


@runtime_checkable
class JudgedForm(Protocol):
    """A form whose answers a judge can grade; needs_judge: without one it has no score."""

    needs_judge: bool

    def questions(self, answered: Answered, prompt: JudgePrompt) -> list[JudgeQuestion]:
        """What the judge is asked about each (example, answer)."""
        ...

    def read(self, reply: str) -> float | None:
        """The value of a judge's reply, None where it holds none."""
        ...

    def judged(self, answered: Answered, verdicts: Mapping[str, Verdict], sha256: str) -> Form:
        """The form that scores *answered* by the verdicts of their ids, given after the prompt of *sha256*."""
        ...


def verdicts_on(
    form: JudgedForm, answered: Answered, settings: JudgeSettings, prompt: Mapping[str, str], cache: Path
) -> dict[str, Any]:
    """The judge's part of an entry of verdicts.json; *prompt*: file and sha256. Costs nothing where *cache* knows."""
    try:
        text = read_prompt(Path(prompt["file"]), sha256=prompt["sha256"])
        found = ask_judge(settings, form.questions(answered, text), read=form.read, cache=cache)
    except SteeringError as fault:
        return {"why": str(fault)}
    return {"prompt": text.sha256, "verdicts": {name: vars(verdict) for name, verdict in found.items()}}


def judged_by(
    form: JudgedForm, answered: Sequence[tuple[Example, str]], entry: Mapping[str, Any]
) -> tuple[Form | None, str]:
    """The form that scores *answered* by an *entry* of verdicts.json, or None and why there is none."""
    if "why" in entry:
        return None, f"the judge was not asked: {entry['why']}{ASK_ANEW}"
    verdicts = {name: Verdict(**fields) for name, fields in entry["verdicts"].items()}
    if why := unscored(verdicts, [example.id for example, _ in answered]):
        return None, why.removeprefix("not scored: ") + ASK_ANEW
    return form.judged(answered, verdicts, entry["prompt"]), ""
