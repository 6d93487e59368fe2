"""What is wrong with a training set or a disk is told before the first step, all at once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from steering.data.collate import Sample, collate
from steering.data.conversations import Conversation
from steering.data.templates import Scribe, template_named
from steering.errors import DataError, SteeringError
from steering.model.limits import Limits
from steering.train.checks import Census, bytes_in, census, require_space, run_bytes

PICTURE = 5
WIDE = Limits(vocabulary=10_000)
TALK = (("What is it?", "a red bus"), ("Where?", "here"), ("And how many?", "two or three"))


@pytest.fixture(params=["chatml", "vicuna"])
def scribe(request: pytest.FixtureRequest, tokenizer: Any) -> Scribe:
    return Scribe(tokenizer, template_named(request.param))


@pytest.fixture
def plain(tokenizer: Any) -> Scribe:
    return Scribe(tokenizer, template_named("plain"))


@pytest.fixture
def chatml(tokenizer: Any) -> Scribe:
    return Scribe(tokenizer, template_named("chatml"))


def talk(name: str = "c", image: str | None = "coco/1.jpg", turns: Iterable[tuple[str, str]] = TALK) -> Conversation:
    return Conversation(name, image, tuple(turns))


def counted(conversations: list[Conversation], scribe: Scribe, **options: Any) -> Census:
    told: dict[str, Any] = {"places": lambda picture: PICTURE, "limits": WIDE, **options}
    return census(conversations, scribe, **told)


def refusal(conversations: list[Conversation], scribe: Scribe, **options: Any) -> str:
    with pytest.raises(DataError) as refused:
        counted(conversations, scribe, **options)
    return str(refused.value)


def laid_out(conversation: Conversation, scribe: Scribe, *, independent: bool = True) -> Sample:
    pictured = conversation.image is not None
    turns = tuple(
        scribe.turn(asked, told, pictured=pictured, later=number > 0 and not independent)
        for number, (asked, told) in enumerate(conversation.turns)
    )
    opening = scribe.opening if pictured else scribe.text_opening
    return Sample(opening, turns, torch.zeros(PICTURE, 8) if pictured else None)


@pytest.mark.parametrize("independent", [True, False])
def test_lengths_and_supervised_tokens_are_those_of_the_batches(scribe: Scribe, independent: bool) -> None:
    """Of a batch, supervised is what the composed model's loss counts: answers but in the first column."""
    conversations = [talk(), talk(image=None), talk(turns=TALK[:1])]
    found = counted(conversations, scribe, independent=independent)
    laid = [laid_out(conversation, scribe, independent=independent) for conversation in conversations]
    batches = [collate([sample], independent=independent) for sample in laid]
    assert found.lengths == [batch.tokens for batch in batches]
    assert found.supervised_tokens == sum(int(batch.marks.answer[:, 1:].sum()) for batch in batches)
    assert (found.conversations, found.turns, found.text_only) == (3, 7, 1)


def test_an_answer_that_nothing_predicts_is_not_counted(plain: Scribe) -> None:
    caption = talk(image=None, turns=[("", "a bus")])
    batch = collate([laid_out(caption, plain)])
    assert counted([caption], plain).supervised_tokens == int(batch.marks.answer[:, 1:].sum()) == batch.tokens - 1


@pytest.mark.parametrize("independent", [True, False])
def test_what_is_supervised_is_the_answer_as_written_and_never_searched_for(scribe: Scribe, independent: bool) -> None:
    """Were the answer looked for in the whole text, the question that says the same words would be met first."""
    echo = talk(turns=[("a bus", "a bus"), ("say: a bus", "a bus")])
    written = laid_out(echo, scribe)
    batch = collate([written], independent=independent)
    assert batch.input_ids[batch.marks.answer].tolist() == [token for turn in written.turns for token in turn.answer]
    found = counted([echo], scribe, independent=independent)
    assert found.supervised_tokens == sum(len(turn.answer) for turn in written.turns)


class Spy:
    """A tokenizer that remembers the texts it was given."""

    def __init__(self, tokenizer: Any):
        self.tokenizer, self.texts = tokenizer, Counter[str]()

    def __call__(self, text: str, **options: Any) -> Any:
        self.texts[text] += 1
        return self.tokenizer(text, **options)


