"""The Dagster definitions that are deployed: every star's assets, the alert sensor, maintenance, and resources.

Only assembly belongs here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from scx_pipeline.orchestration.automation.alerting import alert_sensor
from scx_pipeline.orchestration.automation.maintenance import maintenance
from scx_pipeline.orchestration.build import with_resources
from scx_pipeline.settings import read_settings
from scx_pipeline.warehouse.open_warehouse import connection_info


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions that `dagster dev`, `dg` and the deployment load."""
    settings = read_settings()
    # First, as an error in a component would be wrapped in Dagster's.
    connection_info(settings.warehouse)
    stars = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    alerts = dg.Definitions(sensors=[alert_sensor(settings)])
    return with_resources(dg.Definitions.merge(stars, alerts, maintenance()), settings)
