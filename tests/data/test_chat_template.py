"""A tokenizer's own chat template in pieces gives, token for token, what the tokenizer renders; others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from steering.data.chat_template import template_of
from steering.data.templates import OWN, TEMPLATES, Scribe, template_named
from steering.errors import DataError

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SYSTEM_FIRST = "{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}" + CHATML
BEGUN = "{{ bos_token }}" + CHATML
SHOUTED = CHATML.replace("m['content']", "m['content'] | upper")
THINKING = CHATML.replace("'<|im_start|>assistant\\n' }}{% endif", "'<|im_start|>assistant\\n<think>' }}{% endif")
ENDLESS = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture
def tokenizer(make_tokenizer) -> Any:
    return make_tokenizer()


def with_template(tokenizer: Any, text: str | None) -> Any:
    tokenizer.chat_template = text
    return tokenizer


def test_chatml_is_found_as_it_is_written_here(tokenizer):
    found, ours = template_of(with_template(tokenizer, CHATML)), TEMPLATES["chatml"]
    for piece in ("opening", "before", "after", "closing", "again", "lead"):
        assert getattr(found, piece) == getattr(ours, piece), piece


def test_a_system_turn_of_the_template_stands_before_the_first_question_alone(tokenizer):
    found = template_of(with_template(tokenizer, SYSTEM_FIRST))
    assert found.opening == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
    assert "system" not in found.again


@pytest.mark.parametrize("text", [CHATML, SYSTEM_FIRST])
def test_two_turns_are_token_for_token_what_the_tokenizer_renders(text, tokenizer):
    scribe = Scribe(with_template(tokenizer, text), template_named(OWN, tokenizer))
    first = scribe.turn("How?", "So.", pictured=False)
    second = scribe.turn("Why?", "Thus.", pictured=False, later=True)
    ids = scribe.text_opening + first.question + first.answer + second.question + second.answer
    pairs = (("user", "How?"), ("assistant", "So."), ("user", "Why?"), ("assistant", "Thus."))
    rendered = tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in pairs], tokenize=False)
    assert tokenizer.decode(ids) == rendered.rstrip("\n")


def test_a_beginning_of_sequence_is_written_once(make_tokenizer):
    tokenizer = make_tokenizer("<s> $A")
    tokenizer.bos_token = "<s>"
    scribe = Scribe(with_template(tokenizer, BEGUN), template_named(OWN, tokenizer))
    assert tokenizer.decode(scribe.opening).count("<s>") == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "no chat template"),
        (SHOUTED, "does not write qqaskedqq"),
        (THINKING, "pieces do not give what the tokenizer renders"),
        (ENDLESS, "nothing ends an answer"),
    ],
)
def test_a_template_that_is_no_order_of_pieces_is_refused(text, why, tokenizer):
    with pytest.raises(DataError, match=why):
        template_of(with_template(tokenizer, text))
