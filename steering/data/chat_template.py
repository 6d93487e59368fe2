"""A tokenizer's own chat template as the pieces that a Scribe writes, found by rendering it around marks.

Only templates that write a question and an answer as they are, in an order of pieces, can be taken: what is rendered
is compared with what the pieces give, for one turn, for two, and for a question that waits for its answer.
"""

from __future__ import annotations

from typing import Any

from steering.data.templates import OWN, Template
from steering.errors import DataError

ASKED, TOLD = ("qqaskedqq", "qqmoreqq"), ("qqtoldqq", "qqsaidqq")


def template_of(tokenizer: Any) -> Template:
    """Raises DataError where *tokenizer* has no chat template, or one that is no plain order of pieces."""
    if not tokenizer.chat_template:
        raise DataError(f"template: {OWN}: this tokenizer has no chat template; allowed one of the others")
    opening, after, rest = _split(_rendered(tokenizer, 1), ASKED[0], TOLD[0])
    closing = _first_token(tokenizer, rest)
    _, between, _ = _split(_rendered(tokenizer, 2), TOLD[0], ASKED[1])
    again = between.removeprefix(closing)
    start = tokenizer.bos_token or ""
    found = Template(OWN, opening.removeprefix(start), "\n", after, closing, again=again)
    _check(tokenizer, found, start if opening.startswith(start) else "")
    return found


def _messages(turns: int) -> list[dict[str, str]]:
    pairs = zip(ASKED[:turns], TOLD[:turns], strict=True)
    return [one for asked, told in pairs for one in (_says("user", asked), _says("assistant", told))]


def _says(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _rendered(tokenizer: Any, turns: int) -> str:
    return str(tokenizer.apply_chat_template(_messages(turns), tokenize=False))


def _split(text: str, first: str, second: str) -> tuple[str, str, str]:
    """What stands before, between and behind two marks."""
    before, _, rest = text.partition(first)
    between, found, behind = rest.partition(second)
    if not found:
        raise DataError(f"template: {OWN}: it does not write {first} and {second} one behind the other; {text!r}")
    return before, between, behind


def _first_token(tokenizer: Any, text: str) -> str:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise DataError(f"template: {OWN}: nothing ends an answer; allowed a template with a token that does")
    return str(tokenizer.decode(ids[:1]))


def _check(tokenizer: Any, template: Template, start: str) -> None:
    """Raises DataError unless the pieces give what the tokenizer renders."""
    first = f"{start}{template.opening}{ASKED[0]}{template.after}"
    waiting = tokenizer.apply_chat_template([_says("user", ASKED[0])], tokenize=False, add_generation_prompt=True)
    second = f"{first}{TOLD[0]}{template.closing}{template.again}{ASKED[1]}{template.after}{TOLD[1]}{template.closing}"
    if waiting != first or not _rendered(tokenizer, 2).startswith(second):
        raise DataError(
            f"template: {OWN}: pieces do not give what the tokenizer renders: {waiting!r} for {first!r}; allowed a "
            "template of plain pieces, or another by name"
        )
