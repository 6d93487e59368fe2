"""An endpoint that misbehaves: what is tried again, given up and told, and that no message shows the key."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from steering.errors import SteeringError
from steering.evaluate.judge import JudgeError, unscored
from steering.evaluate.judge.asking import GIVE_UP_AFTER
from tests.evaluate.judge_endpoint import KEY, ask, question, reply


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


def test_an_error_that_echoes_the_key_is_shown_without_it(endpoint, tmp_path):
    endpoint.script = [(400, {}, f"bad header {KEY}".encode())]
    assert ask(endpoint, tmp_path)["q1"].why == "HTTP 400: 'bad header ***'"


def test_a_missing_or_broken_key_is_told_by_the_variables_name(endpoint, tmp_path, monkeypatch):
    for value, why in (("", "JUDGE_KEY is not set"), ("schlüssel", "holds characters that no key has")):
        monkeypatch.setenv("JUDGE_KEY", value)
        with pytest.raises(JudgeError, match=why) as found:
            ask(endpoint, tmp_path)
        assert "schlüssel" not in str(found.value)
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    assert ask(endpoint, tmp_path)["q1"].value == 0.5


def test_a_judges_fault_is_a_users_error():
    assert issubclass(JudgeError, SteeringError)
