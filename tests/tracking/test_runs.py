"""Of two that make the same run in one moment exactly one stays, whoever comes first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from steering.metrics_log import TrackingError
from steering.tracking import runs
from steering.tracking.runs import CLAIM, RUN_KEY, experiment_of, parent_of


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LONGEST_PAUSE_SECONDS", 0.05)


def tables(client: MlflowClient, world: str) -> list[str]:
    return [run.info.run_id for run in client.search_runs([experiment_of(client, world)])]


def test_two_that_make_a_table_at_once_come_to_share_one(
    client: MlflowClient, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_of(client, "together")
    create, both = MlflowClient.create_run, threading.Barrier(2)

    def at_once(self: MlflowClient, *told: object, **named: object) -> object:
        if not both.broken:
            try:
                both.wait(timeout=5)
            finally:
                both.abort()  # later tries are free
        return create(self, *told, **named)

    def make(_: int) -> str:
        try:
            return parent_of(MlflowClient(uri), "together", "table").info.run_id
        except threading.BrokenBarrierError:
            return parent_of(MlflowClient(uri), "together", "table").info.run_id

    monkeypatch.setattr(MlflowClient, "create_run", at_once)
    with ThreadPoolExecutor(2) as pool:
        made = set(pool.map(make, range(2)))
    assert made == set(tables(client, "together")) and len(made) == 1


def test_who_comes_second_takes_back_what_it_made(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    look, looks = runs._found, []

    def blind_at_first(*told: object) -> list:
        looks.append(told)
        return [] if len(looks) == 1 else look(*told)

    first = parent_of(client, "second", "table")
    monkeypatch.setattr(runs, "_found", blind_at_first)
    assert parent_of(client, "second", "table").info.run_id == first.info.run_id
    assert tables(client, "second") == [first.info.run_id]


def test_several_that_do_not_go_away_are_told_of(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ATTEMPTS", 2)
    for _ in range(2):
        client.create_run(experiment_of(client, "several"), tags={RUN_KEY: "table/twice"})
    with pytest.raises(TrackingError, match="table/twice: several runs"):
        parent_of(client, "several", "twice")


def test_nobody_shares_a_run_that_its_maker_may_still_take_back(client: MlflowClient, uri: str) -> None:
    claim = client.create_run(experiment_of(client, "claims"), tags={RUN_KEY: "table/claimed", CLAIM: "made"})
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(parent_of, MlflowClient(uri), "claims", "claimed")
        time.sleep(0.2)
        assert not reader.done()
        client.delete_run(claim.info.run_id)
        shared = reader.result().info.run_id
    assert tables(client, "claims") == [shared] != [claim.info.run_id]


def test_a_run_that_its_maker_has_left_unsettled_is_taken_over(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ATTEMPTS", 2)
    claim = client.create_run(experiment_of(client, "left"), tags={RUN_KEY: "table/behind", CLAIM: "made"})
    taken = parent_of(client, "left", "behind")
    assert taken.info.run_id == claim.info.run_id and CLAIM not in taken.data.tags


def test_a_run_that_stands_alone_is_no_claim(client: MlflowClient) -> None:
    made = parent_of(client, "alone", "table")
    assert CLAIM not in made.data.tags and CLAIM not in client.get_run(made.info.run_id).data.tags
