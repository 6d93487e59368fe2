"""Conversation templates: how a picture, a question and an answer are written for a language model.

A template is a few strings; every piece is tokenised by itself and the pieces are laid end to end, so the supervised
span (the answer and the token that ends it) is known by construction and never searched for, and prediction sees
exactly the tokens that training saw. Where a blank stands before an answer, it belongs to the answer's first token, as
in LLaVA's labels.

vicuna, phi and gemma are LLaVA's v1 conversation, system sentence included, with the base's own end of text
(TinyLLaVA Factory): vicuna for Llama, Vicuna and TinyLlama, phi for Phi and StableLM, gemma for Gemma and Gemma 2.
chatml is what Qwen and SmolLM were tuned on, without a system turn. tokenizer is the base's own chat template
(steering.data.chat_template).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from transformers import PreTrainedTokenizerBase

from steering.errors import DataError, ParamsError

OWN = "tokenizer"
"""The name of whatever template the tokenizer itself has."""

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True)
class Template:
    """`opening` <picture> `before` question `after` `lead` answer `closing`, then `again` question `after` ...

    `asks` is False where the question is dropped (captions). `lead` is tokenised with the answer, as part of it;
    `closing` ends an answer; `again` opens every later turn of a conversation in place of `opening` and `before`.
    """

    name: str
    opening: str
    before: str
    after: str
    closing: str
    again: str = ""
    lead: str = ""
    asks: bool = True


def _llava(name: str, closing: str) -> Template:
    return Template(name, f"{SYSTEM} USER: ", "\n", " ASSISTANT:", closing, again="USER: ", lead=" ")


USER, ASSISTANT, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"
TEMPLATES = {
    template.name: template
    for template in (
        Template("plain", opening="", before="", after="", closing="\n", asks=False),
        Template("chatml", USER, "\n", f"{END}\n{ASSISTANT}", END, again=f"\n{USER}"),
        _llava("vicuna", "</s>"),
        _llava("phi", "<|endoftext|>"),
        _llava("gemma", "<eos>"),
    )
}


@dataclass(frozen=True)
class Turn:
    """One question, as token ids; `answer` ends with the template's closing and may be empty when predicting."""

    question: tuple[int, ...]
    answer: tuple[int, ...] = ()


def template_named(name: str, tokenizer: PreTrainedTokenizerBase | None = None) -> Template:
    """Raises ParamsError for an unknown one, DataError where *tokenizer* has none that can be written in pieces."""
    if name == OWN and tokenizer is not None:
        from steering.data.chat_template import template_of

        return template_of(tokenizer)
    if name not in TEMPLATES:
        raise ParamsError([f"template: {name} is unknown; allowed: {', '.join((*TEMPLATES, OWN))}"])
    return TEMPLATES[name]


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two texts have in common before they part."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


class Scribe:
    """Writes conversations as token ids with one tokenizer and one template.

    opening: what stands before a picture; text_opening: before a question without one, whose blank is the question's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: Template):
        self.tokenizer = tokenizer
        self.template = template
        self._contexts: dict[str, tuple[int, ...]] = {}
        self.start = self._bos()
        self.opening = self.start + self._ids(template.opening)
        self.text_opening = self.start + self._ids(template.opening.rstrip(" "))
        self.closing = self._ids(template.closing)
        if not self.closing:
            raise DataError(f"template {template.name}: its closing {template.closing!r} gives no token")
        if template.asks and len(self.closing) > 1:
            raise DataError(f"template {template.name}: {template.closing!r} is not one token of this tokenizer")

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def _behind(self, context: str, text: str) -> tuple[int, ...]:
        """Token ids of *text* as it stands behind *context*, of which they are no part."""
        if context not in self._contexts:
            self._contexts[context] = self._ids(context)
        before, whole = self._contexts[context], self._ids(context + text)
        return whole[len(before) :] if whole[: len(before)] == before else self._ids(text)

    def bare(self, text: str) -> list[int]:
        """Token ids of *text* without a template, behind what the tokenizer writes before a text."""
        return [*self.start, *self._ids(text)]

    def _bos(self) -> tuple[int, ...]:
        """What the tokenizer writes before a text; what it writes behind one is not ours."""
        whole, text = (self.tokenizer("a", add_special_tokens=special)["input_ids"] for special in (True, False))
        starts = (at for at in range(len(whole)) if whole[at : at + len(text)] == text)
        return tuple(whole[: next(starts, 0)])

    def turn(self, question: str, answer: str | None = None, *, pictured: bool = True, later: bool = False) -> Turn:
        """Token ids of one question, with its answer when there is one to teach.

        later: behind another turn, and not the first of its conversation. Raises DataError for an empty answer.
        """
        if answer is None:
            return Turn(self._asked(question, pictured=pictured, later=later))
        if not answer.strip():
            raise DataError(f"an empty answer to {question!r}: nothing to learn")
        return self.replay(question, answer, pictured=pictured, later=later)

    def replay(self, question: str, said: str, *, pictured: bool = True, later: bool = False) -> Turn:
        """Token ids of one question with what a model answered, which may be nothing but the closing."""
        lead, after = self.template.lead, self.template.after
        answer = self._behind(after, lead + said) if lead and said else self._ids(said)
        return Turn(self._asked(question, pictured=pictured, later=later), answer + self.closing)

    def _asked(self, question: str, *, pictured: bool, later: bool) -> tuple[int, ...]:
        template = self.template
        if not template.asks:
            return ()
        text = question + template.after
        if later:
            return self._ids(template.again + text)
        return self._ids(template.before + text) if pictured else self._opens(text)

    def framing(self, question: str) -> tuple[int, int]:
        """How many ids of a pictured turn's question, at its start and at its end, are the template's alone.

        An id that holds some of both is the question's.
        """
        whole = self._asked(question, pictured=True, later=False)
        front = _shared(self._ids(self.template.before), whole)
        return front, _shared(self._ids(self.template.after)[::-1], whole[front:][::-1])

    def texts(self, ids: Sequence[int], *, hidden: Sequence[bool]) -> list[str]:
        """What each of *ids* says by itself; nothing where it is hidden, as the places of a picture are."""
        return ["" if away else str(self.tokenizer.decode([one])) for one, away in zip(ids, hidden, strict=True)]

    def _opens(self, text: str) -> tuple[int, ...]:
        """A question without a picture, right behind the opening."""
        opening = self.template.opening
        words = opening.rstrip(" ")
        return self._ids(text) if words == opening else self._behind(words, opening[len(words) :] + text)

    def read(self, ids: list[int]) -> str:
        """The text of generated *ids* up to the closing."""
        end = self.closing[0]
        kept = ids[: ids.index(end)] if end in ids else ids
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()
