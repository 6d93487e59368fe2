"""Zip members reach the disk only by plain, relative, unique names and within the size allowed."""

from __future__ import annotations

import stat
import warnings
import zipfile

import pytest

from steering.data.archives import extract
from steering.errors import SourceError


def zipped(path, *names: str, content: bytes = b"x" * 100):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, content)
    return path


def test_matching_members_are_written(tmp_path):
    archive = zipped(tmp_path / "a.zip", "in/x.svg", "in/y.txt", "z.svg")
    written = extract(archive, tmp_path / "out", ["*.svg"])
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["in/x.svg", "z.svg"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["x.svg", "z.svg"]


@pytest.mark.parametrize("name", ["../evil", "in/../../evil", "/etc/evil", "C:/evil", "in\\evil"])
def test_a_path_that_leaves_the_folder_is_refused_by_name(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", "good", name)
    with pytest.raises(SourceError, match="evil: "):
        extract(archive, tmp_path / "out", ["good"])
    assert not (tmp_path / "out").exists()


def test_a_symbolic_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="link: link or special file"):
        extract(tmp_path / "a.zip", tmp_path / "out", ["*"])


def test_a_name_given_twice_is_refused(tmp_path):
    with pytest.raises(SourceError, match="same: given twice"):
        extract(zipped(tmp_path / "a.zip", "same", "same"), tmp_path / "out", ["*"])


def test_a_name_of_undeclared_encoding_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", "nXme")
    archive.write_bytes(archive.read_bytes().replace(b"nXme", b"n\xe9me"))
    with pytest.raises(SourceError, match="not UTF-8"):
        extract(archive, tmp_path / "out", ["*"])


def test_a_bomb_is_refused_before_anything_is_written(tmp_path):
    archive = zipped(tmp_path / "a.zip", "bomb", content=bytes(1_000_000))
    with pytest.raises(SourceError, match="bomb: unpacks to 1,000,000 bytes"):
        extract(archive, tmp_path / "out", ["*"], limit_bytes=999_999)
    assert not (tmp_path / "out").exists()


def test_a_damaged_member_is_named_and_not_left_behind(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("member", b"abcdefgh")
    archive.write_bytes(archive.read_bytes().replace(b"abcdefgh", b"abcdefgX"))
    with pytest.raises(SourceError, match="member: damaged"):
        extract(archive, tmp_path / "out", ["*"])
    assert list((tmp_path / "out").iterdir()) == []
