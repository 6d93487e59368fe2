"""What every stage shares at its edges: a slice in, files out, a user's own fault told in plain words.

`python -m stages.X SLICE` reads one slice file (`snakemake -n -p` prints the path) and writes the outputs that
steering.layout names for it.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from steering import layout
from steering.attempts import recorded
from steering.errors import DataError, SteeringError
from steering.manifest import digest, now, provenance, read_json, sha256_file, write_json

Slice = dict[str, Any]

UNDETERMINING = ("engine", "pretrain_seed")
MAKE_IT = "run the rule that makes this folder"


def run_stage(main: Callable[[Slice], None], *, about: str) -> None:
    """The command line of a stage. Ends with code 0, or with an error's own code and its text, without a traceback."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("slice", type=Path, help="the job's slice, a JSON file")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads to use (default: all)")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    offline()
    try:
        content = read_slice(arguments.slice)
        with recorded(arguments.slice):
            main(content)
    except SteeringError as error:
        _end(_told(error))
    except (OSError, RuntimeError, SafetensorError) as error:
        if not (advice := _advice(error)):
            raise
        _end(_told(SteeringError(f"{getattr(error, 'filename', None) or Path.cwd()}: {advice}")))


def offline() -> None:
    """Model libraries ask no hub and say nothing but errors; before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)  # PEFT asks


def threads() -> int:
    """CPU threads this stage may use, as its command line said; one where nothing was said."""
    return int(os.environ.get("OMP_NUM_THREADS", 1))


def _end(code: int) -> None:
    """Exit; of several processes at once, lest the interpreter waits for the others or loses the code on its way."""
    if "STEERING_CHILD" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _advice(error: Exception) -> str | None:
    """What a user can do about the machine's own refusal; None where *error* is something else."""
    if _disk_full(error):
        return "the disk is full; free some space, then run again"
    refused = {errno.EACCES: "no permission", errno.EPERM: "no permission", errno.EROFS: "a read-only file system"}
    reason = refused.get(getattr(error, "errno", 0) or 0)
    return reason and f"{reason}; make it writable, then run again"


def _disk_full(error: Exception) -> bool:
    """safetensors tells a full disk in words of its own."""
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)


def _told(error: SteeringError) -> int:
    print(error, file=sys.stderr)
    return error.exit_code


def read_slice(path: Path) -> Slice:
    return _read(path, SteeringError, "`snakemake -n -p` writes the slices and prints their paths")


def _read(path: Path, kind: type[SteeringError], advice: str) -> Any:
    """The JSON in *path*; where it is missing or broken an error of *kind* with *advice*."""
    try:
        return read_json(path)
    except FileNotFoundError:
        raise kind(f"{path}: not there; {advice}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise kind(f"{path}: not JSON; {advice}") from None


class Job:
    """One job's way from inputs to outputs: its provenance, and its state in the run store.

    The state lies under the digest of the slice and of the inputs' contents. A finished state is delivered again in
    seconds; a changed slice or input has another digest and starts afresh. How steps are computed (`engine`) is in no
    digest: a run goes on, from the same checkpoint, with another number of processes. Nor is where an input lies
    (`pretrain_seed`), whose contents are.
    """

    def __init__(self, kind: str, content: Slice, inputs: Mapping[str, Path]):
        self.kind, self.content = kind, content
        self.inputs = {name: contents(folder) for name, folder in inputs.items()}
        determined = {name: value for name, value in content.items() if name not in UNDETERMINING}
        self.run = {name: digest(value) for name, value in determined.items()} | self.inputs
        self.key = digest({"kind": kind, "slice": determined, "inputs": self.inputs})
        self.state = layout.RUNS / self.key
        self.started, self._clock = now(), time.monotonic()

    @property
    def finished(self) -> Path:
        return self.state / "finished"

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A folder for results, kept as `finished` when the block ends well; left for a resume when it does not.

        Of several processes the first alone makes anything: the others have the folder's name and no more.
        """
        making = self.state / "making"
        making.mkdir(parents=True, exist_ok=True)
        yield making
        if os.environ.get("RANK", "0") != "0":
            return
        making.rename(self.finished)
        shutil.rmtree(self.state / "checkpoints", ignore_errors=True)

    def deliver(self, out: Path) -> None:
        """Replace *out* by the finished results; the manifest comes last, so that it stands for all of them."""
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.finished, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        shutil.copy2(self.finished / "manifest.json", out / "manifest.json")

    def manifest(self, folder: Path, **facts: Any) -> None:
        """Write *folder*/manifest.json: provenance, *facts* and the sha256 of every file beside it."""
        told = provenance(
            kind=self.kind, started=self.started, runtime_seconds=time.monotonic() - self._clock, inputs=self.inputs
        )
        write_json(folder / "manifest.json", {**told, "slice": self.content, **facts, "outputs": _sums(folder)})


def _sums(folder: Path) -> dict[str, str]:
    kept = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") and p.name != "manifest.json")
    files = sorted(kept)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def contents(folder: Path) -> str:
    """A digest of what *folder* holds, from its manifest; of the bytes themselves for a single file."""
    if folder.is_file():
        return sha256_file(folder)[:16]
    return digest(_read(folder / "manifest.json", DataError, MAKE_IT)["outputs"])


def check_outputs(folder: Path, names: Iterable[str]) -> None:
    """Raises DataError unless *names* in *folder* are the bytes its manifest promises."""
    for damage in damages(folder, names):
        raise DataError(damage)


def damages(folder: Path, names: Iterable[str] | None = None) -> Iterator[str]:
    """A line for each of *names* in *folder*, by default all, that are not the bytes its manifest promises."""
    promised = _read(folder / "manifest.json", DataError, MAKE_IT).get("outputs", {})
    for name in promised if names is None else names:
        found = sha256_file(folder / name) if (folder / name).exists() else "no file"
        if found != promised.get(name):
            yield f"{folder / name}: damaged: its manifest says {promised.get(name)}, found {found}; make it again"


def fetched(folder: Path) -> Path:
    """The file that the fetch stage put into *folder*."""
    return folder / _read(folder / "manifest.json", DataError, "run the fetch rule of this source")["file"]
