"""A finished experiment under git and DVC, whose files are stand-ins that Snakemake accepts, and its clones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from test_workflow import EXAMPLE, ROOT, copied, made_up, snakemake

BIN = Path(sys.executable).parent
EVERYTHING = ("all_small", "all_long")
GIT = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def make_finished(folder: Path) -> Path:
    """Every output of the example's experiments, in both worlds; checked in all but these."""
    copied(folder, EXAMPLE)
    for name in (".dvc", ".dvcignore", ".gitignore", "dvc.yaml", "Makefile"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name, **ignored(name))
    told = snakemake(folder, "--summary", *EVERYTHING)
    for line in told.stdout.splitlines()[1:]:
        made_up(folder / line.split("\t")[0], f"{line}\n")
    done(folder, "snakemake", "--touch", "--forceall", "--cores", "1", *EVERYTHING)
    done(folder, "git", "init", "--quiet")
    check_in(folder, "the experiments")
    return folder


def ignored(name: str) -> dict:
    return {"ignore": shutil.ignore_patterns("tmp", "cache", "config.local")} if name == ".dvc" else {}


def check_in(folder: Path, message: str) -> None:
    done(folder, "git", "add", "--all")
    done(folder, "git", *GIT, "commit", "--quiet", "--message", message)


def clone(folder: Path, place: Path, *, remote: str) -> Path:
    """Another checkout of *folder* that fetches from where *folder* pushes to."""
    done(folder, "git", "clone", "--quiet", str(folder), str(place))
    done(place, "dvc", "remote", "modify", "--local", "local", "url", remote)
    return place


def made(target: str) -> tuple[str, ...]:
    """The command that runs a recipe of the Makefile with this environment's programs."""
    return ("make", "--assume-old=setup", f"BIN={BIN}", target)


def done(folder: Path, *command: str, **more: str) -> str:
    answer = tried(folder, *command, **more)
    assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}"
    return answer.stdout + answer.stderr


def tried(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "DVC", "GIT_"))}
    path = os.pathsep.join([str(BIN), known.get("PATH", "")])
    told = known | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True)
