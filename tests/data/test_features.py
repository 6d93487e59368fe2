"""Features once: each distinct picture is encoded once and found by its identity."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from steering.data.features import Features, write_features
from steering.data.shards import ImageArchive, write_images
from steering.errors import DataError

COLOURS = {"train/a.png": 10, "train/b.png": 100, "test/c.png": 250}


def png(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), (level, level // 2, 0)).save(content, "PNG")
    return content.getvalue()


class Mean:
    """An encoder of 2 visual tokens, 3 wide: the mean colour and its double."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def preprocess(self, picture: Image.Image) -> Tensor:
        red, green, blue = picture.getpixel((0, 0))
        self.seen.append(red)
        return torch.tensor([red, green, blue], dtype=torch.float32)

    def __call__(self, pixels: Tensor) -> Tensor:
        return torch.stack([pixels, 2 * pixels], dim=1)


@pytest.fixture
def archive(tmp_path: Path) -> ImageArchive:
    items = [(name, png(level)) for name, level in COLOURS.items()]
    items.append(("test/again.png", png(10)))
    write_images(tmp_path / "set", items, {"iconqa/train/7/image.png": "train/b.png"})
    return ImageArchive(tmp_path / "set")


def written(archive: ImageArchive, path: Path, encoder: Mean | None = None, *, part: str = "train") -> Features:
    write_features(archive, encoder or Mean(), path, statistics=lambda name: name.startswith(part))
    return Features(path)


def test_each_distinct_picture_is_encoded_once(archive: ImageArchive, tmp_path: Path) -> None:
    encoder = Mean()
    assert write_features(archive, encoder, tmp_path / "f.safetensors", statistics=lambda name: True) == 3
    assert sorted(encoder.seen) == [10, 100, 250]


def test_a_picture_is_found_by_identity_under_all_its_names(archive: ImageArchive, tmp_path: Path) -> None:
    features = written(archive, tmp_path / "f.safetensors")
    for name, level in {**COLOURS, "test/again.png": 10, "iconqa/train/7/image.png": 100}.items():
        expected = torch.tensor([[level, level // 2, 0], [2 * level, level // 2 * 2, 0]])
        found = features.of(archive.identity(name))
        assert found.dtype == torch.float16
        assert torch.equal(found, expected.half())


def test_statistics_are_of_the_chosen_names_alone(archive: ImageArchive, tmp_path: Path) -> None:
    features = written(archive, tmp_path / "f.safetensors")
    chosen = torch.tensor([[10, 5, 0], [20, 10, 0], [100, 50, 0], [200, 100, 0]], dtype=torch.float32)
    assert torch.allclose(features.mean, chosen.mean(0))
    assert torch.allclose(features.std, chosen.std(0))


def test_statistics_are_of_all_where_none_is_chosen(archive: ImageArchive, tmp_path: Path) -> None:
    features = written(archive, tmp_path / "f.safetensors", part="nothing")
    assert features.mean[0] == pytest.approx((10 + 20 + 100 + 200 + 250 + 500) / 6)


def test_more_pictures_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    write_images(tmp_path / "many", [(f"{level}.png", png(level)) for level in range(70)])
    archive = ImageArchive(tmp_path / "many")
    features = written(archive, tmp_path / "f.safetensors")
    assert [float(features.of(archive.identity(f"{level}.png"))[0, 0]) for level in range(70)] == list(range(70))


def test_a_picture_that_was_never_encoded_is_named(archive: ImageArchive, tmp_path: Path) -> None:
    features = written(archive, tmp_path / "f.safetensors")
    with pytest.raises(DataError, match=r"f\.safetensors: picture 0123456789abcdef has no features.*3 pictures"):
        features.of("0123456789abcdef")


def test_equal_pictures_give_equal_files(archive: ImageArchive, tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(archive, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
