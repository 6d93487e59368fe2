"""The supervised span token by token, and prediction that sees exactly what training saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from steering.data.templates import SYSTEM, TEMPLATES, Scribe, Template, template_named
from steering.errors import DataError, ParamsError

ASKING = [name for name, template in TEMPLATES.items() if template.asks]
QUESTION, ANSWER = "What is it?", "a red bus"


def spelled(tokenizer: Any, ids: tuple[int, ...]) -> list[str]:
    """Each token by itself: a letter, or a special token's name."""
    return [tokenizer.decode([token]) for token in ids]


@pytest.fixture
def tokenizer(make_tokenizer: Callable) -> Any:
    """One token per byte and one per special token, Gemma's <eos> among them."""
    made = make_tokenizer()
    made.add_special_tokens({"eos_token": "<eos>"})
    return made


@pytest.fixture
def chatml(tokenizer: Any) -> Scribe:
    return Scribe(tokenizer, template_named("chatml"))


def test_chatml_is_written_token_by_token(chatml: Scribe, tokenizer: Any) -> None:
    turn = chatml.turn("ab?", "yes")
    assert spelled(tokenizer, chatml.opening) == ["<|im_start|>", *"user\n"]
    assert spelled(tokenizer, turn.question) == [
        *"\nab?",
        "<|im_end|>",
        "\n",
        "<|im_start|>",
        *"assistant\n",
    ]
    assert spelled(tokenizer, turn.answer) == [*"yes", "<|im_end|>"]


