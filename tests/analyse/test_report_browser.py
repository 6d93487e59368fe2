"""What a person sees who opens a report or the index: charts, nothing fetched, nothing wider than the screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from steering.analyse import index
from steering.analyse.reading import said_of_all_benchmarks
from steering.analyse.report import ReportInput, draw, render, write_figures
from tests.analyse import invented_control, invented_maps
from tests.chromium import WAIT_SECONDS, chromium, complaints, requests, screen
from tests.tracking.needed import needed

pytestmark = pytest.mark.slow

PHONE, DESKTOP = 390, 1280
SCREENS = [(PHONE, False), (PHONE, True), (DESKTOP, False), (DESKTOP, True)]
WIDER = """return [...document.querySelectorAll("body *")].filter(
  (one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, nav, svg, pre")
).map((one) => one.tagName + "." + one.className)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    program, driver = needed("chromium", package="chromium"), needed("chromedriver", package="chromium-driver")
    with chromium(program, driver) as opened:
        yield opened


@pytest.fixture
def report(report_input: ReportInput, page_folder: Path) -> Path:
    """The invented experiment's page with its figures, made once."""
    path = page_folder / "first_light" / "report.html"
    if not path.exists():
        full = replace(report_input, analyses=analysed(page_folder / "analysed"))
        write_figures(full, path.parent)
        render(full, path)
    return path


def analysed(folder: Path) -> dict[str, dict[str, Path]]:
    """What analyses found about the first seed of two arms."""
    runs = {f"embedded/icons/{arm}/seed0": arm for arm in ("none", "lora")}
    return {
        run: {
            "maps": invented_maps.folder(folder / arm / "maps", arm, seed=0),
            "token_control": invented_control.put(folder / arm / "control", arm, 0),
        }
        for run, arm in runs.items()
    }


@pytest.fixture
def listed(report: Path, report_input: ReportInput) -> Path:
    """An index of that experiment, of one that is sized only and of one whose words are long."""
    path = report.parents[1] / "index.html"
    told = {"world": "embedded", "seeds": [0, 1], "runs": 6, "there": 6}
    done = index.Entry(
        **told,
        name=report_input.experiment,
        title=report_input.title,
        question=report_input.description,
        arms=report_input.arms,
        state="done",
        date="2026-01-02",
        finding=said_of_all_benchmarks("none", draw(report_input).overall),
        picture=index.thumbnail(report.parent / "differences.png"),
        links=[(name, f"first_light/{name}") for name in index.FILES],
    )
    bare = {"title": "MoReS by rank", "question": "How large?", "date": "", "finding": [], "picture": "", "links": []}
    sized = index.Entry(**told, **bare, name="sized", arms=["none"], state="sized")
    arms = [f"mores_every_{number}th_layer" for number in range(12)]
    long = index.Entry(**told, **bare, name="a_long_name_" * 5, arms=arms, state="partly")
    path.write_text(index.html([done, sized, long]), encoding="utf-8")
    return path


def show(browser: Chrome, path: Path, *, width: int = DESKTOP, dark: bool = False) -> None:
    """Open a page anew, on a screen of *width*, with all of its charts drawn."""
    screen(browser, width=width, dark=dark)
    browser.get("about:blank")
    complaints(browser), requests(browser)  # those of the page before
    browser.get(path.as_uri())
    drawn = "return [...document.querySelectorAll('[data-chart]')].every((one) => one.querySelector('svg, canvas'))"
    WebDriverWait(browser, WAIT_SECONDS).until(lambda b: b.execute_script(drawn), f"{path}: a chart is not drawn")


def check(browser: Chrome) -> None:
    """The page complains of nothing, has asked for nothing but itself, and is as wide as the screen."""
    assert complaints(browser) == []
    assert [asked for asked in requests(browser) if not asked.startswith(("file:", "data:"))] == []
    wide, screen_wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= screen_wide, browser.execute_script(WIDER)
    assert browser.execute_script(WIDER) == []


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_a_report_opens_without_the_network_on_any_screen(browser, report, width, dark):
    show(browser, report, width=width, dark=dark)
    check(browser)


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_the_index_opens_without_the_network_on_any_screen(browser, listed, width, dark):
    show(browser, listed, width=width, dark=dark)
    check(browser)


def test_every_chart_has_marks(browser, report):
    show(browser, report)
    charts = browser.find_elements(By.CSS_SELECTOR, "[data-chart]")
    assert len(charts) >= 6
    for chart in charts:
        assert chart.find_elements(By.CSS_SELECTOR, "svg .mark-symbol path, svg .mark-line path, svg .mark-rect path")
        assert chart.size["height"] > 100


def found(browser: Chrome, selector: str) -> WebElement:
    """The element of *selector*, in the middle of the screen: else the page still rolls there when it is clicked."""
    one = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", one)
    return one


def shown(browser: Chrome) -> list[list[str]]:
    """The tags of the cards that are to be seen."""
    cards = browser.find_elements(By.CSS_SELECTOR, "#questions .card")
    return [str(card.get_attribute("data-tags")).split() for card in cards if card.is_displayed()]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_gallery_shows_what_is_asked_for(browser, report, width):
    show(browser, report, width=width)
    everything = shown(browser)
    found(browser, "[data-filter=won-lora]").click()
    won = shown(browser)
    assert 0 < len(won) < len(everything)
    assert won == [tags for tags in everything if "won-lora" in tags]
    assert browser.find_element(By.ID, "shown").text == f"{len(won)} of {len(everything)} shown"
    Select(found(browser, "#benchmark")).select_by_visible_text("icons-pope")
    assert 0 < len(shown(browser)) < len(won)
    check(browser)


def test_the_index_leads_to_the_report(browser, listed):
    show(browser, listed)
    found(browser, ".links a").click()
    WebDriverWait(browser, WAIT_SECONDS).until(lambda b: b.current_url.endswith("first_light/report.html"))


def test_a_page_that_fetches_or_complains_is_noticed(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<img src='http://127.0.0.1:9/x.png'><script>console.error('no'); undefined.x</script>"
        "<p style='width: 3000px'>wide</p>"
    )
    screen(browser, width=DESKTOP)
    browser.get((tmp_path / "bad.html").as_uri())
    assert len(complaints(browser)) >= 2
    assert "http://127.0.0.1:9/x.png" in requests(browser)
    assert browser.execute_script(WIDER) == ["P."]
