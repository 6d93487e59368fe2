"""What picture shards cost against other ways to keep pictures: `python -m benchmarks.storage`.

stores: seconds to write all pictures, to open and read a first one by name, and MB/s of reads in the order of writing
        and at random; see benchmarks.stores for the contenders. Their files lie in the machine's memory by then, so
        that it is code that is compared and not disks.
decode: pictures a second as RGB, from shards and from loose files.
index:  of many rows without pictures: seconds to open and memory of a fresh process, ours against names and places as
        JSON in a dict.
loader: share of a training step that waits for data, with several numbers of workers; see benchmarks.waiting.

Ratios are over `files` within one run, below 1 where the store is faster; intervals are 95 %. See benchmarks.measure
for how they are made.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from PIL import Image

from benchmarks.command import command, positive
from benchmarks.measure import circumstances, interleaved, ratio, seconds
from benchmarks.methods import table
from benchmarks.stores import BASE, STORES, picture_name, pictures
from benchmarks.waiting import wait_share
from steering.data.shards import ImageArchive
from steering.data.shards.index import INDEX, Entry, Index, Row, write_index
from steering.manifest import write_json
from steering.progress import progress

CPU = torch.device("cpu")
KINDS = ("open", "sequential", "random")
MEGABYTE = 1e6
QUIET_LOAD = 0.5
"""Processes that run beside a measurement, above which its figures are rough."""


def measure(
    *, count: int, side: int, reads: int, rows: int, steps: int, workers: Sequence[int], repeats: int, seed: int
) -> dict[str, Any]:
    """The whole record of one run: *count* pictures of *side* pixels, *reads* of them read in each round."""
    settings = {"count": count, "side": side, "reads": reads, "rows": rows, "steps": steps, "workers": list(workers)}
    told = circumstances(CPU, **settings, repeats=repeats, warmup=1, seed=seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = {store: _written(folder / store, store, count, side, seed) for store in STORES}
        names = [picture_name(number) for number in range(count)]
        size = sum(len(content) for _, content in pictures(count, side=side, seed=seed))
        told |= {"pictures": {"count": count, "bytes": size}}
        told |= {"stores": _stores(folder, written, names, reads=reads, repeats=repeats, seed=seed)}
        told |= {"decode": _decoding(folder, _drawn(names, reads, seed), repeats=repeats, seed=seed)}
        told |= {"index": _indices(folder, rows)}
        shards = folder / "shards"
        batch = min(16, count)
        told |= {
            "loader": {
                f"{number} workers": wait_share(shards, names, workers=number, steps=steps, batch=batch, seed=seed)
                for number in workers
            }
        }
    return told


def _written(folder: Path, store: str, count: int, side: int, seed: int) -> float:
    """Seconds to write all pictures; those of making them, which are few, included."""
    items = progress(pictures(count, side=side, seed=seed), f"{store}: pictures written")
    return seconds(lambda: STORES[store].write(folder, items), CPU)


def _drawn(names: Sequence[str], reads: int, seed: int) -> list[str]:
    return random.Random(seed).sample(list(names), min(reads, len(names)))


def _stores(
    folder: Path, written: dict[str, float], names: list[str], *, reads: int, repeats: int, seed: int
) -> dict[str, Any]:
    chosen = {"open": names[-1:], "sequential": names[:reads], "random": _drawn(names, reads, seed)}
    raw, held = {}, {}
    for kind, asked in chosen.items():
        works = {store: _reading(folder / store, store, asked, fresh=kind == "open") for store in STORES}
        raw[kind] = interleaved(works, rounds=repeats, warmup=1, seed=seed, what=kind)
        read = STORES[BASE].open(folder / BASE)
        held[kind] = sum(len(read(name)) for name in asked) / MEGABYTE
    return {
        store: {
            "write_seconds": written[store],
            "open_seconds": median(raw["open"][store]),
            "raw": {kind: raw[kind][store] for kind in KINDS},
            "ratios": {kind: ratio(raw[kind][store], raw[kind][BASE]).as_dict() for kind in KINDS},
            "megabytes_per_second": {kind: held[kind] / median(raw[kind][store]) for kind in KINDS[1:]},
        }
        for store in STORES
    }


def _reading(folder: Path, store: str, names: Sequence[str], *, fresh: bool) -> Callable[[], float]:
    """Seconds of reading *names*, opening included where each time is to be a *fresh* one."""
    opened = None if fresh else STORES[store].open(folder)

    def read_all() -> None:
        read = opened or STORES[store].open(folder)
        for name in names:
            read(name)

    return lambda: seconds(read_all, CPU)


def _decoding(folder: Path, names: Sequence[str], *, repeats: int, seed: int) -> dict[str, Any]:
    archive, files = ImageArchive(folder / "shards"), folder / BASE

    def from_file(name: str) -> Image.Image:
        with Image.open(files / name) as picture:
            return picture.convert("RGB")

    def each(decode: Callable[[str], Image.Image]) -> None:
        for name in names:
            decode(name)

    ways = {"shards": archive.open, BASE: from_file}
    works = {name: partial(seconds, partial(each, way), CPU) for name, way in ways.items()}
    raw = interleaved(works, rounds=repeats, warmup=1, seed=seed, what="decode")
    rates = {name: len(names) / median(values) for name, values in raw.items()}
    return {"raw": raw, "pictures_per_second": rates, "ratio": ratio(raw["shards"], raw[BASE]).as_dict()}


def _indices(folder: Path, rows: int) -> dict[str, Any]:
    """Ours and JSON: bytes on disk, seconds to open and find one name, and memory that takes."""
    names = [picture_name(number) for number in range(rows)]
    entries = [
        Entry(number >> 16, 512 * number, 9000, f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}") for number in range(rows)
    ]
    ours, peer = folder / INDEX, folder / "images.json"
    took = seconds(lambda: write_index(ours, names, [Row(entry, ("JPEG", 96, 96)) for entry in entries]), CPU)
    peer.write_text(json.dumps(dict(zip(names, entries, strict=True)), separators=(",", ":")))
    ways = {"shards": (ours, _find), "json": (peer, _find_json)}
    found = {name: _alone(find, path, names[-1]) for name, (path, find) in ways.items()}
    return {name: {"rows": rows, "bytes": path.stat().st_size, **found[name]} for name, (path, _) in ways.items()} | {
        "write_seconds": took
    }


def _find(path: Path, name: str) -> Any:
    index = Index(path)
    return index, index[name]


def _find_json(path: Path, name: str) -> Any:
    index = json.loads(path.read_text())
    return index, index[name]


def _alone(find: Callable[[Path, str], Any], path: Path, name: str) -> dict[str, float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_measured, find, path, name).result()


def _measured(find: Callable[[Path, str], Any], path: Path, name: str) -> dict[str, float]:
    """In a process of its own, whose libraries are loaded before the clock starts."""
    import pyarrow.parquet  # noqa: F401

    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    kept = find(path, name)
    took = time.perf_counter() - began
    grown = psutil.Process().memory_info().rss - before
    del kept
    return {"open_seconds": took, "memory_bytes": grown}


def rows_of(record: dict[str, Any]) -> list[list[str]]:
    """Header and one line per store."""
    header = ["store", "write, s", "open, s", "sequential, MB/s", "random, MB/s", "open", "sequential", "random"]
    return [header] + [
        [
            name,
            f"{row['write_seconds']:.1f}",
            f"{row['open_seconds']:.4f}",
            *(f"{rate:,.0f}" for rate in row["megabytes_per_second"].values()),
            *(_told(row["ratios"][kind]) for kind in KINDS),
        ]
        for name, row in record["stores"].items()
    ]


def index_rows(record: dict[str, Any]) -> list[list[str]]:
    header = ["index", "rows", "on disk, MB", "open, s", "memory, MB"]
    found = {name: row for name, row in record["index"].items() if isinstance(row, dict)}
    return [header] + [
        [
            name,
            f"{row['rows']:,}",
            f"{row['bytes'] / MEGABYTE:.1f}",
            f"{row['open_seconds']:.3f}",
            f"{row['memory_bytes'] / MEGABYTE:.0f}",
        ]
        for name, row in found.items()
    ]


def loader_rows(record: dict[str, Any]) -> list[list[str]]:
    header = ["loader", "step, s", "waiting, share"]
    return [header] + [
        [name, f"{row['seconds'] / row['steps']:.4f}", f"{row['wait_share']:.3f}"]
        for name, row in record["loader"].items()
    ]


def _told(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main(arguments: list[str] | None = None) -> None:
    told = vars(_parser().parse_args(arguments))
    out, markdown = told.pop("out"), told.pop("markdown")
    record = measure(**told)
    write_json(out, record)
    for rows in (rows_of(record), index_rows(record), loader_rows(record)):
        print(table(rows, markdown=markdown), end="\n\n")
    decode = record["decode"]
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in decode["pictures_per_second"].items())
    print(f"pictures decoded a second: {rates}; time over {BASE}: {_told(decode['ratio'])}")
    if (load := record["machine"]["load"]) > QUIET_LOAD:
        print(f"the machine was busy (load {load}): ratios hold, all else is rough")
    print(f"written: {out}")


def _parser() -> argparse.ArgumentParser:
    parser = command("storage", __doc__, repeats=5, repeated="rounds of each comparison")
    parser.add_argument("--count", type=positive, default=100_000, help="pictures")
    parser.add_argument("--side", type=positive, default=96, help="pixels of a picture's side")
    parser.add_argument("--reads", type=positive, default=5_000, help="pictures read in a round")
    parser.add_argument("--rows", type=positive, default=1_000_000, help="of the index that is measured by itself")
    parser.add_argument("--steps", type=positive, default=40, help="training steps with each number of workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], metavar="N")
    return parser


if __name__ == "__main__":
    main()
