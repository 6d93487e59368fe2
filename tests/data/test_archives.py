"""Members of zip and tar archives reach the disk only by plain, relative, unique names and within the size allowed."""

from __future__ import annotations

import io
import stat
import tarfile
import warnings
import zipfile

import pytest

from steering.data import archives
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


def test_what_unpacks_to_far_more_than_its_own_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FROM_BYTES", 500_000)
    archive = zipped(tmp_path / "a.zip", "bomb", content=bytes(1_000_000))
    with pytest.raises(SourceError, match="bomb: unpacks to 1,000,000 bytes so far, .*allowed are 200 times as many"):
        extract(archive, tmp_path / "out", ["*"])
    assert not (tmp_path / "out").exists()
    assert extract(archive, tmp_path / "out", ["*"], limit_ratio=2000)


def tarred(path, *members: tarfile.TarInfo | str, content: bytes = b"x" * 100):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "good"
    return info


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_matching_members_of_a_tar_are_written(tmp_path, name):
    archive = tarred(tmp_path / name, special("./in", tarfile.DIRTYPE), "./in/x.csv", "in/y.txt", "z.csv")
    written = extract(archive, tmp_path / "out", ["*.csv"])
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["in/x.csv", "z.csv"]
    assert written[0].read_bytes() == b"x" * 100


@pytest.mark.parametrize("name", ["../evil", "in/../../evil", "/etc/evil", "in\\evil"])
def test_a_tar_path_that_leaves_the_folder_is_refused_by_name(tmp_path, name):
    with pytest.raises(SourceError, match="evil: "):
        extract(tarred(tmp_path / "a.tar.gz", "good", name), tmp_path / "out", ["good"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_of_a_tar_are_refused(tmp_path, kind):
    with pytest.raises(SourceError, match="odd: link or special file"):
        extract(tarred(tmp_path / "a.tar", "good", special("odd", kind)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_name_given_twice_is_refused_however_it_is_spelt(tmp_path):
    with pytest.raises(SourceError, match="given twice"):
        extract(tarred(tmp_path / "a.tar", "same", "./same"), tmp_path / "out")


def test_a_member_below_a_file_is_refused(tmp_path):
    with pytest.raises(SourceError, match="a/b: below a member that is a file"):
        extract(tarred(tmp_path / "a.tar", "a", "a/b"), tmp_path / "out")


def test_a_tar_bomb_is_refused_before_anything_is_written(tmp_path):
    archive = tarred(tmp_path / "a.tar.gz", "small", "bomb", content=bytes(1_000_000))
    with pytest.raises(SourceError, match="bomb: unpacks to 2,000,000 bytes so far; allowed are 1,500,000"):
        extract(archive, tmp_path / "out", limit_bytes=1_500_000)
    assert not (tmp_path / "out").exists()


def test_a_truncated_tar_is_damaged_and_leaves_nothing(tmp_path):
    archive = tarred(tmp_path / "a.tar.gz", "member", content=bytes(range(256)) * 400)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(SourceError, match="damaged"):
        extract(archive, tmp_path / "out")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path != archive]


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.zip").write_text("<html>")
    with pytest.raises(SourceError, match="neither a zip nor a tar"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    with pytest.raises(SourceError, match="not found"):
        extract(tmp_path / "none.zip", tmp_path / "out")
