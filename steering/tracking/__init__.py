"""The history of a run: metrics.jsonl, which is the truth, and its way into MLflow, which only shows it.

This package is the only one that imports MLflow, and only inside functions. `upload` and `upload_table` send what is
finished; `take_over` and `follow` show a training while it goes on (steering.tracking.live calls them). Sending
anything twice changes nothing.
"""

from steering.metrics_log import MetricsLog, TrackingError, read_metrics
from steering.tracking.client import initialise
from steering.tracking.record import RunRecord
from steering.tracking.upload import LiveRun, follow, take_over, upload, upload_table

__all__ = [
    "LiveRun",
    "MetricsLog",
    "RunRecord",
    "TrackingError",
    "follow",
    "initialise",
    "read_metrics",
    "take_over",
    "upload",
    "upload_table",
]