@pytest.mark.parametrize("independent", [True, False])
def test_each_text_is_tokenised_once(tokenizer: Any, independent: bool) -> None:
    spy: Any = Spy(tokenizer)
    scribe = Scribe(spy, template_named("vicuna"))
    spy.texts.clear()
    counted([talk()], scribe, independent=independent)
    first, *later = [f"{asked} ASSISTANT:" for asked, _ in TALK]
    opens = "\n" if independent else "USER: "
    asked = [f"\n{first}", *(f"{opens}{question}" for question in later)]
    assert spy.texts == Counter([*asked, *(f" ASSISTANT: {told}" for _, told in TALK), " ASSISTANT:"])


@pytest.mark.parametrize("answer", ["", " ", "\n\t"])
def test_an_empty_answer_is_told(scribe: Scribe, answer: str) -> None:
    told = refusal([talk("a"), talk("b", turns=[TALK[0], ("Where?", answer)])], scribe)
    assert told == (
        "training set: 1 of 2 conversations cannot be used\n"
        "  empty answer: 1; allowed some text in every answer\n"
        "    b (turn 2)"
    )


def test_an_answer_that_the_tokenizer_drops_is_told() -> None:
    words = Tokenizer(models.WordLevel({"yes": 0, "?": 1, "</s>": 2}, unk_token="?"))
    words.normalizer = normalizers.Replace("\u200b", "")
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(["</s>"])
    scribe = Scribe(PreTrainedTokenizerFast(tokenizer_object=words), template_named("vicuna"))
    told = refusal([talk("a", turns=[("Is it?", "yes")]), talk("b", turns=[("Is it?", "\u200b")])], scribe)
    assert "1 of 2" in told
    assert "answer without a token of its own: 1; allowed" in told
    assert "b (turn 1)" in told


def test_a_conversation_without_a_turn_is_told(scribe: Scribe) -> None:
    assert "no turn: 1; allowed a question and its answer" in refusal([talk("a"), talk("b", turns=[])], scribe)


def test_independent_turns_without_a_question_are_told_and_sequential_ones_are_not(plain: Scribe) -> None:
    captions = talk("b", turns=[("", "a bus"), ("", "a car")])
    told = refusal([captions, talk("a", turns=TALK[:1])], plain)
    assert "turn without a question: 1; allowed" in told
    assert "b (turn 1)" in told
    with pytest.raises(DataError, match="without a question"):
        collate([laid_out(captions, plain)])
    assert counted([captions], plain, independent=False).turns == 2


def test_a_picture_that_cannot_be_had_is_told(scribe: Scribe) -> None:
    told = refusal([talk("a"), talk("b", "gqa/9.jpg")], scribe, places={"coco/1.jpg": PICTURE}.get)
    assert "unknown picture: 1; allowed pictures that the archive" in told
    assert "b (gqa/9.jpg)" in told


def test_text_alone_asks_for_no_picture(scribe: Scribe) -> None:
    def places(picture: str) -> int:
        raise AssertionError(picture)

    assert counted([talk(image=None)], scribe, places=places).text_only == 1


def test_a_data_set_that_is_not_there_says_so_itself(scribe: Scribe) -> None:
    def places(picture: str) -> int:
        raise DataError("data/w/coco/images.parquet: not found")

    assert refusal([talk()], scribe, places=places) == "data/w/coco/images.parquet: not found"


@pytest.mark.parametrize("independent", [True, False])
def test_the_window_is_the_highest_position_a_token_stands_at(scribe: Scribe, independent: bool) -> None:
    batch = collate([laid_out(talk(), scribe, independent=independent)], independent=independent)
    reach = int(batch.position_ids.max()) + 1
    assert counted([talk()], scribe, independent=independent, limits=Limits(10_000, window=reach))
    told = refusal([talk("b")], scribe, independent=independent, limits=Limits(10_000, window=reach - 1))
    assert f"longer than the window: 1; allowed {reach - 1} positions" in told
    assert f"b ({reach} positions)" in told


