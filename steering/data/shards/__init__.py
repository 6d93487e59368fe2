"""Picture archives: uncompressed tar shards and a parquet index of where each picture's bytes lie, read by position.

A data set folder holds `images-00000.tar`, `images-00001.tar`, ... and `images.parquet`, a row for each name (see
steering.data.shards.index). Several names may point at the same bytes, so that a picture has one identity under every
official path.
"""

from steering.data.shards.archive import UNREADABLE, ImageArchive
from steering.data.shards.writing import SHARD_BYTES, write_images

__all__ = ["SHARD_BYTES", "UNREADABLE", "ImageArchive", "write_images"]
