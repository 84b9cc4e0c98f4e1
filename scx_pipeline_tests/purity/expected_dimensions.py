"""The dimensions that readings must give, computed in Python.

Comparing them does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from scx_pipeline_tests.support.snapshots import Row


def dimensions(rows: Iterable[Row]) -> dict[str, set[Row]]:
    """Return the rows of the dimensions of these readings."""
    latest: dict[str, tuple[datetime, bytes]] = {}
    for department, serial, event_time, *_ in rows:
        seen = (event_time, department.encode())
        latest[serial] = max(latest.get(serial, seen), seen)
    return {
        "master_department": {(row[0],) for row in rows},
        "master_product": {(row[3],) for row in rows},
        "master_sensor": {(serial, name.decode()) for serial, (_, name) in latest.items()},
    }
