"""The judge against a loopback endpoint that also misbehaves: what is read, tried again, given up, kept and hidden."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import pytest

from steering.errors import DataError, ParamsError, SteeringError
from steering.evaluate.judge import (
    Cache,
    JudgeError,
    JudgePrompt,
    JudgeQuestion,
    JudgeSettings,
    Verdict,
    ask_judge,
    hallusion_outcome,
    hallusion_question,
    read_correctness,
    read_prompt,
    unscored,
)
from steering.evaluate.judge.asking import GIVE_UP_AFTER
from steering.evaluate.judge.cache import RECORD
from steering.evaluate.judge.hallusion import CORRECT, INCORRECT, UNCLEAR

KEY = "sk-very-secret-4711"


def reply(text, **more):
    return 200, {}, json.dumps({"model": "judge-0613", "choices": [{"message": {"content": text}}], **more}).encode()


class Endpoint(http.server.ThreadingHTTPServer):
    """Answers the n-th request with the n-th of *script* (the last for ever): (status, headers, body) or a callable."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.headers, self.paths = [reply("0.5")], [], [], []
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            at = len(self.server.requests)
            self.server.requests.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            self.answer(self.server.script[min(at, len(self.server.script) - 1)], body)
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self, step, body):
        step = step(self, body) if callable(step) else step
        if step is None:
            return
        status, headers, content = step
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def drop(handler, _):
    handler.connection.close()


def slow(handler, _):
    time.sleep(0.6)
    return reply("0.5")


def drip(handler, _):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def cut(handler, _):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def settings(endpoint, **more):
    about = {"model": "gpt", "key_variable": "JUDGE_KEY", "pause_seconds": 0.01, "timeout_seconds": 5, "tries": 3}
    return JudgeSettings(**{"url": endpoint.url, **about, **more})


def question(name="q1", **more):
    return JudgeQuestion(name, f"prompt of {name}", f"prediction of {name}", **more)


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def ask(endpoint, tmp_path, *questions, **more):
    return ask_judge(
        settings(endpoint, **more), questions or [question()], read=number, cache=tmp_path / "cache" / "judge.jsonl"
    )


def test_a_reply_becomes_a_verdict_and_the_request_is_the_endpoints(endpoint, tmp_path):
    asked = question(parameters={"max_tokens": 3})
    verdict = ask(endpoint, tmp_path, asked)["q1"]
    assert (verdict.value, verdict.reply, verdict.why, verdict.served_by) == (0.5, "0.5", "", "judge-0613")
    assert endpoint.paths == ["/v1/chat/completions"]
    message = [{"role": "user", "content": "prompt of q1"}]
    assert endpoint.requests == [{"model": "gpt", "messages": message, "temperature": 0.0, "max_tokens": 3}]
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_a_free_endpoint_gets_no_key(endpoint, tmp_path):
    assert ask(endpoint, tmp_path, key_variable=None)["q1"].value == 0.5
    assert "Authorization" not in endpoint.headers[0]


def test_the_settings_parameters_go_first_and_none_takes_one_away(endpoint, tmp_path):
    own = {"max_tokens": None, "max_completion_tokens": 9, "temperature": 1}
    ask(endpoint, tmp_path, question(parameters={"max_tokens": 3}), parameters=own)
    sent = endpoint.requests[0]
    assert ("max_tokens" in sent, sent["max_completion_tokens"], sent["temperature"]) == (False, 9, 1)


