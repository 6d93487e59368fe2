"""Several processes that each show a run of their own to MLflow in the same moment; takes URI, FOLDER, ARM...

MLflow is imported once, before the fork; every process then has a client of its own.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mlflow import MlflowClient  # noqa: F401

from steering.tracking import TrackingError, upload, upload_table
from tests.tracking.shown import TABLE, WORLD, made_up


def work(uri: str, folder: Path, arm: str, start: float) -> int:
    """Upload the run of *arm* and the table once *start* has come; the exit code of this process."""
    record = made_up(folder, arm)
    report = folder / "report.html"
    time.sleep(max(0.0, start - time.time()))
    try:
        upload(record, tracking_uri=uri, experiment=TABLE)
        upload_table([report], tracking_uri=uri, experiment=TABLE, world=WORLD)
    except TrackingError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def main(uri: str, folder: Path, arms: list[str]) -> None:
    children, start = [], time.time() + 1
    for arm in arms:
        if not (child := os.fork()):
            os._exit(work(uri, folder, arm, start))
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
