"""Scenes hold what they promise, evenly, and their pictures show it."""

from __future__ import annotations

from collections import Counter

import pytest
from PIL import Image

from steering.data.embedded.scenes import CELL_PX, ICON_PX, SCENE_PX, draw, make_sprites, plan_scenes, png
from steering.data.embedded.vocabulary import CATEGORY_OF, KINDS

BOX = '<rect x="9" y="9" width="54" height="54" fill="#123456"/>'
SVG = f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{BOX}</svg>'


@pytest.fixture(scope="module")
def scenes():
    return plan_scenes("train", 960, seed=0)


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(dict.fromkeys(KINDS, SVG))


def test_a_target_has_its_copies_and_other_kinds_stand_once(scenes):
    for scene in scenes:
        counts = Counter(kind for kind in scene.cells if kind)
        assert counts.pop(scene.target) == scene.copies
        assert set(counts.values()) <= {1}


def test_every_kind_is_target_equally_often_with_every_count(scenes):
    pairs = Counter((scene.target, scene.copies) for scene in scenes)
    assert len(pairs) == len(KINDS) * 4
    assert set(pairs.values()) == {5}


def test_other_cells_are_filled_seven_times_of_ten(scenes):
    free = sum(4 - scene.copies for scene in scenes)
    filled = sum(1 for scene in scenes for kind in scene.cells if kind not in (None, scene.target))
    assert abs(filled / free - 0.7) < 0.05


def test_distractors_come_from_all_categories_alike(scenes):
    others = Counter(CATEGORY_OF[kind] for scene in scenes for kind in scene.present if kind != scene.target)
    assert max(others.values()) < 1.35 * min(others.values())


def test_scenes_depend_on_seed_and_split_alone():
    assert plan_scenes("val", 50, seed=1) == plan_scenes("val", 50, seed=1)
    assert plan_scenes("val", 50, seed=1) != plan_scenes("val", 50, seed=2)
    assert [s.cells for s in plan_scenes("val", 50, seed=1)] != [s.cells for s in plan_scenes("test", 50, seed=1)]


def test_each_icon_stands_inside_its_cell(scenes, sprites):
    for scene in scenes[:40]:
        picture, boxes = draw(scene, sprites, seed=0)
        assert picture.size == (SCENE_PX, SCENE_PX)
        for cell, (kind, box) in enumerate(zip(scene.cells, boxes, strict=True)):
            assert (kind is None) == (box is None)
            if box:
                left, top = cell % 2 * CELL_PX, cell // 2 * CELL_PX
                assert left <= box[0] < box[2] <= left + CELL_PX and top <= box[1] < box[3] <= top + CELL_PX
                assert picture.getpixel(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)) == (0x12, 0x34, 0x56)


def test_icons_take_72_to_95_percent_of_a_cell():
    assert min(ICON_PX) / CELL_PX > 0.71 and max(ICON_PX) / CELL_PX < 0.96


def test_drawing_twice_gives_the_same_bytes(scenes, sprites):
    first, second = (png(draw(scenes[3], sprites, seed=0)[0]) for _ in range(2))
    assert first == second
    assert isinstance(draw(scenes[3], sprites, seed=1)[0], Image.Image)
