"""The vocabulary is 6 categories of 8 kinds and speaks about them in passable English."""

from __future__ import annotations

from steering.data.embedded.vocabulary import CATEGORIES, KINDS, plural, short_name, svg_names, with_article


def test_there_are_six_categories_of_eight_different_kinds():
    assert len(CATEGORIES) == 6
    assert {len(kinds) for kinds in CATEGORIES.values()} == {8}
    assert len(set(KINDS)) == 48


def test_articles_and_plurals():
    assert [with_article(kind) for kind in ("owl", "cat")] == ["an owl", "a cat"]
    assert [plural(kind) for kind in ("bus", "cat", "leaves", "fish")] == ["buses", "cats", "leaves", "fish"]


def test_a_word_may_differ_from_its_short_name():
    assert [short_name(kind) for kind in ("train", "tree", "cat")] == ["train2", "evergreen_tree", "cat"]


def test_an_svg_is_sought_with_and_without_the_variation_selector():
    assert svg_names("gear", {"gear": "2699-FE0F"}) == ("2699-FE0F.svg", "2699.svg")
