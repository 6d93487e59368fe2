"""The EvalAI normaliser of VQA answers, which brings different spellings of one answer together.

Rules, as published with the VQA evaluation code and used by LLaVA for VQAv2, TextVQA and VizWiz (confirmed, the table
of contractions too: m4c_evaluator.py; its rule for commas between digits never meets one, for all are gone by then):
lower case; commas and question marks go; the possessive 's becomes a word; a punctuation mark is dropped where
the text has it beside a space, else it becomes a space; a full stop goes unless a digit follows; number words
become digits; articles go; contractions get their apostrophes back.
"""

from __future__ import annotations

import re

PUNCTUATION = ';/[]"{}()=+\\_-><@`!'
FULL_STOP = re.compile(r"\.(?!\d)")
# The official code hands re.UNICODE (32) to re.sub as its count, so at most this many stops go.
FULL_STOPS_REMOVED = 32
ARTICLES = frozenset({"a", "an", "the"})
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {"none": "0"} | {word: str(n) for n, word in enumerate(NUMBER_WORDS)}

RIGHT_FORMS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _contractions() -> dict[str, str]:
    """{form with one apostrophe missing: right form}, the official table's rule, and its one backward entry."""
    table = {"somebody'd": "somebodyd"}
    for form in RIGHT_FORMS.split():
        for at in (i for i, letter in enumerate(form) if letter == "'"):
            table[form[:at] + form[at + 1 :]] = form
    return table


CONTRACTIONS = _contractions()


def normalise(answer: str) -> str:
    """*answer* as the official VQA scorers compare it (Antol et al. 2015; the EvalAI answer processor of MMF)."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = _without_punctuation(text.replace("\n", " ").replace("\t", " ").strip())
    words = (NUMBERS.get(word, word) for word in text.split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    cleaned = text
    for mark in PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_space else " ")
    return FULL_STOP.sub("", cleaned, count=FULL_STOPS_REMOVED)
