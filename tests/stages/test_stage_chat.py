"""A conversation in the terminal: answers are the run's own, orders change what is asked, faults are told in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_world import built, drawn
from tiny_world import MODEL

from stages import chat
from steering import layout
from steering.chat import session as sessions
from steering.chat.pictures import WorldPictures
from steering.chat.runs import Finished, default_run, finished_runs
from steering.chat.session import Session
from steering.data.collate import collate
from steering.errors import DataError, ParamsError
from steering.evaluate.generate import answer
from steering.evaluate.trained import trained
from steering.plan import Plan

QUESTION = "Is there a 1?"


@pytest.fixture(scope="module")
def world(tmp_path_factory, tokenizer, make_language_model, put_manifest) -> Iterator[tuple[Plan, list[Finished]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("chat"))
        yield built(make_language_model(), tokenizer, put_manifest)


@pytest.fixture(autouse=True)
def short(monkeypatch) -> None:
    """Random models seldom end an answer by themselves."""
    monkeypatch.setattr(sessions.Session.__init__, "__kwdefaults__", {"longest": 8})


@pytest.fixture
def hold(world, monkeypatch, capsys) -> Callable[..., str]:
    """What is shown in a conversation of these lines, an exception in place of a line being raised."""

    def typed(lines: Sequence[Any], *words: str) -> str:
        coming = iter(lines)

        def read(prompt: str) -> str:
            line = next(coming, EOFError())
            if isinstance(line, BaseException):
                raise line
            return str(line)

        monkeypatch.setattr("builtins.input", read)
        assert chat.main(words) == ""
        return capsys.readouterr().out

    return typed


def own_answer(arm: str, picture: str | None, question: str = QUESTION) -> str:
    """What prediction says: features from the file, the batch answer of steering.evaluate.generate."""
    finished = next(run for run in finished_runs() if run.arm == arm)
    model, samples = trained(finished.content, finished.folder)
    batch = collate([samples.sample(picture, [(question, None)])])
    ((ids,),) = answer(model, batch, max_new_tokens=8, closing=samples.scribe.closing[0])
    return samples.scribe.read(ids)


def test_the_default_is_the_first_finished_run_that_edits(world):
    plan, runs = world
    assert default_run(plan, runs).name == "tiny/mix/edit/seed0"
    assert default_run(plan, [run for run in runs if run.arm != "edit"]).arm == "low"
    assert default_run(plan, [run for run in runs if run.arm == "none"]).arm == "none"
    assert default_run(plan, [run for run in runs if run.arm == "whole"]).arm == "whole"  # of no experiment


@pytest.mark.parametrize("arm", ["none", "edit", "low", "seen", "whole"])
@pytest.mark.parametrize("picture", ["pictures/test/0.png", None])
def test_an_answer_is_the_one_of_prediction(arm, picture, world):
    plan, runs = world
    shown = None if picture is None else WorldPictures(plan, "tiny").own(picture)
    finished = next(run for run in runs if run.arm == arm)
    assert "".join(Session().answer(finished, shown, QUESTION)) == own_answer(arm, picture)


def test_arms_differ_by_strength_and_meet_in_the_base(world):
    plan, runs = world
    session, shown = Session(), WorldPictures(plan, "tiny").own("pictures/test/1.png")
    by_arm = {run.arm: run for run in runs}
    said = {
        (arm, s): "".join(session.answer(by_arm[arm], shown, QUESTION, strength=s))
        for arm in ("edit", "low", "seen")
        for s in (0, 0.5, 1, 2)
    }
    assert all(len({said[arm, s] for s in (0, 0.5, 1, 2)}) > 1 for arm in ("low", "seen"))
    assert said["edit", 1] == own_answer("edit", "pictures/test/1.png")
    zero = "".join(session.answer(by_arm["whole"], shown, QUESTION, strength=0))
    assert zero != "".join(session.answer(by_arm["whole"], shown, QUESTION)) == own_answer("whole", shown.name)


def test_full_leaves_the_base_that_others_share_alone(world):
    _, runs = world
    by_arm, session = {run.arm: run for run in runs}, Session()
    before = "".join(session.answer(by_arm["none"], None, QUESTION))
    session.load(by_arm["whole"])
    assert "".join(session.answer(by_arm["none"], None, QUESTION)) == before


def test_a_conversation_from_a_question_to_the_end_of_input(hold, tmp_path):
    (tmp_path / "mine.png").write_bytes(drawn("white"))
    said = hold([f"/picture {tmp_path / 'mine.png'}", QUESTION, "/strength 0.5", "/arm none", QUESTION, EOFError()])
    told = said.splitlines()
    assert told[0] == "tiny/mix/edit/seed0 (mores). A question a line; /help tells the rest."
    assert f"{tmp_path / 'mine.png'}: 40 x 40 pixels" in said
    assert own_answer("edit", "pictures/test/0.png") in said  # the same white square
    assert "  strength 0.5" in told and "  tiny/mix/none/seed0 (none)" in told
    assert own_answer("none", "pictures/test/0.png") in said


@pytest.mark.parametrize("end", ["/quit", EOFError(), KeyboardInterrupt()], ids=repr)
def test_a_conversation_ends_politely(end, hold):
    assert hold([end]).strip() == "tiny/mix/edit/seed0 (mores). A question a line; /help tells the rest."


def test_ctrl_c_cuts_an_answer_short_and_the_next_is_whole(hold, monkeypatch):
    whole, stream = own_answer("edit", None), sessions.stream

    def torn(*args: Any, **options: Any) -> Iterator[int]:
        monkeypatch.setattr(sessions, "stream", stream)
        yield from list(stream(*args, **options))[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "stream", torn)
    said = hold([QUESTION, QUESTION])
    assert " (cut short)\n" in said and f"\n{whole}\n" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/strenght 1", "/strenght: unknown; allowed /help"),
        ("/strenght 1", "did you mean /strength?"),
        ("/strength much", "strength: much; allowed a number from 0 on"),
        ("/strength -1", "strength: -1.0; allowed 0 or more"),
        ("/arm edti", "run: edti is not there (did you mean edit?); finished are\n  tiny/mix/edit/seed0\n"),
        ("/picture there.png", "there.png: not there; allowed a picture file"),
        ("/picture params.yaml", "params.yaml: no picture; allowed JPEG"),
        ("/picture ../../x/test/0.png", "not there"),
        ("/pictures", "pictures/test/0.png  Is there a"),
        ("/arms", "  tiny/mix/whole/seed0 (full)\n"),
        ("word " * 3000, "positions with its picture and answer; allowed 2,048, shorten it"),
    ],
)
def test_lines_and_what_they_are_told(line, told, hold):
    assert told in hold([line])


def test_a_strength_that_the_next_arm_has_not_is_changed_and_told(hold):
    assert "(full); strength 1, for it has no 2\n" in hold(["/strength 2", "/arm whole"])
    assert "strength: 0.5; allowed 0 or 1, for full is on or off" in hold(["/strength 0.5"], "tiny/mix/whole/seed0")
    assert own_answer("none", None) != own_answer("whole", None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tiny/mix/edti/seed0"], "did you mean tiny/mix/edit/seed0"),
        (["--prot", "1"], "--prot: unknown option"),
        (["--page", "--strength", "2"], "--page: with --picture or --strength"),
        (["--port", "x"], "invalid int value"),
    ],
)
def test_a_wrong_command_line_is_told_with_what_is_allowed(words, told, world):
    with pytest.raises(ParamsError, match=told):
        chat.main(words)


def test_the_finished_runs_are_listed(world):
    listed = {"edit": "mores", "low": "lora", "none": "none", "seen": "mrt", "whole": "full"}
    assert chat.main(["--list"]).splitlines() == [f"tiny/mix/{arm}/seed0 ({method})" for arm, method in listed.items()]


def test_without_a_finished_run_there_is_nobody_to_ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torn = layout.run("tiny", "mix", "edit", 0)
    torn.mkdir(parents=True)
    (torn / "manifest.json").write_text('{"slice": {"world": "tiny"}}')
    with pytest.raises(DataError, match="no finished run; `make run`"):
        finished_runs()


def test_a_picture_is_encoded_once_for_all_arms(world, monkeypatch):
    plan, runs = world
    session, shown = Session(), WorldPictures(plan, "tiny").own("pictures/test/0.png")
    session.load(runs[0])
    counted: list[Path] = []
    made = sessions.assemble.vision
    monkeypatch.setattr(
        sessions.assemble, "vision", lambda content: counted.append(Path(MODEL["world"])) or made(content)
    )
    for run in [run for run in runs if run.method != "mrt"] * 2:  # which edits within its own encoder
        list(session.answer(run, shown, QUESTION))
    assert len(counted) == 1


def test_the_page_s_address_is_told_and_ctrl_c_ends_it(world, monkeypatch, capsys):
    from steering.chat.server import Page

    def interrupted(page: Page) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Page, "serve_forever", interrupted)
    assert chat.main(["low", "--page", "--port", "0"]) == ""
    assert capsys.readouterr().out.startswith("tiny/mix/low/seed0 at http://127.0.0.1:")
