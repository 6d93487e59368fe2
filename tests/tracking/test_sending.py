"""Each part of a run arrives whole and once; what has changed is sent again, what was measured anew stands beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steering.tracking import upload
from steering.tracking.record import RunRecord
from tests.tracking.shown import LAYERS, TABLE, attention, differences, made_up


def curve(client: MlflowClient, run: str, name: str) -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in client.get_metric_history(run, name))


def test_a_run_is_held_as_its_files_say_and_sent_again_changes_nothing(
    client: MlflowClient, uri: str, held: Callable[[], list[str]], tmp_path: Path
) -> None:
    record = made_up(tmp_path, "whole")
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    assert differences(client, run, record) == []
    before = held()
    assert upload(made_up(tmp_path, "whole"), tracking_uri=uri, experiment=TABLE) == run
    assert held() == before


def test_what_differs_is_found(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    record = made_up(tmp_path, "other")
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    fewer = replace(record, metrics=record.metrics[1:], datasets=(), weights=None, artifacts=())
    found = {told.split(":")[0] for told in differences(client, run, fewer)}
    assert found == {"metrics", "data", "artifacts", "models"}


def test_lmar_has_the_layer_as_its_step_and_its_interval_beside(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    run = upload(made_up(tmp_path, "attends"), tracking_uri=uri, experiment=TABLE)
    values = curve(client, run, "attention/lmar")
    assert [layer for layer, _ in values] == list(range(1, LAYERS + 1))
    lower, upper = (curve(client, run, f"attention/lmar.{end}") for end in ("low", "high"))
    assert all(low[1] < value[1] < high[1] for low, value, high in zip(lower, values, upper, strict=True))


def test_a_step_stands_at_the_time_that_its_line_says(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    record = made_up(tmp_path, "timed")
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    stamps = [metric.timestamp for metric in client.get_metric_history(run, "system/process_cpu_percent")]
    assert sorted(stamps) == [1000 * line["time"] for line in record.metrics]
    assert "time" not in client.get_run(run).data.metrics


def test_attention_measured_anew_is_a_section_of_its_own(
    client: MlflowClient, uri: str, held: Callable[[], list[str]], tmp_path: Path
) -> None:
    first = made_up(tmp_path, "measured")
    run = upload(first, tracking_uri=uri, experiment=TABLE)
    before = curve(client, run, "attention/lmar")
    upload(replace(first, attention=attention(0.9)), tracking_uri=uri, experiment=TABLE)
    assert curve(client, run, "attention/lmar") == before
    assert curve(client, run, "attention_2/lmar")[-1] == (LAYERS, 0.9 * (1 + LAYERS) / LAYERS)
    all_of_it = held()
    for known in (0.9, None):
        again = replace(first, attention=attention(known) if known else first.attention)
        upload(again, tracking_uri=uri, experiment=TABLE)
    assert held() == all_of_it


def test_a_changed_file_is_sent_again(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    record = made_up(tmp_path, "changed")
    run = upload(record, tracking_uri=uri, experiment=TABLE)
    (file,) = record.artifacts
    file.write_text('{"changed": true}')
    upload(record, tracking_uri=uri, experiment=TABLE)
    assert Path(client.download_artifacts(run, file.name)).read_text() == '{"changed": true}'


def test_data_that_another_run_told_of_in_the_same_moment_is_no_fault(
    client: MlflowClient, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, tries = MlflowClient.log_inputs, []

    def late(self: MlflowClient, *told: object, **named: object) -> None:
        tries.append(told)
        if len(tries) == 1:
            raise MlflowException("UNIQUE constraint failed")
        log(self, *told, **named)

    monkeypatch.setattr(MlflowClient, "log_inputs", late)
    record = made_up(tmp_path, "raced")
    assert differences(client, upload(record, tracking_uri=uri, experiment=TABLE), record) == []


def test_data_are_told_with_what_they_were_for(client: MlflowClient, uri: str, tmp_path: Path) -> None:
    run = upload(made_up(tmp_path, "data"), tracking_uri=uri, experiment=TABLE)
    told = {
        one.dataset.name: (one.tags[0].value, one.dataset.source) for one in client.get_run(run).inputs.dataset_inputs
    }
    assert told == {
        "mix": ("training", '{"uri": "data/embedded/mixtures/mix.json"}'),
        "icons": ("evaluation", '{"uri": "data/embedded/icons"}'),
    }


def test_tags_name_the_arm_the_machine_and_where_dvc_remembers_it(tmp_path: Path) -> None:
    record = replace(made_up(tmp_path, "tagged"), recorded={"dvc_out": "checkpoints/runs", "dvc_md5": "abc.dir"})
    wanted = {"world": "embedded", "method": "mores", "rank": "1", "token_ratio": "0.25", "layers": "all", "seed": "0"}
    wanted |= {"placement": "output", "commit": "0123456789ab", "host": "node1", "slurm_job": "4711"}
    assert record.tags().items() >= (wanted | record.recorded).items()
    assert "rank" not in RunRecord(dict(record.manifest, settings={"method": "none"})).tags()
