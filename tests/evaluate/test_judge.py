"""The judge against a loopback endpoint: what is asked, by which settings and prompts, and what is read and graded."""

from __future__ import annotations

import time

import pytest

from steering.errors import DataError, ParamsError
from steering.evaluate.judge import (
    JudgePrompt,
    JudgeSettings,
    Verdict,
    hallusion_outcome,
    hallusion_question,
    read_correctness,
    read_prompt,
    unscored,
)
from steering.evaluate.judge.hallusion import CORRECT, INCORRECT, UNCLEAR
from tests.evaluate.judge_endpoint import KEY, ask, question, reply


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
