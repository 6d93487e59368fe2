"""The head says who it is while it runs; a dead one is known by what it left."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from steering import heads, layout
from steering.heads import Head, last_head
from steering.manifest import write_json


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snakemake", "table one", "--jobs", "2"])


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_it_is_known_while_it_runs_and_forgotten_when_it_ends_well():
    heads.begin(submits=True)
    known = last_head()
    assert known and known.alive and known.submits
    assert "`snakemake 'table one' --jobs 2`" in known.told()
    heads.end()
    assert last_head() is None


def test_a_killed_one_is_dead_and_the_next_takes_its_place():
    write_json(layout.HEAD, asdict(replace(Head.here(submits=False), pid=ended_process())))
    known = last_head()
    assert known and not known.alive
    heads.begin(submits=False)
    assert last_head() == replace(Head.here(submits=False), started=last_head().started)


def test_a_second_head_on_other_targets_leaves_the_first_one_s_record():
    first = replace(Head.here(submits=False), pid=1, born=psutil.Process(1).create_time())
    write_json(layout.HEAD, asdict(first))
    heads.begin(submits=False)
    heads.end()
    assert last_head() == first


def test_one_on_another_machine_is_held_to_live():
    write_json(layout.HEAD, asdict(replace(Head.here(submits=True), host="login9", pid=ended_process())))
    known = last_head()
    assert known and known.alive and known.elsewhere


def test_a_lock_is_seen(tmp_path):
    assert not heads.locked()
    heads.LOCKS.mkdir(parents=True)
    assert not heads.locked()
    (heads.LOCKS / "0.input.lock").touch()
    assert heads.locked()


def test_a_broken_record_is_none():
    layout.HEAD.parent.mkdir()
    for text in ("", "[]", '{"host": "h"}'):
        Path(layout.HEAD).write_text(text)
        assert last_head() is None
