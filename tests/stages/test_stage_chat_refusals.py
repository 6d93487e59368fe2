"""The page refuses in words what it should: other hosts and pages, what is too large, no picture, no JSON, no path."""

from __future__ import annotations

import zlib

import pytest
from chat_world import drawn

from steering.chat import pictures, server
from steering.chat.server import Page
from tests.stages.chat_page import BYTES, JSON, upload


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.:{port}", ""]
)
@pytest.mark.parametrize("path", ["/", "/picture/0"])
def test_another_host_is_refused(host, path, send, page):
    status, told, _ = send("GET", path, Host=host.format(port=page.server_port))
    assert status == 403 and told["error"].startswith("Host: ") and page.address in told["error"]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_this_machine_s_names_are_let_in(name, send, page):
    assert send("GET", "/", Host=f"{name}:{page.server_port}")[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_may_not_ask(origin, post):
    status, told, _ = post("/api/state", {}, Origin=origin)
    assert status == 403 and told["error"].startswith(f"Origin: {origin}")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize(("path", "allowed"), [("/api/ask", JSON), ("/api/upload", BYTES)])
def test_what_any_page_may_send_unasked_is_refused(kind, path, allowed, send):
    status, told, _ = send("POST", path, b"{}", Content_Type=kind)
    assert (status, told) == (415, {"error": f"Content-Type: {kind}; allowed {allowed}"})


def test_too_large_an_upload_is_refused_in_words(send, monkeypatch):
    monkeypatch.setattr(server, "MOST_BYTES", 1000)
    status, told, _ = upload(send, bytes(3_000_000))
    assert (status, told) == (413, {"error": "3,000,000 bytes; allowed up to 1,000"})


def test_too_long_a_question_is_refused_in_words(send, ask):
    assert send("POST", "/api/ask", bytes(100_000), Content_Type=JSON)[0] == 413
    status, told, _ = ask(question="x" * 2001)
    assert status == 400 and told["error"].startswith("question: ")


def bomb() -> bytes:
    """A PNG whose head promises 20,000 x 20,000 pixels."""
    content = bytearray(drawn("red"))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "upload: no picture; allowed JPEG"),
        (b"#!/bin/sh", "upload: no picture; allowed JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "upload: no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "upload: no picture"),
        (drawn("red")[:-30], "upload: no picture"),
        (bomb(), "upload: too many pixels; allowed 50,000,000"),
    ],
    ids=["empty", "script", "svg", "postscript", "cut short", "bomb"],
)
def test_what_is_no_picture_is_refused_in_words(content, told, send):
    status, reply, _ = upload(send, content)
    assert status == 400 and reply["error"].startswith(told)


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(send, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1000)
    assert upload(send, drawn("red"))[1] == {"error": "upload: 40 x 40 pixels; allowed 1,000 in all"}


@pytest.mark.parametrize(
    "path", ["/../params.yaml", "/params.yaml", "/page.html", "/api/ask", "//etc/passwd", "/page.js/"]
)
def test_no_path_of_a_client_is_opened(path, send):
    assert send("GET", path)[0] == 404


@pytest.mark.parametrize("key", ["../../params.yaml", "%2e%2e/params.yaml", "pictures/test/0.png", "99", ""])
def test_a_picture_is_a_number_and_no_path(key, send):
    assert send("GET", f"/picture/{key}")[:2] == (400, {"error": "picture: no longer here; choose it again"})


@pytest.mark.parametrize("path", ["/api/ask", "/api/state", "/api/upload"])
def test_json_is_for_posts_alone(path, send):
    assert send("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("posted", "told"),
    [
        ({"run": "tiny/mix/edti/seed0"}, "run: tiny/mix/edti/seed0 is not among the arms here"),
        ({"strength": 3.0}, "strength: Input should be less than or equal to 2"),
        ({"strength": "much"}, "strength: Input should be a valid number"),
        ({"question": ""}, "question: String should have at least 1 character"),
        ({"path": "/etc/passwd"}, "path: Extra inputs are not permitted"),
        ({"picture": "77"}, "picture: no longer here; choose it again"),
    ],
)
def test_a_fault_of_the_page_is_told_in_words(posted, told, ask):
    assert ask(**posted)[:2] == (400, {"error": told})


@pytest.mark.parametrize(("body", "told"), [(b"{", "not JSON"), (b"[]", "not a JSON object"), (b"\xff", "not JSON")])
def test_what_is_not_json_is_told(body, told, send):
    assert send("POST", "/api/ask", body, Content_Type=JSON)[:2] == (400, {"error": told})


def test_a_fault_of_the_server_s_own_is_told_too(ask, page, monkeypatch):
    monkeypatch.setattr(page.answering.session, "answer", lambda *words, **options: 1 / 0)
    status, told, _ = ask()
    assert status == 500 and told["error"].startswith("ZeroDivisionError")


def test_a_port_that_is_taken_is_told(page):
    with pytest.raises(Exception, match=f"port: {page.server_port}: .* allowed a free one"):
        Page(page.answering, page.server_port)
