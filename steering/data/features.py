"""Features once: the frozen vision encoder's output for every picture of a data set, shared by all arms.

One safetensors file: `features` (n, v, c) float16 in the order of `identities`, with `mean` and `std` (c,) over
the pictures chosen for statistics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from steering.data.shards import ImageArchive
from steering.errors import DataError
from steering.progress import progress


@torch.inference_mode()
def write_features(
    archive: ImageArchive,
    encoder: Any,
    path: Path,
    *,
    statistics: Callable[[str], bool],
    left_out: Container[str] = (),
    device: torch.device | str = "cpu",
) -> int:
    """Encode each distinct picture of *archive* once; returns how many. *statistics* picks names for mean and std.

    left_out: names of pictures that cannot be used; device: where *encoder* is.
    Raises DataError where no picture is left.
    """
    names = {archive.identity(name): name for name in reversed(archive.names()) if name not in left_out}
    if not names:
        raise DataError(f"{archive.folder}: no picture that can be used; features need one")
    encoded = torch.cat(list(_encode(archive, encoder, list(names.values()), device=device)))  # (n, v, c)
    chosen = torch.tensor([statistics(name) for name in names.values()])
    basis = encoded[chosen].float().flatten(0, 1) if chosen.any() else encoded.float().flatten(0, 1)
    tensors = {"features": encoded, "mean": basis.mean(0), "std": basis.std(0)}
    save_file(tensors, path, metadata={"identities": json.dumps(list(names))})
    return len(names)


def _encode(
    archive: ImageArchive, encoder: Any, names: list[str], *, device: torch.device | str, batch: int = 64
) -> Iterable[Tensor]:
    for start in progress(range(0, len(names), batch), "batch of pictures"):
        pixels = torch.stack([encoder.preprocess(archive.open(name)) for name in names[start : start + batch]])
        yield encoder(pixels.to(device)).half().cpu()


class Features:
    """Random access to a features file by picture identity."""

    def __init__(self, path: Path):
        self.path = path
        self._file = safe_open(path, framework="pt")
        self._row = {identity: row for row, identity in enumerate(json.loads(self._file.metadata()["identities"]))}
        self._features = self._file.get_slice("features")
        self.mean: Tensor = self._file.get_tensor("mean")
        self.std: Tensor = self._file.get_tensor("std")

    def __contains__(self, identity: object) -> bool:
        return identity in self._row

    @property
    def tokens(self) -> int:
        """Visual tokens of each picture."""
        return int(self._features.get_shape()[1])

    def of(self, identity: str) -> Tensor:
        """(v, c) float16. Raises DataError for a picture that was never encoded."""
        if identity not in self._row:
            raise DataError(
                f"{self.path}: picture {identity} has no features; the file holds {len(self._row)} pictures"
            )
        row = self._row[identity]
        return self._features[row : row + 1][0]