PASSING = {
    "drop": drop,
    "500": (500, {}, b"oops"),
    "529": (529, {}, b""),
    "429": (429, {}, b"{}"),
    "malformed": (200, {}, b'{"choices": ['),
    "cut": cut,
    "html": (200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"),
    "other json": (200, {}, b"[1, 2]"),
    "no choices": (200, {}, b'{"choices": []}'),
    "not utf-8": (200, {}, b"\xff\xfe"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_tried_again(endpoint, tmp_path, fault):
    endpoint.script = [fault, fault, reply("1")]
    assert ask(endpoint, tmp_path)["q1"].value == 1
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_lasting_fault_gives_no_score_and_says_why(endpoint, tmp_path, fault):
    endpoint.script = [fault]
    verdicts = ask(endpoint, tmp_path)
    assert (verdicts["q1"].value, len(endpoint.requests)) == (None, 3)
    assert verdicts["q1"].why
    assert unscored(verdicts, ["q1"]).startswith("not scored: 1 of 1 answers have no verdict, first q1: ")


def test_what_an_html_page_says_is_told(endpoint, tmp_path):
    endpoint.script = [PASSING["html"]]
    assert "<html>maintenance</html>" in ask(endpoint, tmp_path)["q1"].why


@pytest.mark.parametrize("behaviour", [slow, drip])
def test_a_slow_reply_is_given_up_in_time(endpoint, tmp_path, behaviour):
    endpoint.script = [behaviour]
    began = time.monotonic()
    verdict = ask(endpoint, tmp_path, timeout_seconds=0.2, tries=2)["q1"]
    assert (verdict.value, verdict.why) == (None, "no reply within 0.2 s")
    assert time.monotonic() - began < 1.5


def test_retry_after_is_kept_to(endpoint, tmp_path):
    endpoint.script = [(429, {"Retry-After": "1"}, b""), reply("1")]
    began = time.monotonic()
    assert ask(endpoint, tmp_path)["q1"].value == 1
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "wait", ["3600", formatdate(time.time() + 7200, usegmt=True), "inf"], ids=["seconds", "date", "inf"]
)
def test_a_retry_after_beyond_the_longest_pause_ends_the_asking(endpoint, tmp_path, wait):
    endpoint.script = [(429, {"Retry-After": wait}, b"")]
    verdicts = ask(endpoint, tmp_path, question("a"), question("b"), parallel=1)
    assert "Retry-After" in verdicts["a"].why
    assert (verdicts["b"].value, len(endpoint.requests)) == (None, 1)


def test_a_retry_after_that_says_nothing_is_passed_over(endpoint, tmp_path):
    endpoint.script = [(503, {"Retry-After": "soon"}, b""), reply("1")]
    assert ask(endpoint, tmp_path)["q1"].value == 1


@pytest.mark.parametrize(
    ("status", "why"),
    [(401, "HTTP 401: the key is refused"), (403, "HTTP 403: the key may not"), (404, "HTTP 404: no such address")],
)
def test_a_wrong_key_or_address_is_told_plainly_and_asked_once(endpoint, tmp_path, status, why):
    endpoint.script = [(status, {}, f'{{"error": "Incorrect API key provided: {KEY}"}}'.encode())]
    verdicts = ask(endpoint, tmp_path, *(question(f"q{n}") for n in range(9)), parallel=1)
    assert {verdict.value for verdict in verdicts.values()} == {None}
    assert all(why in verdict.why for verdict in verdicts.values())
    assert len(endpoint.requests) == 1
    assert KEY not in repr(verdicts)


def test_a_redirect_is_not_followed(endpoint, tmp_path):
    endpoint.script = [(307, {"Location": endpoint.url + "/elsewhere"}, b"")]
    assert "HTTP 307: it redirects" in ask(endpoint, tmp_path)["q1"].why
    assert len(endpoint.requests) == 1


def test_a_refused_question_leaves_the_others_asked(endpoint, tmp_path):
    def too_long(_, body):
        return (400, {}, b"context too long") if "q1" in body["messages"][0]["content"] else reply("1")

    endpoint.script = [too_long]
    verdicts = ask(endpoint, tmp_path, question("q1"), question("q2"))
    assert (verdicts["q1"].value, verdicts["q2"].value) == (None, 1)
    assert verdicts["q1"].why == "HTTP 400: 'context too long'"
    assert len(endpoint.requests) == 2


def test_an_empty_account_ends_the_asking(endpoint, tmp_path):
    endpoint.script = [(429, {}, b'{"error": {"code": "insufficient_quota"}}')]
    ask(endpoint, tmp_path, question("a"), question("b"), parallel=1)
    assert len(endpoint.requests) == 1


def test_an_endpoint_that_stays_away_is_given_up(tmp_path, endpoint):
    endpoint.script = [(500, {}, b"down")]
    verdicts = ask(endpoint, tmp_path, *(question(f"q{n}") for n in range(20)), parallel=1, tries=1)
    assert len(endpoint.requests) == GIVE_UP_AFTER
    assert len(unscored(verdicts, list(verdicts)).split("; ")) == 3
    assert {verdict.value for verdict in verdicts.values()} == {None}


def test_nobody_listening_is_no_score(endpoint, tmp_path):
    endpoint.server_close()
    assert "connection: ConnectionRefusedError" in ask(endpoint, tmp_path)["q1"].why


def test_an_unread_reply_is_asked_again_hotter_up_to_a_bound(endpoint, tmp_path):
    asked = question(temperatures=(0.0, 0.5, 1.0))
    endpoint.script = [reply("a good answer"), reply(None), reply("0.7")]
    assert ask(endpoint, tmp_path, asked)["q1"].value == 0.7
    assert [sent["temperature"] for sent in endpoint.requests] == [0.0, 0.5, 1.0]


def test_only_the_first_asking_is_without_the_line_for_asking_again(endpoint, tmp_path):
    endpoint.script = [reply("good"), reply("well"), reply("0.7")]
    assert ask(endpoint, tmp_path, question(temperatures=(0.0, 0.0, 0.5), again=" A digit: "))["q1"].value == 0.7
    said = [sent["messages"][0]["content"] for sent in endpoint.requests]
    assert said == ["prompt of q1", "prompt of q1 A digit: ", "prompt of q1 A digit: "]


def test_replies_without_a_number_give_no_score_and_are_not_kept(endpoint, tmp_path):
    asked = question(temperatures=(0.0, 0.5))
    endpoint.script = [reply("a good answer")]
    verdict = ask(endpoint, tmp_path, asked)["q1"]
    assert (verdict.value, verdict.why) == (None, "none of 2 replies holds a value, last 'a good answer'")
    endpoint.script = [reply("0.2")]
    assert ask(endpoint, tmp_path, asked)["q1"].value == 0.2


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


def test_an_id_that_comes_twice_is_refused(endpoint, tmp_path):
    with pytest.raises(DataError, match="more than once"):
        ask(endpoint, tmp_path, question("a"), question("a"))


def test_requests_at_once_are_bounded(endpoint, tmp_path):
    def busy(*_):
        time.sleep(0.05)
        return reply("1")

    endpoint.script = [busy]
    found = ask(endpoint, tmp_path, *(question(f"q{n}") for n in range(12)), parallel=3)
    assert len(found) == 12
    assert 2 <= endpoint.most <= 3


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


def test_an_error_that_echoes_the_key_is_shown_without_it(endpoint, tmp_path):
    endpoint.script = [(400, {}, f"bad header {KEY}".encode())]
    assert ask(endpoint, tmp_path)["q1"].why == "HTTP 400: 'bad header ***'"


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


def test_a_missing_or_broken_key_is_told_by_the_variables_name(endpoint, tmp_path, monkeypatch):
    for value, why in (("", "JUDGE_KEY is not set"), ("schlüssel", "holds characters that no key has")):
        monkeypatch.setenv("JUDGE_KEY", value)
        with pytest.raises(JudgeError, match=why) as found:
            ask(endpoint, tmp_path)
        assert "schlüssel" not in str(found.value)
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    assert ask(endpoint, tmp_path)["q1"].value == 0.5


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/v1", "host/v1", "", "http://", "https://u:p@host/v1", "http://h/v1?key=1",
     "http://h:port/v1", "http://[::1"],
)  # fmt: skip
def test_only_bare_http_addresses_are_allowed(url):
    with pytest.raises(ParamsError, match="judge.url") as found:
        JudgeSettings(url, "gpt")
    assert "u:p" not in str(found.value)