def test_a_sliding_window_counts_all_turns_together(scribe: Scribe) -> None:
    length = counted([talk()], scribe).lengths[0]
    assert counted([talk()], scribe, limits=Limits(10_000, row=length))
    told = refusal([talk("b")], scribe, limits=Limits(10_000, row=length - 1))
    assert f"longer than the sliding window: 1; allowed {length - 1} positions" in told


def test_a_token_that_the_model_does_not_know_is_told(chatml: Scribe) -> None:
    closing = chatml.closing[0]
    assert counted([talk()], chatml, limits=Limits(closing + 1))
    told = refusal([talk("b")], chatml, limits=Limits(closing))
    assert f"token outside the vocabulary: 1; allowed ids below {closing}" in told
    assert f"b (id {closing})" in told


def test_all_kinds_are_told_at_once_with_their_counts_and_the_first_few(chatml: Scribe) -> None:
    empty = [talk(f"e{number}", turns=[("Where?", " ")]) for number in range(8)]
    bare = [talk("n", turns=[])]
    both = [talk("x", "gqa/9.jpg", turns=[("Where?", ""), ("And?", "")])]
    told = refusal([talk("a"), *empty, *bare, *both], chatml, places={"coco/1.jpg": PICTURE}.get).splitlines()
    assert told[0] == "training set: 10 of 11 conversations cannot be used"
    assert [line.split(";")[0] for line in told[1::2]] == ["  no turn: 1", "  empty answer: 9", "  unknown picture: 1"]
    assert told[2::2] == [
        "    n",
        "    e0 (turn 1), e1 (turn 1), e2 (turn 1), e3 (turn 1), e4 (turn 1) and 4 more",
        "    x (gqa/9.jpg)",
    ]


def test_an_empty_set_has_nothing_wrong(chatml: Scribe) -> None:
    assert counted([], chatml) == Census([], supervised_tokens=0, turns=0, text_only=0)


def test_a_census_says_how_far_it_is(chatml: Scribe, capsys: pytest.CaptureFixture) -> None:
    counted([talk(), talk()], chatml)
    assert "conversations checked: 2/2" in capsys.readouterr().err


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Path]]:
    """free(n): every disk has n bytes free; the list fills with the places asked for."""

    def let(free_bytes: int) -> list[Path]:
        asked: list[Path] = []
        monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or SimpleNamespace(free=free_bytes))
        return asked

    return let


def test_too_small_a_disk_is_told_with_what_there_is_and_what_it_takes(tmp_path: Path, free: Callable) -> None:
    free(3_400_000_000)
    with pytest.raises(SteeringError) as refused:
        require_space(tmp_path / "run", 12_000_000_000, what="the run embedded/lora")
    assert str(refused.value) == (
        f"{tmp_path}/run: 3.4 GB free on its disk; the run embedded/lora needs 12.0 GB, and 700 MB to spare; "
        "free some space, then run again"
    )


def test_room_for_the_run_and_its_margin_is_enough(tmp_path: Path, free: Callable) -> None:
    free(1_150_000_000)
    require_space(tmp_path, 1_000_000_000, what="a run")
    free(1_150_000_000 - 1)
    with pytest.raises(SteeringError, match="1.1 GB free"):
        require_space(tmp_path, 1_000_000_000, what="a run")


def test_a_folder_that_is_not_there_yet_is_asked_of_the_one_that_will_hold_it(tmp_path: Path, free: Callable) -> None:
    asked = free(10**12)
    require_space(tmp_path / "a" / "b", 1, what="a run")
    assert asked == [tmp_path]


def test_the_disk_is_asked_for_true(tmp_path: Path) -> None:
    require_space(tmp_path, 0, what="a run")
    with pytest.raises(SteeringError, match="free on its disk"):
        require_space(tmp_path, 10**18, what="a run")


def test_a_run_takes_three_checkpoints_with_their_moments_and_the_result_twice() -> None:
    assert run_bytes(1000) == 3 * (4000 + 8000) + 2 * 4000
    assert run_bytes(1000, bytes_each=2, kept=1) == 2 * (2000 + 8000) + 2 * 2000


def test_what_an_earlier_attempt_left_is_counted(tmp_path: Path) -> None:
    assert bytes_in(tmp_path / "nowhere") == 0
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"12")
    assert bytes_in(tmp_path) == 7
