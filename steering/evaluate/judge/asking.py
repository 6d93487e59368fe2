"""A language model as a judge of answers: any OpenAI-compatible endpoint, each question asked once and kept on disk.

POST <url>/chat/completions with one user message. 429, 5xx, dropped connections and bodies that are no JSON are tried
again after growing pauses (Retry-After is kept to); 401, 403, 404 and redirects end the asking. Whatever then has no
value has a reason: a judge that fails gives no score, never 0. Replies that were read are appended to JSON lines under
the hash of (prompt, model, parameters, prediction), so a killed job goes on where it was; unread ones are asked anew.
The key comes from an environment variable that the settings name, and goes into the request's header alone.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from random import uniform
from typing import Any

from steering.errors import DataError
from steering.evaluate.judge.cache import RECORD, Cache
from steering.evaluate.judge.endpoint import Endpoint, Refused, shown
from steering.evaluate.judge.settings import JudgeSettings
from steering.progress import progress

GIVE_UP_AFTER = 5  # questions in a row that the endpoint did not answer
NAMES_SHOWN = 3


@dataclass(frozen=True)
class JudgeQuestion:
    """prompt: all that the judge reads; temperatures: of the first asking, and of one more for each unread reply.

    again: what is added to the prompt of every asking but the first.
    """

    id: str
    prompt: str
    prediction: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    temperatures: tuple[float, ...] = (0.0,)
    again: str = ""


@dataclass(frozen=True)
class Verdict:
    """value: what was read from *reply*, or None and *why*; served_by: the model's name in the reply; date: UTC day."""

    value: float | None
    reply: str = ""
    why: str = ""
    served_by: str = ""
    date: str = ""


Reader = Callable[[str], float | None]


def ask_judge(
    settings: JudgeSettings, questions: Sequence[JudgeQuestion], *, read: Reader, cache: Path
) -> dict[str, Verdict]:
    """{id: verdict} of all *questions*; *read* turns a reply into a value or None. Costs nothing where *cache* knows.

    Raises JudgeError without a key where one is needed, for a cache that is none, and where it cannot be written;
    DataError for an id that comes twice.
    """
    if len({question.id for question in questions}) < len(questions):
        raise DataError("judge: ids come more than once among the questions; allowed is once")
    known = Cache(cache)
    keys = {question.id: _key(settings, question) for question in questions}
    verdicts = {key: _kept(known.records[key], read) for key in keys.values() if key in known.records}
    open_ones = {keys[one.id]: one for one in questions if verdicts.get(keys[one.id], Verdict(None)).value is None}
    if open_ones:
        verdicts |= _Asking(settings, read, known).all(open_ones)
    return {name: verdicts[key] for name, key in keys.items()}


def unscored(verdicts: Mapping[str, Verdict], ids: Collection[str]) -> str:
    """ "not scored: ..." where some of *ids* have no value, which is then the result; else empty."""
    reasons = {name: verdicts[name].why if name in verdicts else "never asked" for name in ids
               if name not in verdicts or verdicts[name].value is None}  # fmt: skip
    if not reasons:
        return ""
    shown = "; ".join(f"{name}: {why}" for name, why in list(reasons.items())[:NAMES_SHOWN])
    return f"not scored: {len(reasons)} of {len(ids)} answers have no verdict, first {shown}"


def told_by(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """The protocol's words on who judged and when."""
    names, dates = ({getattr(one, part) for one in verdicts.values()} for part in ("served_by", "date"))
    return {"judge": ", ".join(sorted(filter(None, names))), "judged": ", ".join(sorted(filter(None, dates)))}


def _key(settings: JudgeSettings, question: JudgeQuestion) -> str:
    prompts = [question.prompt, question.again] if question.again else question.prompt
    asked = [prompts, settings.model, _parameters(settings, question), question.temperatures]
    return hashlib.sha256(json.dumps([*asked, question.prediction], sort_keys=True).encode()).hexdigest()


def _parameters(settings: JudgeSettings, question: JudgeQuestion) -> dict[str, Any]:
    both = {**question.parameters, **settings.parameters}
    return {name: value for name, value in both.items() if value is not None}


def _kept(record: Mapping[str, Any], read: Reader) -> Verdict:
    return Verdict(read(record["reply"]), record["reply"], "", record["served_by"], record["date"])


class _Asking:
    """One round of questions, bounded in parallel, ended early where the endpoint refuses or stays away."""

    def __init__(self, settings: JudgeSettings, read: Reader, cache: Cache):
        self.settings, self.read, self.cache = settings, read, cache
        self.post = Endpoint(settings)
        self.ended, self.why, self.failures = threading.Event(), "interrupted", 0

    def all(self, questions: Mapping[str, JudgeQuestion]) -> dict[str, Verdict]:
        with ThreadPoolExecutor(self.settings.parallel) as pool:
            waiting = {pool.submit(self.one, key, question): key for key, question in questions.items()}
            try:
                return {waiting[done]: done.result() for done in progress(as_completed(waiting), "verdict")}
            finally:  # after an interrupt or on a full disk nothing more is asked
                self.ended.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def one(self, key: str, question: JudgeQuestion) -> Verdict:
        parameters, reply = _parameters(self.settings, question), ""
        for attempt, temperature in enumerate(question.temperatures):
            asked = question.prompt + (question.again if attempt else "")
            body = {"model": self.settings.model, "messages": [{"role": "user", "content": asked}]}
            try:
                reply, served_by = self._reply({**body, "temperature": temperature, **parameters})
            except Refused as refused:
                return Verdict(None, reply, str(refused))
            if (value := self.read(reply)) is not None:
                date = time.strftime("%Y-%m-%d", time.gmtime())
                about = (key, self.settings.model, parameters, temperature, question.prediction, reply, served_by, date)
                self.cache.append(dict(zip(RECORD, about, strict=True)))
                return Verdict(value, reply, "", served_by, date)
        return Verdict(None, reply, f"none of {len(question.temperatures)} replies holds a value, last {shown(reply)}")

    def _reply(self, body: Mapping[str, Any]) -> tuple[str, str]:
        for attempt in range(self.settings.tries):
            if self.ended.is_set():
                raise Refused(self.why, "stop")
            try:
                found = self.post(body)
            except Refused as refused:
                last = refused
            else:
                self.failures = 0
                return found
            if last.then != "again" or last.pause > self.settings.longest_pause_seconds:
                break
            if attempt + 1 < self.settings.tries:
                self.ended.wait(self._pause(attempt, last.pause))
        self._note(last)
        raise last

    def _pause(self, attempt: int, least: float) -> float:
        growing = min(self.settings.longest_pause_seconds, self.settings.pause_seconds * 2**attempt)
        return max(least, growing * uniform(0.5, 1))

    def _note(self, refused: Refused) -> None:
        self.failures += refused.then == "again"
        too_long = refused.pause > self.settings.longest_pause_seconds
        if refused.then == "stop" or too_long or self.failures >= GIVE_UP_AFTER:
            self.why = f"asking ended: {refused}"
            self.ended.set()