def test_all_faults_of_the_settings_come_at_once_and_a_key_is_not_shown():
    with pytest.raises(ParamsError) as found:
        JudgeSettings("ftp://x", "", "sk-secret", parallel=0, tries=0)
    assert len(found.value.faults) == 5
    assert "sk-secret" not in str(found.value)


def test_the_prompt_is_handed_in_and_checked(tmp_path):
    path = tmp_path / "prompt.txt"
    with pytest.raises(DataError, match="handed in as UTF-8"):
        read_prompt(path)
    path.write_bytes(b"Grade.\r\n\r\nrow\n")
    prompt = read_prompt(path)
    assert prompt.text == "Grade.\n\nrow"
    assert read_prompt(path, sha256=prompt.sha256) == prompt
    with pytest.raises(DataError, match="allowed is 00"):
        read_prompt(path, sha256="00")
    path.write_text("\n")
    with pytest.raises(DataError, match="allowed is a text"):
        read_prompt(path)


def test_unscored_names_who_was_never_asked():
    assert unscored({"a": Verdict(0.0)}, ["a"]) == ""
    assert unscored({}, ["a"]) == "not scored: 1 of 1 answers have no verdict, first a: never asked"


TEMPLATE = JudgePrompt("Q:{question} R:{reference} P:{prediction}", "x")


def test_a_hallusion_question_fills_each_mark_once():
    parts = {"question": "{prediction}?", "reference": "no {x}", "prediction": "{question}"}
    asked = hallusion_question(TEMPLATE, "VS/1", **parts)
    assert asked.prompt == "Q:{prediction}? R:no {x} P:{question}"
    assert (asked.id, asked.prediction) == ("VS/1", "{question}")
    with pytest.raises(DataError, match="lacks {reference}, {prediction}"):
        hallusion_question(JudgePrompt("{question}", "x"), "VS/1", **parts)


CORRECTNESS = {
    "correct": CORRECT,
    '"Correct".': CORRECT,
    "The prediction is INCORRECT": INCORRECT,
    "incorrect, not correct": INCORRECT,
    "unclear": UNCLEAR,
    "yes": None,
    "": None,
}


@pytest.mark.parametrize(("text", "expected"), CORRECTNESS.items())
def test_golden_correctness(text, expected):
    assert read_correctness(text) == expected


def test_unclear_is_right_only_where_no_picture_was_shown():
    assert hallusion_outcome(UNCLEAR, without_picture=True) == {"correct": 1, "parsed": 0, "unclear": 1}
    assert hallusion_outcome(UNCLEAR, without_picture=False) == {"correct": 0, "parsed": 0, "unclear": 1}
    for without in (True, False):
        assert hallusion_outcome(CORRECT, without_picture=without)["correct"] == 1
        assert hallusion_outcome(INCORRECT, without_picture=without) == {"correct": 0, "parsed": 1, "unclear": 0}


def test_a_judges_fault_is_a_users_error():
    assert issubclass(JudgeError, SteeringError)
