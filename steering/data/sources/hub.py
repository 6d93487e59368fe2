"""Files of a Hugging Face repository: {"kind": "hub", "repo", "revision", "files", "repo_type"?}.

revision is a commit, so that the same entry means the same bytes for ever. files: names or globs, all of which must be
there. They go into FOLDER/REPO/ as plain files, each checked against the sha256 (large files) or the git blob id that
the hub names for the commit; what came is recorded (see `promises`), so that a later fetch needs no network. Of models
only weights in safetensors and texts are taken; pickles and code never.
The token is the hub's own (HF_TOKEN, `hf auth login`).
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from steering.data.sources.promises import Promise, Source, record, recorded
from steering.data.sources.wording import gigabytes, label, without_credentials
from steering.errors import SourceError, nearest
from steering.progress import progress

MODEL_SUFFIXES = (".safetensors", ".json", ".txt", ".model", ".jinja")
REFUSED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".so", ".sh")
REPO_TYPES = ("model", "dataset")
IDENTITY = ("repo", "revision", "files", "repo_type")


def fetch_hub(source: Source, folder: Path) -> Path:
    """The folder of a hub source's files; see `steering.data.sources.fetch`."""
    _check(source)
    home = folder / _home(source)
    promises = hub_promises(source, folder)
    if promises and all(promise.fault() is None for promise in promises):
        return home
    shutil.rmtree(_aside(folder), ignore_errors=True)  # the hub's client begins an interrupted file anew
    with _hub_faults(source):
        chosen = _chosen(source, home)
        _check_space(source, chosen)
        for promise in progress(chosen, f"{source['repo']}, files"):
            if promise.fault() is not None:
                _bring(source, promise, folder)
    _drop(set(recorded(folder)["files"]) - {_name(promise, folder) for promise in chosen}, folder)
    record(folder, _identity(source), {_name(promise, folder): promise.path for promise in chosen})
    shutil.rmtree(_aside(folder), ignore_errors=True)
    return home


def hub_promises(source: Source, folder: Path) -> list[Promise]:
    """The files that the record in *folder* tells of this very entry; none before its first fetch."""
    told = recorded(folder)
    if told["of"] != _identity(source):
        return []
    return [
        Promise(folder / name, {"sha256": of["sha256"]}, of["bytes"], "known") for name, of in told["files"].items()
    ]


def _identity(source: Source) -> dict[str, Any]:
    return {
        **{key: source.get(key) for key in IDENTITY},
        "repo_type": _type(source),
        "files": sorted(_patterns(source)),
    }


def _type(source: Source) -> str:
    return source.get("repo_type") or "model"


def _patterns(source: Source) -> list[str]:
    files = source.get("files") or []
    return [files] if isinstance(files, str) else list(files)


def _home(source: Source) -> str:
    return source["repo"].split("/")[-1]


def _aside(folder: Path) -> Path:
    return folder / ".hub"


def _name(promise: Promise, folder: Path) -> str:
    return promise.path.relative_to(folder).as_posix()


def _check(source: Source) -> None:
    """Raises SourceError with all that is wrong in the entry itself."""
    faults = []
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo := str(source.get("repo"))) or ".." in repo or "/." in repo:
        faults.append(f"repo: {repo}; allowed is OWNER/NAME")
    if not re.fullmatch(r"[0-9a-f]{40}", str(source.get("revision"))):
        faults.append(
            f"revision: {source.get('revision')}; allowed is a commit, 40 hexadecimal digits, for a branch moves "
            "(the hub shows it under Files, History)"
        )
    if _type(source) not in REPO_TYPES:
        faults.append(f"repo_type: {_type(source)}; allowed: {', '.join(REPO_TYPES)}")
    if not _patterns(source):
        faults.append("files: missing; allowed are names or globs, *.safetensors for instance")
    faults += [fault for pattern in _patterns(source) if (fault := _refusal(pattern, "dataset"))]
    if faults:
        raise SourceError("\n".join(f"source {label(source)}: {fault}" for fault in faults))


