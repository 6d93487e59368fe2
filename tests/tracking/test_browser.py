"""What a person sees who opens MLflow: arms below their table, their comparison, curves, files, a version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chromium import chromium
from tests.tracking.browser import TABLE, WORLD, Pages, filled
from tests.tracking.needed import needed

pytestmark = pytest.mark.slow

ONE, OTHER = "lora/seed0", "mores_b/seed0"


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
    for told in ("attention/lmar", ONE, OTHER):
        pages.text(told)


def test_two_arms_stand_side_by_side_with_settings_and_scores(pages: Pages) -> None:
    pages.open_comparison(ONE, OTHER)
    for told in ("rank", "icons_pope.f1", "attention/lmar", pages.ids[ONE], pages.ids[OTHER]):
        pages.text(told)


@pytest.mark.parametrize("metric", ["loss", "lmar"])
def test_a_run_draws_its_steps_and_layers(pages: Pages, metric: str) -> None:
    pages.open_run(OTHER, "/model-metrics")
    pages.find_chart(metric)
    assert pages.curve().is_displayed()


def test_a_run_draws_its_load_over_time(pages: Pages) -> None:
    pages.open_run(OTHER, "/system-metrics")
    pages.text("process_cpu_percent")
    assert pages.curve().is_displayed()


def test_a_run_names_its_data_its_tags_and_the_version_that_it_made(pages: Pages) -> None:
    pages.open_run(OTHER)
    for told in ("c0ffee", "token_ratio", "4711", "embedded-mix-mores_b"):
        pages.text(told)


def test_a_file_of_the_table_is_shown(pages: Pages) -> None:
    pages.open_run(TABLE, "/artifacts")
    pages.text("table.md").click()
    pages.text("60.0")


def test_a_version_shows_its_signature_and_where_its_weights_are(pages: Pages) -> None:
    pages.open("models/embedded-mix-lora/versions/1")
    for told in ("base_hash", "checkpoints/runs/embedded/mix/lora/seed0", "Inputs", "Outputs"):
        pages.text(told)
