"""MLflow's pages in headless Chromium: `python -m tests.tracking.browser` writes the pictures of docs/."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mlflow import MlflowClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import presence_of_element_located, visibility_of_element_located
from selenium.webdriver.support.ui import WebDriverWait

from steering.tracking import initialise, upload, upload_table
from tests.chromium import WAIT_SECONDS, chromium
from tests.tracking.needed import needed
from tests.tracking.servers import serving
from tests.tracking.shown import TABLE, WORLD, made_up

DOCS = Path(__file__).resolve().parents[2] / "docs"
ARMS = ("none", "mores_b", "lora")
SEEDS = (0, 1)
REST_SECONDS = 5.0


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[str]:
    """The address of a server over a small experiment: a table, its report, three arms with two seeds each."""
    database = f"sqlite:///{folder / 'mlflow.db'}"
    initialise(database, str(folder / "artifacts"))
    for arm in ARMS:
        for seed in SEEDS:
            upload(made_up(folder, arm, seed=seed), tracking_uri=database, experiment=TABLE)
    (folder / "table.md").write_text("| arm | icons_pope |\n| --- | ---: |\n| mores_b | 60.0 |\n")
    upload_table([folder / "table.md"], tracking_uri=database, experiment=TABLE, world=WORLD)
    with serving(folder, "--backend-store-uri", database) as uri:
        yield uri


class Pages:
    """MLflow's pages about one world, each open once what it is to show is there."""

    def __init__(self, browser: Chrome, uri: str):
        self.browser, self.uri = browser, uri
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(WORLD)
        assert experiment, f"{uri}: no experiment {WORLD}"
        self.experiment = experiment.experiment_id
        runs = client.search_runs([self.experiment], order_by=["attributes.run_name"])
        self.ids = {run.info.run_name: run.info.run_id for run in runs}
        self.arms = [run.info.run_name for run in runs if "mlflow.parentRunId" in run.data.tags]
        (self.table,) = self.ids.keys() - set(self.arms)

    def seen(self, path: str) -> WebElement:
        """The first element at the XPath *path* once it is to be seen."""
        return self._once(visibility_of_element_located, path)

    def text(self, words: str) -> WebElement:
        """The first element that says *words*, though the page may have to be scrolled to it."""
        return self._once(presence_of_element_located, f"//body//*[text()[contains(., '{words}')]]")

    def curve(self) -> WebElement:
        """A drawn line of a chart."""
        return self.seen(
            "//*[contains(@class, 'js-plotly-plot')]//*[@class = 'scatterlayer mlayer']//*[name() = 'path']"
        )

    def _once(self, condition: Callable[..., Any], path: str) -> WebElement:
        there = condition((By.XPATH, path))
        return WebDriverWait(self.browser, WAIT_SECONDS).until(there, f"{self.browser.current_url}: nothing at {path}")

    def open(self, path: str, **query: str) -> None:
        """Open a page anew, in MLflow's mode for training; *query* first, since a comparison reads it by its place."""
        self.browser.get("about:blank")  # else what is found may still be the page before
        self.browser.get(f"{self.uri}/#/{path}?{urlencode(query | {'workflowType': 'machine_learning'})}")

    def open_experiments(self) -> None:
        self.open("experiments")
        self.text(WORLD)

    def open_runs(self) -> None:
        """The runs of the world, the arms unfolded below their table."""
        self.open(f"experiments/{self.experiment}/runs")
        self.seen(f"//span[text() = '{self.table}']/ancestor::*[@role = 'presentation'][1]//button").click()
        for arm in self.arms:
            self.text(arm)

    def open_charts(self) -> None:
        """The runs of the world with their curves in common charts."""
        self.open(f"experiments/{self.experiment}/runs", compareRunsMode="CHART")
        self.curve()

    def open_comparison(self, *names: str) -> None:
        runs = json.dumps([self.ids[name] for name in names], separators=(",", ":"))
        self.open("compare-runs", runs=runs, experiments=json.dumps([self.experiment]))
        for name in names:
            self.text(name)

    def open_run(self, name: str, tab: str = "") -> None:
        self.open(f"experiments/{self.experiment}/runs/{self.ids[name]}{tab}")
        self.text(name)

    def find_chart(self, name: str) -> None:
        """Show the charts of a run whose names hold *name* alone."""
        search = self.seen("//input[@placeholder = 'Search metric charts']")
        search.send_keys(Keys.CONTROL, "a", Keys.NULL, name)  # in place of the last one, which MLflow remembers
        self.text(name)

    def picture(self, path: Path) -> None:
        """A picture of the page as a reader has it, once it has come to rest."""
        for button in self.browser.find_elements(By.XPATH, "//button[@aria-label = 'Close']"):
            button.click()
        self.browser.execute_script(
            "document.head.insertAdjacentHTML('beforeend', '<style>.modebar-container {display: none}</style>')"
        )
        time.sleep(REST_SECONDS)
        self.browser.save_screenshot(str(path))


def main() -> None:
    """Pictures of a made-up experiment, or of the sqlite database that is named."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        given = ["--backend-store-uri", sys.argv[1]] if len(sys.argv) > 1 else []
        uri = stack.enter_context(serving(folder, *given) if given else filled(folder))
        browser = stack.enter_context(chromium(*(needed(name, package=name) for name in ("chromium", "chromedriver"))))
        pages = Pages(browser, uri)
        pages.open_runs()
        pages.picture(DOCS / "mlflow-runs.png")
        pages.open_charts()
        pages.picture(DOCS / "mlflow-compare.png")
        pages.open_run(pages.arms[-1], "/model-metrics")
        pages.curve()
        pages.picture(DOCS / "mlflow-metrics.png")


if __name__ == "__main__":
    main()