@pytest.mark.parametrize(("name", "end"), [("vicuna", "</s>"), ("phi", "<|endoftext|>"), ("gemma", "<eos>")])
def test_llavas_words_are_written_token_by_token(name: str, end: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    turn = scribe.turn("ab?", "yes")
    assert spelled(tokenizer, scribe.opening + turn.question) == [*SYSTEM, *" USER: ", *"\nab?", *" ASSISTANT:"]
    assert spelled(tokenizer, turn.answer) == [*" yes", end]
    assert spelled(tokenizer, scribe.turn("ab?", later=True).question) == [*"USER: ab? ASSISTANT:"]


@pytest.mark.parametrize("name", ["vicuna", "phi", "gemma"])
def test_a_question_without_a_picture_stands_right_behind_the_opening(name: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    asked = scribe.text_opening + scribe.turn("ab?", pictured=False).question
    assert spelled(tokenizer, asked) == [*SYSTEM, *" USER: ab? ASSISTANT:"]


def test_a_later_turn_of_chatml_opens_its_own(chatml: Scribe, tokenizer: Any) -> None:
    opens = ["\n", "<|im_start|>", *"user\n"]
    assert spelled(tokenizer, chatml.turn("ab?", later=True).question)[: len(opens) + 3] == [*opens, *"ab?"]


WORDS = ["<unk>", "</s>", "▁USER:", "▁ASSISTANT:", "▁yes", "yes", "▁ab?", "ab?", "▁", "\n"]


@pytest.fixture
def wordy() -> PreTrainedTokenizerFast:
    """A token for each word with the blank before it, and a blank before every text, as Llama's tokenizer has it."""
    vocabulary = {word: number for number, word in enumerate([*WORDS, *(f"▁{word}" for word in SYSTEM.split())])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.add_special_tokens(["</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=made)


def test_the_blank_before_an_answer_is_part_of_its_first_token(wordy: PreTrainedTokenizerFast) -> None:
    scribe = Scribe(wordy, template_named("vicuna"))
    said = wordy.convert_ids_to_tokens(list(scribe.turn("ab?", "yes").answer))
    asked = wordy.convert_ids_to_tokens(list(scribe.turn("ab?", pictured=False).question))
    assert said == ["▁yes", "</s>"]
    assert asked == ["▁ab?", "▁ASSISTANT:"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_model_said_comes_back_as_it_was(name: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    assert scribe.read(list(scribe.turn(QUESTION, ANSWER).answer)) == ANSWER


def test_a_template_of_another_family_is_refused(make_tokenizer: Callable) -> None:
    with pytest.raises(DataError, match="template gemma: '<eos>' is not one token"):
        Scribe(make_tokenizer(), template_named("gemma"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_is_its_text_and_the_closing(name: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    turn = scribe.turn(QUESTION, ANSWER)
    assert turn.answer == tuple(tokenizer(TEMPLATES[name].lead + ANSWER)["input_ids"]) + scribe.closing
    assert tokenizer.decode(scribe.closing) == TEMPLATES[name].closing


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("pictured", [True, False])
def test_prediction_sees_what_training_saw(name: str, pictured: bool, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    taught, asked = scribe.turn(QUESTION, ANSWER, pictured=pictured), scribe.turn(QUESTION, pictured=pictured)
    whole = taught.question + taught.answer
    assert asked.answer == ()
    assert whole[: len(asked.question)] == asked.question == taught.question


@pytest.mark.parametrize("name", ASKING)
def test_only_a_pictured_question_begins_behind_a_picture(name: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    template = TEMPLATES[name]
    before = tuple(tokenizer(template.before)["input_ids"])
    blank = tuple(tokenizer(template.opening[len(template.opening.rstrip(" ")) :])["input_ids"])
    assert blank + scribe.turn(QUESTION).question[len(before) :] == scribe.turn(QUESTION, pictured=False).question
    assert scribe.turn(QUESTION).question[: len(before)] == before


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("question", [QUESTION, "\n\n", "USER: ASSISTANT:"])
def test_a_question_stands_between_what_is_the_templates_alone(name: str, question: str, tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named(name))
    before, after = scribe.framing(question)
    ids = scribe.turn(question).question
    assert tokenizer.decode(ids[before : len(ids) - after]) == question
    assert Scribe(tokenizer, template_named("plain")).framing(question) == (0, 0)


def test_texts_are_those_of_single_tokens_and_nothing_where_hidden(chatml: Scribe) -> None:
    ids = list(chatml.turn("ab", "c").answer)
    assert chatml.texts(ids, hidden=[False, True]) == ["c", ""]


def test_plain_drops_the_question(tokenizer: Any) -> None:
    scribe = Scribe(tokenizer, template_named("plain"))
    turn = scribe.turn("Describe the picture.", "a bus")
    assert (scribe.opening, turn.question) == ((), ())
    assert spelled(tokenizer, turn.answer) == [*"a bus", "\n"]


@pytest.mark.parametrize("answer", ["", " ", "\n\t"])
def test_an_empty_answer_is_refused_with_its_question(answer: str, chatml: Scribe) -> None:
    with pytest.raises(DataError, match="empty answer to 'What is it"):
        chatml.turn(QUESTION, answer)


def test_what_a_model_said_may_be_nothing_but_the_closing(chatml: Scribe) -> None:
    assert chatml.replay(QUESTION, "").answer == chatml.closing
    assert chatml.replay(QUESTION, "red") == chatml.turn(QUESTION, "red")


@pytest.mark.parametrize(("form", "opens"), [("$A", ()), ("<s> $A", (256,)), ("<s> $A </s>", (256,)), ("$A </s>", ())])
@pytest.mark.parametrize("name", ["vicuna", "plain"])
def test_the_beginning_of_sequence_is_written_once_and_no_end(
    name: str, form: str, opens: tuple[int, ...], make_tokenizer: Callable, tokenizer: Any
) -> None:
    scribe, bare = Scribe(make_tokenizer(form), template_named(name)), Scribe(tokenizer, template_named(name))
    assert scribe.opening == opens + bare.opening
    assert scribe.turn(QUESTION, ANSWER) == bare.turn(QUESTION, ANSWER)


def test_generated_tokens_are_read_up_to_the_closing(chatml: Scribe, tokenizer: Any) -> None:
    said = list(chatml.turn(QUESTION, " a bus\n").answer)
    assert chatml.read(said) == "a bus"
    assert chatml.read([*said, *tokenizer("more")["input_ids"]]) == "a bus"
    assert chatml.read(said[:-1]) == "a bus"
    assert chatml.read([]) == chatml.read(said[-1:]) == ""


def test_special_tokens_are_not_read(chatml: Scribe, tokenizer: Any) -> None:
    assert chatml.read(tokenizer("</s>a<|im_start|>")["input_ids"]) == "a"


def test_text_of_any_script_is_read_as_it_was_written(chatml: Scribe) -> None:
    assert chatml.read(list(chatml.turn(QUESTION, "Öl, 水 and\ttab").answer)) == "Öl, 水 and\ttab"


def test_a_closing_of_many_tokens_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="template odd: '<end>' is not one token"):
        Scribe(tokenizer, Template("odd", "", "", "", closing="<end>"))


def test_a_closing_without_tokens_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="template odd: its closing '' gives no token"):
        Scribe(tokenizer, Template("odd", "", "", "", closing="", asks=False))


def test_an_unknown_template_is_refused_with_those_allowed() -> None:
    with pytest.raises(ParamsError, match="alpaca is unknown; allowed: plain, chatml, vicuna, phi, gemma, tokenizer"):
        template_named("alpaca")
