"""What a person sees who opens MLflow: arms below their table, their comparison, curves, files, a version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracking.browser import TABLE, WORLD, Pages, chromium, filled
from tests.tracking.needed import needed

pytestmark = pytest.mark.slow

OTHER = "mores_b/seed0"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    browser, driver = needed("chromium", package="chromium"), needed("chromedriver", package="chromium-driver")
    with filled(tmp_path_factory.mktemp("filled")) as uri, chromium(browser, driver) as opened:
        yield Pages(opened, uri)


def test_a_world_is_an_experiment(pages: Pages) -> None:
    pages.open_experiments()
    assert pages.text(WORLD).is_displayed()


def test_arms_unfold_below_their_table(pages: Pages) -> None:
    assert (pages.table, len(pages.arms)) == (TABLE, 6)
    pages.open_runs()


def test_the_charts_draw_the_arms_curves(pages: Pages) -> None:
    pages.open_charts()
    assert pages.text("lmar").is_displayed()


def test_a_run_draws_its_load_over_time(pages: Pages) -> None:
    pages.open_run(OTHER, "/system-metrics")
    pages.text("process_cpu_percent")
    assert pages.curve().is_displayed()


def test_a_file_of_the_table_is_shown(pages: Pages) -> None:
    pages.open_run(TABLE, "/artifacts")
    pages.text("table.md").click()
    pages.text("60.0")
