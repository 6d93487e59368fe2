"""The page answers, refuses what it should in words, and works in a browser without asking anybody else."""

from __future__ import annotations

import http.client
import io
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chat_world import built, drawn
from PIL import Image

from steering.chat import answering, pictures, server
from steering.chat.answering import Answering
from steering.chat.pictures import WorldPictures
from steering.chat.runs import Finished
from steering.chat.server import Page
from steering.chat.session import Session
from steering.plan import Plan
from tests.tracking.needed import needed

JSON, BYTES = server.JSON, server.BYTES
EDIT, LOW, NONE, WHOLE = (f"tiny/mix/{arm}/seed0" for arm in ("edit", "low", "none", "whole"))
Reply = tuple[int, Any, http.client.HTTPMessage]


@pytest.fixture(scope="module")
def world(tmp_path_factory, tokenizer, make_language_model, put_manifest) -> Iterator[tuple[Plan, list[Finished]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        yield built(make_language_model(), tokenizer, put_manifest)


@pytest.fixture(scope="module")
def page(world) -> Iterator[Page]:
    plan, runs = world
    run = next(run for run in runs if run.name == EDIT)
    with Page(Answering(Session(longest=6), WorldPictures(plan, "tiny"), runs, run), 0) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def send(page) -> Callable[..., Reply]:
    def request(method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=120)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        told = json.loads(content) if reply.headers["Content-Type"] == JSON else content
        return reply.status, told, reply.headers

    return request


@pytest.fixture
def post(send) -> Callable[..., Reply]:
    return lambda path, told, **headers: send("POST", path, json.dumps(told).encode(), Content_Type=JSON, **headers)


@pytest.fixture
def ask(post) -> Callable[..., Reply]:
    return lambda **told: post("/api/ask", {"run": EDIT, "question": "Is there a 1?", **told})


def upload(send: Callable[..., Reply], content: bytes, kind: str = BYTES) -> Reply:
    return send("POST", "/api/upload", content, Content_Type=kind)


@pytest.mark.parametrize(("path", "holds"), [("/", b"<title>"), ("/page.css", b":root"), ("/page.js", b"use strict")])
def test_the_page_is_served_with_the_strictest_policy(path, holds, send):
    status, content, headers = send("GET", path)
    assert status == 200 and holds in content
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_listens_to_this_machine_alone(page):
    assert page.server_address[0] == "127.0.0.1"


def test_the_page_is_told_its_arms_and_pictures(post):
    status, told, _ = post("/api/state", {})
    assert status == 200 and told["run"] == EDIT
    assert [arm["arm"] for arm in told["arms"]] == ["edit", "low", "none", "seen", "whole"]
    assert {one["name"] for one in told["pictures"]} == {f"pictures/test/{number}.png" for number in range(3)}


def test_a_question_is_answered_with_where_it_looked(ask):
    status, told, _ = ask(picture="0", strength=0.5)
    assert status == 200 and told["answer"] and told["strength"] == 0.5
    seen = told["attention"]
    assert (seen["side"], len(seen["layers"]), {len(row) for row in seen["layers"]}) == (4, 2, {16})
    assert all(0 < sum(row) < 1 and min(row) >= 0 for row in seen["layers"])


def test_a_question_without_a_picture_is_answered_without_attention(ask):
    status, told, _ = ask()
    assert status == 200 and told["answer"] and "attention" not in told


def test_full_is_on_or_off(ask):
    assert [ask(run=WHOLE, strength=s)[1]["strength"] for s in (0.0, 0.3, 0.6, 2.0)] == [0, 0, 1, 1]


def test_two_questions_at_once_are_both_answered(ask):
    alone = [ask(run=run, picture="1")[1]["answer"] for run in (EDIT, LOW)]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, run=run, picture="1") for run in (EDIT, LOW, EDIT, LOW)]
    assert [one.result()[1]["answer"] for one in asked] == alone * 2


def test_an_uploaded_picture_is_asked_about_and_shown(send, ask):
    status, told, _ = upload(send, drawn("white", "JPEG"))
    assert status == 200 and (told["width"], told["height"]) == (40, 40)
    assert ask(picture=told["id"])[1]["attention"]["side"] == 4
    _, shown, headers = send("GET", f"/picture/{told['id']}")
    assert headers["Content-Type"] == "image/png" and Image.open(io.BytesIO(shown)).size == (40, 40)


def test_a_picture_is_turned_upright(send):
    image, exif = Image.new("RGB", (40, 20)), Image.Exif()
    exif[0x0112] = 6
    image.save(file := io.BytesIO(), "JPEG", exif=exif)
    told = upload(send, file.getvalue())[1]
    assert (told["width"], told["height"]) == (20, 40)


def test_only_the_latest_uploads_are_remembered(send, ask, monkeypatch):
    monkeypatch.setattr(answering, "KEPT", 2)
    keys = [upload(send, drawn(colour))[1]["id"] for colour in ("red", "green", "blue")]
    assert ask(picture=keys[0])[:2] == (400, {"error": "picture: no longer here; choose it again"})
    assert ask(picture=keys[2])[0] == 200


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


@pytest.fixture
def browser(page):
    from tests.tracking.browser import chromium

    paths = needed("chromium", package="chromium"), needed("chromedriver", package="chromium-driver")
    with chromium(*paths, width=390, height=844) as opened:
        yield opened


@pytest.mark.slow
def test_the_page_works_in_a_browser_and_asks_nobody_else(browser, page, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def one(path: str) -> Any:
        return browser.find_element(By.CSS_SELECTOR, path)

    def until(script: str) -> Any:
        return WebDriverWait(browser, 120).until(lambda opened: opened.execute_script(f"return {script}"), script)

    def move(slider: str, value: float) -> None:
        browser.execute_script(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));",
            slider,
            value,
        )

    browser.get(page.address)
    until("document.body.dataset.ready")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    one(f"input[value='{LOW}']").click()
    one("#send").click()
    until("document.querySelectorAll('.answer button').length === 2 && !document.getElementById('overlay').hidden")
    painted = "document.getElementById('overlay').toDataURL()"
    mean = browser.execute_script(f"return {painted}")
    move("#layer", 2)
    assert browser.execute_script(f"return {painted}") != mean
    assert one("#share").text.startswith("Layer 2 of 2: ")
    one("#show").click()
    assert not one("#overlay").is_displayed()
    move("#strength", 0)
    until(
        "[...document.querySelectorAll('.answer h2 span')].filter(e => e.textContent === 'strength 0.00').length === 2"
    )
    assert one("#number").text == "0.00" and len(browser.find_elements(By.CSS_SELECTOR, ".answer li")) == 4
    (tmp_path / "no.png").write_text("no picture")
    one("#file").send_keys(str(tmp_path / "no.png"))
    until("!document.getElementById('fault').hidden")
    assert one("#fault").text.startswith("upload: no picture")
    (tmp_path / "yes.png").write_bytes(drawn("blue", size=(30, 30)))
    one("#file").send_keys(str(tmp_path / "yes.png"))
    until("document.getElementById('fault').hidden && document.getElementById('picture').naturalWidth === 30")
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert asked and all(name.startswith((page.address, "data:")) for name in asked)
    refused = [entry for entry in browser.get_log("browser") if "400 (Bad Request)" not in entry["message"]]
    assert refused == []
