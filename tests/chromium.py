"""Debian's Chromium without a screen, and its driver, so that nothing is fetched and both are of one version.

Selenium finds elements by what a reader sees, waits until they are there, and always ends the browser.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

WAIT_SECONDS = 120.0
LOGS = {"browser": "ALL", "performance": "ALL"}


@contextlib.contextmanager
def chromium(browser: str, driver: str, *, width: int = 1500, height: int = 900) -> Iterator[Chrome]:
    """A headless browser that keeps nothing and asks nobody."""
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", LOGS)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += [f"--window-size={width},{height}", "--disable-background-networking", "--no-first-run"]
    for flag in flags:
        options.add_argument(flag)
    opened = Chrome(options=options, service=ChromeService(driver))
    opened.set_page_load_timeout(WAIT_SECONDS)
    try:
        yield opened
    finally:
        opened.quit()


def screen(browser: Chrome, *, width: int, height: int = 900, dark: bool = False) -> None:
    """Show pages as on a screen of *width* CSS pixels, narrower than any window can be, in the light or the dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def complaints(browser: Chrome) -> list[str]:
    """What pages have complained of on the console since it was last asked."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requests(browser: Chrome) -> list[str]:
    """The addresses that pages have asked for since it was last asked, their own among them."""
    told = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in told if event["method"] == "Network.requestWillBeSent"]
