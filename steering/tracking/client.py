"""A client of MLflow that does not wait for the dead and tells no password, and the database made before any job."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from steering.metrics_log import TrackingError
from steering.tracking.address import public, refuse_silence, without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient

wait_seconds = 4  # for one answer while a run trains; with one repeat and its pause a dead server costs about ten
upload_wait_seconds = 20  # for one answer when all is done and a slow server keeps nobody waiting
ARTIFACT_ROOT = "steering.artifact_root"
DEFAULT_EXPERIMENT = "0"


def initialise(db_uri: str, artifact_root: str) -> None:
    """Create the database of *db_uri* (sqlite:///...) before any job opens it: several at once would break a fresh one.

    Raises:
        TrackingError: the database cannot be made.
    """
    if db_uri.startswith("sqlite:///"):
        Path(db_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    root = artifact_root if urlsplit(artifact_root).scheme else Path(artifact_root).resolve().as_uri()
    with speaking_to(db_uri) as client:
        client.set_experiment_tag(DEFAULT_EXPERIMENT, ARTIFACT_ROOT, root)


@contextlib.contextmanager
def speaking_to(uri: str, *, patience: float | None = None) -> Iterator[MlflowClient]:
    """An MLflow client whose every fault is a `TrackingError`, and which does not wait for the dead.

    patience: seconds for one answer, by default `wait_seconds`; nobody to connect to is noticed within those always.
    """
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(patience or wait_seconds)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it would print the password with the address
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    refuse_silence(uri, wait_seconds=wait_seconds)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri=uri)
    except (MlflowException, OSError) as fault:
        text = (without_secrets(str(fault), uri).splitlines() or [""])[0]
        # no `from fault`: its text holds the password of the address
        raise TrackingError(f"{public(uri)}: {text[:300]}") from None
