"""Progress says how far along it is and changes nothing else."""

from __future__ import annotations

import io

import pytest

from steering import progress as module
from steering.progress import progress


def lines(capsys: pytest.CaptureFixture) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("items", [[], [1], range(5), (n for n in range(3))])
def test_items_come_through_in_order(items) -> None:
    expected = list(items) if isinstance(items, list | range) else [0, 1, 2]
    assert list(progress(items, "item")) == expected


def test_a_log_gets_one_line_at_the_end(capsys: pytest.CaptureFixture) -> None:
    list(progress(range(4), "step"))
    (line,) = lines(capsys)
    assert line.startswith("step: 4/4, 0 s left (")


def test_what_was_done_before_is_counted(capsys: pytest.CaptureFixture) -> None:
    list(progress(range(7, 10), "step", start=7))
    assert lines(capsys)[0].startswith("step: 10/10")


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture) -> None:
    assert list(progress([], "step", start=3)) == []
    assert lines(capsys) == []


def test_long_work_says_how_much_is_left(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    list(progress(range(4), "step"))
    assert lines(capsys) == ["step: 2/4, 20 s left (10.00 s each)", "step: 4/4, 0 s left (10.00 s each)"]


def test_time_before_a_resume_is_not_counted(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    list(progress(range(100, 102), "step", start=100))
    assert lines(capsys) == ["step: 101/102, 20 s left (20.00 s each)", "step: 102/102, 0 s left (20.00 s each)"]


def test_work_of_unknown_length_says_how_much_is_done(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    list(progress((n for n in range(2)), "file"))
    assert lines(capsys) == ["file: 1 (20.00 s each)", "file: 2 (20.00 s each)"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(module.sys, "stderr", screen)
    assert list(progress(range(7, 9), "step", start=7)) == [7, 8]
    assert "9/9" in screen.getvalue()


def test_an_error_in_the_work_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        for item in progress(range(3), "step"):
            1 / (item - 1)


def test_of_several_processes_the_first_alone_speaks(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert list(progress(range(4), "step")) == [0, 1, 2, 3]
    assert lines(capsys) == []
