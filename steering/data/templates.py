"""Conversation templates: how a picture, a question and an answer are written for a language model.

A template is four strings; every piece is tokenised by itself and the pieces are laid end to end, so the
supervised span (the answer and the token that ends it) is known by construction and never searched for, and
prediction sees exactly the tokens that training saw.

vicuna, phi and gemma are LLaVA's words with the base's own end of text (TinyLLaVA Factory): vicuna for Llama, Vicuna
and TinyLlama, phi for Phi and StableLM, gemma for Gemma and Gemma 2. chatml is what Qwen and SmolLM were tuned on.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from steering.errors import DataError, ParamsError


@dataclass(frozen=True)
class Template:
    """`opening` <picture> `before` question `after` answer `closing`.

    `asks` is False where the question is dropped (captions). `closing` ends an answer.
    """

    name: str
    opening: str
    before: str
    after: str
    closing: str
    asks: bool = True


TEMPLATES = {
    template.name: template
    for template in (
        Template("plain", opening="", before="", after="", closing="\n", asks=False),
        Template("chatml", "<|im_start|>user\n", "\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
        Template("vicuna", "USER: ", "\n", " ASSISTANT: ", "</s>"),
        Template("phi", "USER: ", "\n", " ASSISTANT: ", "<|endoftext|>"),
        Template("gemma", "USER: ", "\n", " ASSISTANT: ", "<eos>"),
    )
}


@dataclass(frozen=True)
class Turn:
    """One question, as token ids; `answer` ends with the template's closing and may be empty when predicting."""

    question: tuple[int, ...]
    answer: tuple[int, ...] = ()


def template_named(name: str) -> Template:
    if name not in TEMPLATES:
        raise ParamsError([f"template: {name} is unknown; allowed: {', '.join(TEMPLATES)}"])
    return TEMPLATES[name]


class Scribe:
    """Writes conversations as token ids with one tokenizer and one template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: Template):
        self.tokenizer = tokenizer
        self.template = template
        self.start = self._bos()
        self.opening = self.start + self._ids(template.opening)
        self.closing = self._ids(template.closing)
        if not self.closing:
            raise DataError(f"template {template.name}: its closing {template.closing!r} gives no token")
        if template.asks and len(self.closing) > 1:
            raise DataError(f"template {template.name}: {template.closing!r} is not one token of this tokenizer")

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    def bare(self, text: str) -> list[int]:
        """Token ids of *text* without a template, behind what the tokenizer writes before a text."""
        return [*self.start, *self._ids(text)]

    def _bos(self) -> tuple[int, ...]:
        """What the tokenizer writes before a text; what it writes behind one is not ours."""
        whole, text = (self.tokenizer("a", add_special_tokens=special)["input_ids"] for special in (True, False))
        starts = (at for at in range(len(whole)) if whole[at : at + len(text)] == text)
        return tuple(whole[: next(starts, 0)])

    def turn(self, question: str, answer: str | None = None, *, pictured: bool = True) -> Turn:
        """Token ids of one question, with its answer when there is one to teach.

        Raises DataError for an empty answer.
        """
        if answer is None:
            return Turn(self._asked(question, pictured=pictured))
        if not answer.strip():
            raise DataError(f"an empty answer to {question!r}: nothing to learn")
        return self.replay(question, answer, pictured=pictured)

    def replay(self, question: str, said: str, *, pictured: bool = True) -> Turn:
        """Token ids of one question with what a model answered, which may be nothing but the closing."""
        return Turn(self._asked(question, pictured=pictured), self._ids(said) + self.closing)

    def _asked(self, question: str, *, pictured: bool) -> tuple[int, ...]:
        template = self.template
        return self._ids(f"{template.before if pictured else ''}{question}{template.after}" if template.asks else "")

    def read(self, ids: list[int]) -> str:
        """The text of generated *ids* up to the closing."""
        end = self.closing[0]
        kept = ids[: ids.index(end)] if end in ids else ids
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()
