"""What every converter promises: whole data sets, the same bytes twice, nested samples, and no fault in silence."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published import check_whole, lcs, row, save_folder, save_json, written

from steering.data.conversations import Conversation, read
from steering.data.converters import CONVERTERS, SOURCES
from steering.data.converters.conversion import convert
from steering.data.converters.pictures import Place
from steering.data.converters.settings import Settings, read_settings
from steering.errors import DataError, SourceError
from tests.official_writing import picture, save_zip

PLACES = (Place("pictures"),)
DROP = Settings(policy="drop", dropped_share=0.9)


def converted(folder, rows, members, known=DROP):
    save_folder(folder / "raw", members)
    facts = convert("some 1", rows, folder / "out", pictures=(PLACES, {"pictures": folder / "raw"}), settings=known)
    return check_whole(folder / "out", facts), facts


def good(number):
    return row(f"{number}", f"{number}.jpg", "<image>\nWhat?", f"It is {number}.")


ODD = st.sampled_from(
    [
        lambda number: good(number),
        lambda number: row("same", f"{number}.jpg", "<image>\nWhat?", "Yes."),
        lambda number: row(f"{number}", None, "Hello", "Hi"),
        lambda number: row(f"{number}", "missing.jpg", "<image>\nWhat?", "Yes."),
        lambda number: row(f"{number}", "broken.jpg", "<image>\nWhat?", "Yes."),
        lambda number: row(f"{number}", "0.jpg", "<image>\n<image>What?", "Yes.", "And?"),
        lambda number: row(f"{number}", "0.jpg", "<image>", ""),
        lambda number: row("same#2", "0.jpg", "What?", "\ud83d"),
    ]
)


@given(st.lists(ODD, min_size=1, max_size=12), st.integers(0, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows_the_data_set_is_whole_or_refused(tmp_path_factory, makers, sample):
    folder = tmp_path_factory.mktemp("odd")
    members = {f"{number}.jpg": picture(number) for number in range(12)} | {"broken.jpg": picture(1)[:-40]}
    rows = [make(number) for number, make in enumerate(makers)]
    try:
        converted(folder, rows, members, Settings(policy="drop", dropped_share=0.99, rows=sample))
    except DataError:
        assert not (folder / "out").exists()


def test_converting_twice_from_zip_or_folder_gives_identical_bytes(tmp_path):
    sources = lcs(tmp_path / "raw")
    shutil.unpack_archive(sources["lcs558k_images"], tmp_path / "raw/unpacked/images")
    unpacked = sources | {"lcs558k_images": tmp_path / "raw/unpacked"}
    for name, raw in (("a", sources), ("b", sources), ("c", unpacked)):
        CONVERTERS["lcs558k"](raw, tmp_path / name, {})
    assert written(tmp_path / "a") == written(tmp_path / "b") == written(tmp_path / "c")


def test_samples_are_nested_seeded_and_in_the_order_of_the_file(tmp_path):
    ids, facts = {}, {}
    for rows, seed in ((5, 0), (12, 0), (0, 0), (12, 1)):
        out = tmp_path / f"{rows}-{seed}"
        facts[rows, seed] = CONVERTERS["lcs558k"](lcs(tmp_path / "raw"), out, {"rows": rows, "seed": seed})
        ids[rows, seed] = [one.id for one in check_whole(out, facts[rows, seed])]
    assert set(ids[5, 0]) < set(ids[12, 0]) < set(ids[0, 0])
    assert [len(ids[key]) for key in ids] == [5, 12, 40, 12]
    assert set(ids[12, 0]) != set(ids[12, 1])
    assert all(found == sorted(found) for found in ids.values())
    assert facts[12, 0]["sample"]["seed"] == 0
    assert len({one["sample"]["ids_sha256"] for one in facts.values()}) == 4
    assert facts[5, 0]["counts"]["not_sampled"] == 35


def test_a_sample_is_filled_up_where_a_picture_turns_out_broken(tmp_path):
    rows = [good(number) for number in range(20)]
    members = {f"{number}.jpg": picture(number) for number in range(20)}
    whole, _ = converted(tmp_path / "a", rows, members, Settings("drop", 0.5, rows=6))
    lost = whole[0].image
    found, facts = converted(tmp_path / "b", rows, members | {lost: b"<html>"}, Settings("drop", 0.5, rows=6))
    assert len(found) == 6
    assert {one.id for one in whole} - {one.id for one in found} == {whole[0].id}
    assert facts["counts"]["dropped"] == {"picture unreadable": 1}


def test_a_sample_of_more_rows_than_there_are_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"some 1: 2 usable rows; the sample takes 3 \(setting rows\)"):
        converted(tmp_path, [good(0), good(1)], {"0.jpg": picture(0), "1.jpg": picture(1)}, Settings(rows=3))


def test_an_empty_list_is_refused(tmp_path):
    with pytest.raises(DataError, match="0 usable rows"):
        converted(tmp_path, [], {"0.jpg": picture(0)})


def test_duplicate_ids_are_numbered_and_their_rows_kept(tmp_path):
    rows = [row(name, None, "Hello", "Hi") for name in ("a", "a#2", "a", "a", "a#2")]
    found, facts = converted(tmp_path, rows, {"0.jpg": picture(0)})
    assert [one.id for one in found] == ["a", "a#2", "a#3", "a#4", "a#2#2"]
    assert facts["counts"]["repaired"] == {"duplicate id: numbered": 3}


def test_strict_names_the_first_ten_of_each_kind(tmp_path):
    rows = [row(f"m{number}", "missing.jpg", "<image>What?", "x") for number in range(12)]
    rows += [row(f"e{number}", None, "What?", "") for number in range(3)] + [row("q", None, "a", "b", "c")]
    with pytest.raises(DataError) as error:
        converted(tmp_path, rows, {"0.jpg": picture(0)}, Settings())
    head, *lines = str(error.value).splitlines()
    assert head == "some 1: 15 rows to drop, 1 to repair of 16; policy strict allows none (allowed: drop)"
    assert lines[0] == "  dropped: no answer: 3: row 12 (id 'e0'), row 13 (id 'e1'), row 14 (id 'e2')"
    assert lines[1].startswith("  dropped: picture missing: 12: row 0 (id 'm0'), ")
    assert lines[1].endswith("row 9 (id 'm9'), and 2 more")
    assert lines[2] == "  repaired: last question without an answer: cut: 1: row 15 (id 'q')"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("broken", "fits"), [(1, True), (2, False)])
def test_more_than_the_allowed_share_is_refused_at_either_pass(tmp_path, broken, fits):
    for kind, content in (("missing", None), ("unreadable", b"x")):
        rows = [good(number) for number in range(100)]
        members = {f"{number}.jpg": picture(number) for number in range(broken, 100)}
        members |= {f"{number}.jpg": content for number in range(broken) if content is not None}
        if fits:
            _, facts = converted(tmp_path / kind, rows, members, Settings("drop"))
            assert facts["counts"]["dropped"] == {f"picture {kind}": broken}
            continue
        with pytest.raises(DataError, match=r"some 1: 2 of 100 rows would be dropped; allowed is a share of 0\.01"):
            converted(tmp_path / kind, rows, members, Settings("drop"))


def test_a_picture_shared_by_rows_is_copied_once_and_equal_ones_are_counted(tmp_path):
    rows = [good(0), good(1), row("2", "0.jpg", "<image>Why?", "So.")]
    found, facts = converted(tmp_path, rows, {"0.jpg": picture(0), "1.jpg": picture(0)})
    assert len(found) == 3
    assert (facts["counts"]["pictures"], facts["counts"]["pictures_distinct"]) == (2, 1)


def test_a_damaged_zip_ends_the_conversion_and_leaves_nothing(tmp_path):
    sources = lcs(tmp_path / "raw")
    content = bytearray(sources["lcs558k_images"].read_bytes())
    content[100:200] = bytes(100)
    sources["lcs558k_images"].write_bytes(content)
    with pytest.raises(SourceError, match=r"images\.zip: 00000/000000000\.jpg: damaged"):
        CONVERTERS["lcs558k"](sources, tmp_path / "out", {"policy": "drop", "dropped_share": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_all_unknown_and_impossible_settings_are_named_at_once():
    with pytest.raises(DataError) as error:
        read_settings("x", {"polcy": 1, "policy": "lax", "rows": -1, "seed": "1", "dropped_share": 1})
    lines = str(error.value).splitlines()
    assert lines[0].startswith("x: setting polcy: unknown (did you mean policy?); allowed are policy, dropped_share")
    assert [line.split()[2] for line in lines[1:]] == ["policy:", "dropped_share:", "rows:", "seed:"]


@pytest.mark.parametrize("name", CONVERTERS)
def test_all_missing_sources_are_named_at_once(tmp_path, name):
    first, *others = SOURCES[name]
    with pytest.raises(DataError) as error:
        CONVERTERS[name]({first: tmp_path / "gone"}, tmp_path / "out", {})
    lines = str(error.value).splitlines()
    assert lines[0] == f"{name}: source {first}: not there: {tmp_path / 'gone'}"
    assert lines[1:-1] == [f"{name}: source {other}: not given" for other in others]


def test_the_instruction_of_a_caption_is_read_before_and_after_the_placeholder(tmp_path):
    facts = CONVERTERS["lcs558k"](lcs(tmp_path / "raw", 4), tmp_path / "out", {})
    found = check_whole(tmp_path / "out", facts)
    assert {one.turns[0][0] for one in found} == {"Write a terse caption."}
    assert found[1] == Conversation("000000001", "00001/000000001.jpg", (("Write a terse caption.", "caption 1"),))
    assert facts["counts"]["repaired"] == facts["counts"]["dropped"] == {}
    assert facts["counts"]["by_source"] == {"lcs558k_images": 4}


def test_vision_flan_takes_its_pictures_by_plain_names(tmp_path):
    rows = [row(f"task{number}", f"{number}.jpg", "<image>\nRead.", "a") for number in range(3)]
    sources = {
        "visionflan_json": save_json(tmp_path / "annotation_191-task_1k.json", rows),
        "visionflan_images": save_zip(
            tmp_path / "i.zip", {f"images_191task_1k/{number}.jpg": picture(number) for number in range(3)}
        ),
    }
    found = check_whole(tmp_path / "out", CONVERTERS["visionflan"](sources, tmp_path / "out", {}))
    assert [one.image for one in found] == ["0.jpg", "1.jpg", "2.jpg"]


def test_what_is_written_is_what_one_dump_of_all_rows_would_be(tmp_path):
    CONVERTERS["lcs558k"](lcs(tmp_path / "raw", 3), tmp_path / "out", {})
    text = (tmp_path / "out/conversations.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    assert len(read(tmp_path / "out/conversations.json")) == 3
