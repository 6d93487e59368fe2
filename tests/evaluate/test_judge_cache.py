"""A judge's replies are kept in a file: none is asked for twice, whatever was killed, and the key is never in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from steering.evaluate.judge import Cache, JudgeError, JudgeQuestion, ask_judge
from steering.evaluate.judge.cache import RECORD
from tests.evaluate.judge_endpoint import KEY, ask, number, question, reply, settings


def test_a_kept_reply_is_not_asked_again_and_needs_no_key(endpoint, tmp_path, monkeypatch):
    first = ask(endpoint, tmp_path)
    monkeypatch.delenv("JUDGE_KEY")
    assert ask(endpoint, tmp_path) == first
    assert len(endpoint.requests) == 1


def test_prompt_model_parameters_and_prediction_each_make_another_question(endpoint, tmp_path):
    ask(endpoint, tmp_path)
    ask(endpoint, tmp_path, model="other")
    ask(endpoint, tmp_path, parameters={"seed": 1})
    ask(endpoint, tmp_path, JudgeQuestion("q1", "prompt of q1", "another"))
    ask(endpoint, tmp_path, JudgeQuestion("q1", "another", "prediction of q1"))
    assert len(endpoint.requests) == 5


def test_one_question_under_two_ids_is_asked_once(endpoint, tmp_path):
    same = [JudgeQuestion(name, "prompt", "prediction") for name in ("a", "b")]
    assert {name: found.value for name, found in ask(endpoint, tmp_path, *same).items()} == {"a": 0.5, "b": 0.5}
    assert len(endpoint.requests) == 1


def test_a_line_that_a_kill_cut_short_is_asked_anew_and_the_rest_is_kept(endpoint, tmp_path):
    asked = [question(f"q{n}") for n in range(3)]
    ask(endpoint, tmp_path, *asked, parallel=1)
    path = tmp_path / "cache" / "judge.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert {one.value for one in ask(endpoint, tmp_path, *asked).values()} == {0.5}
    assert len(endpoint.requests) == 4
    assert {one.value for one in ask(endpoint, tmp_path, *asked).values()} == {0.5}
    assert len(endpoint.requests) == 4


def test_two_jobs_may_keep_replies_in_one_file(tmp_path):
    path = tmp_path / "judge.jsonl"
    caches = [Cache(path), Cache(path)]

    def keep(which):
        for n in range(50):
            caches[which].append(dict.fromkeys(RECORD, "x") | {"key": f"{which}/{n}", "reply": "y" * 5000})

    threads = [threading.Thread(target=keep, args=[which]) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Cache(path).records.keys() == {f"{which}/{n}" for which in (0, 1) for n in range(50)}


KILLED = """
import os, sys
from steering.evaluate.judge import JudgeQuestion, JudgeSettings, ask_judge
from pathlib import Path
def read(text, seen=[]):
    seen.append(text)
    if len(seen) > 3:
        os.kill(os.getpid(), 9)
    return float(text)
asked = [JudgeQuestion(f"q{n}", f"prompt of q{n}", f"prediction of q{n}") for n in range(6)]
settings = JudgeSettings(sys.argv[1], "gpt", "JUDGE_KEY", parallel=1)
ask_judge(settings, asked, read=read, cache=Path(sys.argv[2]))
"""


def test_a_killed_job_goes_on_where_it_was(endpoint, tmp_path):
    path = tmp_path / "cache" / "judge.jsonl"
    done = subprocess.run([sys.executable, "-c", KILLED, endpoint.url, str(path)], check=False, timeout=60)
    assert (done.returncode, len(endpoint.requests)) == (-9, 4)
    assert len(Cache(path).records) == 3
    ask(endpoint, tmp_path, *(question(f"q{n}") for n in range(6)))
    assert len(endpoint.requests) == 7


def test_the_cache_says_what_was_asked_of_whom_and_never_the_key(endpoint, tmp_path, capfd):
    endpoint.script = [reply(f"0.5 {KEY}")]
    ask_judge(settings(endpoint), [question()], read=lambda text: 0.5, cache=tmp_path / "judge.jsonl")
    text = (tmp_path / "judge.jsonl").read_text()
    record = json.loads(text)
    assert tuple(record) == RECORD
    assert (record["model"], record["prediction"], record["served_by"]) == ("gpt", "prediction of q1", "judge-0613")
    assert KEY not in text + repr(settings(endpoint)) + "".join(capfd.readouterr())


def test_a_file_that_is_no_cache_is_left_alone(endpoint, tmp_path):
    path = tmp_path / "notes.txt"
    for text in ("my notes\n", '{"id": 1}\n'):
        path.write_text(text)
        with pytest.raises(JudgeError, match=r"notes\.txt:1: no judge's reply; the cache takes a file of its own"):
            ask_judge(settings(endpoint), [question()], read=number, cache=path)
        assert path.read_text() == text
    assert endpoint.requests == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_full_disk_is_told_and_ends_the_asking(endpoint, tmp_path):
    (tmp_path / "judge.jsonl").symlink_to("/dev/full")
    cache = Cache(tmp_path / "none.jsonl")
    cache.path = tmp_path / "judge.jsonl"
    with pytest.raises(JudgeError, match="cannot be written: No space left"):
        cache.append(dict.fromkeys(RECORD, "x"))
