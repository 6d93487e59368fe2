"""Odd rows become what the strict reader takes, each repair named, or are unusable for a named reason."""

from __future__ import annotations

import random

import pytest
from published import row

from steering.data.conversations import PLACEHOLDER, Conversation
from steering.data.converters import cleaning
from steering.data.converters.cleaning import clean
from steering.data.converters.ledger import Unusable

CAT = Conversation("1", "a.png", (("What?", "A cat."),))
BOTH = Conversation("1", "a.png", (("What?", "A cat."), ("Sure?", "Yes.")))
H, G = "human", "gpt"


def said(*pairs, image="a.png", **changes):
    messages = [{"from": role, "value": value} for role, value in pairs]
    return row("1", image, conversations=messages, **changes)


REPAIRED = {
    "clean before": (said((H, "<image>\nWhat?"), (G, "A cat.")), CAT, ()),
    "clean after": (said((H, "What?\n<image>"), (G, "A cat.")), CAT, ()),
    "two in one": (said((H, "<image>\n<image>\nWhat?"), (G, "A cat.")), CAT, (cleaning.SEVERAL,)),
    "two in two": (
        said((H, "<image>\nWhat?"), (G, "A cat."), (H, "<image>\nSure?"), (G, "Yes.")),
        BOTH,
        (cleaning.SEVERAL,),
    ),
    "late": (said((H, "What?"), (G, "A cat."), (H, "Sure?\n<image>"), (G, "Yes.")), BOTH, (cleaning.LATE,)),
    "none": (said((H, "What?"), (G, "A cat.")), CAT, (cleaning.NO_PLACEHOLDER,)),
    "odd": (said((H, "<image>What?"), (G, "A cat."), (H, "And?")), CAT, (cleaning.OPEN_END,)),
    "opens with an answer": (said((G, "Hi"), (H, "<image>What?"), (G, "A cat.")), CAT,
                             (cleaning.LATE, cleaning.OPENING_ANSWER)),
    "empty answer": (said((H, "<image>Why?"), (G, " \n"), (H, "What?"), (G, "A cat.")), CAT, (cleaning.EMPTY_ANSWER,)),
    "only a placeholder for an answer": (
        said((H, "What?"), (G, "A cat."), (H, "And?"), (G, "<image>")),
        CAT,
        (cleaning.LATE, cleaning.EMPTY_ANSWER),
    ),
    "lone surrogate": (
        said((H, "<image>What?"), (G, "A cat\ud83d.")),
        Conversation("1", "a.png", (("What?", "A cat\ufffd."),)),
        (cleaning.SURROGATE,),
    ),
    "no id": (
        said((H, "<image>What?"), (G, "A cat."), id=None),
        Conversation("row5", "a.png", CAT.turns),
        (cleaning.NO_ID,),
    ),
    "text only": (said((H, "What?"), (G, "A cat."), image=None, id=1), Conversation("1", None, CAT.turns), ()),
}  # fmt: skip


@pytest.mark.parametrize(("odd", "conversation", "repairs"), REPAIRED.values(), ids=REPAIRED)
def test_repair(odd, conversation, repairs):
    cleaned = clean(odd, 5)
    assert (cleaned.conversation, cleaned.repairs) == (conversation, repairs)


UNUSABLE = {
    "malformed row": ["x", {"id": "1"}, said() | {"conversations": ["x"]}, said((H, 3))],
    "unknown role": [said(("system", "Be kind."), (H, "<image>What?"), (G, "A cat."))],
    "roles out of order": [said((H, "<image>"), (H, "What?"), (G, "A cat.")), said((G, "a"), (G, "b"), (H, "<image>"))],
    "no answer": [said(), said((H, "<image>What?"), (G, "")), said((H, "<image>What?"))],
    "placeholder without a picture": [said((H, "<image>What?"), (G, "A cat."), image=None)],
    "malformed picture name": [
        said((H, "<image>What?"), (G, "A cat."), image=name)
        for name in (3, "", ["a.png"], "/etc/a.png", "../a.png", "a/../../b.png", "a\\b.png", "a\ud83d.png", "a\0")
    ],
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_no_rule_repairs_is_unusable_for_a_named_reason(kind):
    for odd in UNUSABLE[kind]:
        with pytest.raises(Unusable, match=f"^{kind}$"):
            clean(odd, 0)


def official_first_message(messages: list[str]) -> str:
    """LLaVA's preprocess_multimodal as it is described: each message's placeholder goes to its front, once."""
    text = messages[0]
    return f"{PLACEHOLDER}\n{text.replace(PLACEHOLDER, '').strip()}".strip() if PLACEHOLDER in text else text


def test_the_first_message_is_as_llava_would_read_it():
    generator = random.Random(0)
    for _ in range(300):
        pieces = generator.choices([PLACEHOLDER, "\n", " ", "What is it?", "Now"], k=generator.randint(0, 5))
        first = "".join([*pieces, PLACEHOLDER])
        (asked, _), *_ = clean(row("1", "a.png", first, "yes"), 0).conversation.turns
        assert f"{PLACEHOLDER}\n{asked}".strip() == official_first_message([first, "yes"])
