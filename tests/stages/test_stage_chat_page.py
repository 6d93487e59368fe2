"""The page answers, shows what it was given, and works in a browser without asking anybody else."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chat_world import drawn
from PIL import Image

from steering.chat import answering
from tests.stages.chat_page import EDIT, LOW, WHOLE, upload
from tests.tracking.needed import needed


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