def _refusal(name: str, repo_type: str) -> str | None:
    """Why a file of that name is not taken from a repository of that type."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name:
        return f"{name}: not below the repository; allowed are plain relative names"
    if place.suffix.lower() in REFUSED_SUFFIXES:
        return f"{name}: may run code when it is read; allowed are safetensors and plain data"
    if repo_type == "model" and place.suffix.lower() not in MODEL_SUFFIXES:
        return f"{name}: not taken from a model; allowed: {', '.join(MODEL_SUFFIXES)}"
    return None


def _chosen(source: Source, home: Path) -> list[Promise]:
    """The files of the commit that the entry names, with their sums; SourceError where one is missing or refused."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    entries = api.list_repo_tree(source["repo"], recursive=True, revision=source["revision"], repo_type=_type(source))
    listed = {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}
    faults, names = [], set()
    for pattern in _patterns(source):
        found = fnmatch.filter(listed, pattern)
        names.update(found)
        if not found:
            faults.append(f"{pattern}: no such file{nearest(pattern, listed)}; it has {len(listed)} files")
    faults += [fault for name in sorted(names) if (fault := _refusal(name, _type(source)))]
    if faults:
        raise SourceError("\n".join(f"source {label(source)}: {fault}" for fault in faults))
    return [_promise(listed[name], home) for name in sorted(names)]


def _promise(entry: Any, home: Path) -> Promise:
    sums = {"sha256": entry.lfs.sha256} if entry.lfs else {"git": entry.blob_id}
    return Promise(home / entry.path, sums, entry.size, "known")


def _check_space(source: Source, chosen: list[Promise]) -> None:
    needed = sum(promise.bytes or 0 for promise in chosen if promise.fault(read=False))
    folder = next(place for place in chosen[0].path.parents if place.is_dir())
    if needed > (free := shutil.disk_usage(folder).free):
        raise SourceError(
            f"source {label(source)}: {gigabytes(needed)} to fetch, {gigabytes(free)} free at {folder}; free space, "
            "or link the folder to a larger disk"
        )


def _bring(source: Source, promise: Promise, folder: Path) -> None:
    """Fetch one file beside the others and move it among them once it is right."""
    import huggingface_hub

    name = promise.path.relative_to(folder / _home(source)).as_posix()
    came = huggingface_hub.hf_hub_download(
        source["repo"],
        name,
        revision=source["revision"],
        repo_type=_type(source),
        local_dir=_aside(folder),
        endpoint=os.environ.get("HF_ENDPOINT"),
    )
    if fault := promise.fault(Path(came)):
        Path(came).unlink()
        raise SourceError(f"source {label(source)}: {name}: {fault}; the file was removed: run again")
    promise.path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(came, promise.path)


def _drop(names: set[str], folder: Path) -> None:
    """Remove what an earlier entry of this folder brought and the new one does not name."""
    for name in names:
        (folder / name).unlink(missing_ok=True)


@contextmanager
def _hub_faults(source: Source) -> Iterator[None]:
    from huggingface_hub import errors

    told = {  # a narrower error before the wider one it is of
        errors.GatedRepoError: "its terms must be accepted on the hub's page, then a token given (`hf auth login`)",
        errors.RepositoryNotFoundError: "no such repository, or a private one; check repo, repo_type and your token",
        errors.RevisionNotFoundError: "no such commit in that repository; check revision",
        errors.EntryNotFoundError: "a file of the commit could not be had; check files, then run again",
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set; unset it to fetch, or copy the files in by hand",
    }
    try:
        yield
    except SourceError:
        raise
    except Exception as fault:
        advice = next((text for kind, text in told.items() if isinstance(fault, kind)), None)
        if advice is None and not _of_the_network(fault):
            raise
        advice = advice or f"hub not reached ({_first_line(fault)}); check the network, then run again"
        raise SourceError(f"source {label(source)}: {advice}") from fault


def _of_the_network(fault: Exception) -> bool:
    """The hub's client raises errors of its HTTP library as they are, and that library changes between its releases."""
    if isinstance(fault, OSError):
        return fault.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM)
    return type(fault).__module__.split(".")[0].startswith(("httpx", "httpcore", "requests", "hf_xet"))


def _first_line(fault: Exception) -> str:
    return without_credentials(str(fault) or type(fault).__name__).splitlines()[0][:300]
