"""Every data set of the papers' worlds is built from downloads of the official shapes, and every benchmark read."""

from __future__ import annotations

from pathlib import Path

import pytest

from steering.data.builders import ALL
from steering.data.conversations import read
from steering.data.picture_check import check_pictures
from steering.data.shards import ImageArchive
from steering.evaluate.benchmarks import FORMS
from steering.params import load

PARAMS = load(Path(__file__).resolve().parents[3] / "params.yaml")
WORLDS = ("3b", "mrt")


@pytest.fixture(scope="module", params=WORLDS)
def built(request, downloads, tmp_path_factory):
    """A world, and the folder that holds its data sets."""
    world, folder = PARAMS.worlds[request.param], tmp_path_factory.mktemp(request.param)
    for name, told in world.datasets.items():
        ALL[told.builder]({source: downloads[source] for source in told.sources}, folder / name, told.settings)
    return world, folder


def test_every_source_of_these_worlds_is_made_in_small(downloads):
    named = {source for world in WORLDS for told in PARAMS.worlds[world].datasets.values() for source in told.sources}
    assert named <= set(downloads)


def test_every_benchmark_finds_its_questions_and_pictures(built):
    world, folder = built
    for name, benchmark in world.benchmarks.items():
        root = folder / benchmark.dataset / benchmark.folder
        examples = FORMS[benchmark.form].examples(root, benchmark.splits["test"], benchmark.subset)
        archive = ImageArchive(folder / benchmark.dataset)
        assert examples, name
        assert [one.image for one in examples if one.image and one.image not in archive] == [], name


def test_every_data_set_passes_its_picture_check(built):
    world, folder = built
    for name in world.datasets:
        archive = ImageArchive(folder / name)
        found = check_pictures(archive)
        assert (found.pictures, found.faulty) == (len(archive.distinct()), 0), name


def test_every_mixture_and_pretraining_finds_its_conversations(built):
    world, folder = built
    wanted = {mixture.conversations for mixture in world.mixtures.values()}
    wanted |= {world.pretrain.dataset} if world.pretrain else set()
    for name in wanted:
        conversations, archive = read(folder / name / "conversations.json"), ImageArchive(folder / name)
        assert conversations, name
        assert [one.image for one in conversations if one.image and one.image not in archive] == [], name
