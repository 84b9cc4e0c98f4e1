"""The alert sensor: it inspects runs, checks, the bucket and the warehouse, and sends new problems to each channel.

Defining problems and formatting messages do not belong here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC

import dagster as dg

from scx_pipeline.alerts.advice import public_kind
from scx_pipeline.alerts.channels import CHANNEL_SETTINGS, Channel, open_channels
from scx_pipeline.alerts.messages import SENSOR, compose_message
from scx_pipeline.alerts.observations import LoadWithRejects, Observations, StarObservation
from scx_pipeline.alerts.problems import AlertThresholds, ProblemReport, SensorState, find_problems
from scx_pipeline.alerts.sensor_state import keep_sent_units, read_cursor, unsent_problems, write_cursor
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.declared_stars import load_declared_stars
from scx_pipeline.errors import AlertError, PipelineError
from scx_pipeline.loading.changes import (
    LoadedState,
    PendingChanges,
    compare_with_loaded,
    list_selection,
    read_loaded_state,
)
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.orchestration.automation.sensors import TICK_LOCK_TIMEOUT, TICK_RETRY_SECONDS
from scx_pipeline.orchestration.dagster_internals import default_sensor_grpc_timeout, sensor_cursor
from scx_pipeline.orchestration.resources.warehouse_resources import (
    BucketResource,
    WarehouseResource,
    resources,
)
from scx_pipeline.orchestration.runs.run_history import read_checks, read_run_history
from scx_pipeline.planning.changed_months import MonthState
from scx_pipeline.reporting.rejected_rows import RejectionSummary, read_rejection_summaries
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.warehouse import Warehouse

MAX_MESSAGES_PER_TICK = 10  # to each channel; the other messages are sent by the next ticks
# Reserved before the time limit of a tick: a tick that exceeds the limit loses its cursor, and so the record of what it sent.
TICK_RESERVE_SECONDS = 10.0
NO_CHANNEL = f"no channel is configured: set one of {', '.join(CHANNEL_SETTINGS.values())}"


@dataclass(frozen=True)
class AlertContext:
    """What the sensor inspects: Dagster's instance, the stars, the warehouse and the bucket."""

    instance: dg.DagsterInstance
    stars: Sequence[CompiledStar]
    warehouse: WarehouseResource
    bucket: BucketResource
    location: str = ""  # only runs of this code location count; empty: all runs


def alert_context(settings: Settings, instance: dg.DagsterInstance) -> AlertContext:
    """Return the context of all stars, with the warehouse and the bucket of the settings."""
    configured = resources(settings)
    warehouse, bucket = configured["warehouse"], configured["bucket"]
    assert isinstance(warehouse, WarehouseResource)
    assert isinstance(bucket, BucketResource)
    # This resolves the environment variable of a server's URL, as Dagster does for runs.
    warehouse = warehouse.process_config_and_initialize()
    return AlertContext(instance, load_declared_stars(), warehouse, bucket)


def alert_thresholds(settings: Settings) -> AlertThresholds:
    """Return the thresholds of the settings."""
    return AlertThresholds(settings.alert_overdue_hours, settings.alert_rejected)


def configured_channels(settings: Settings) -> list[Channel]:
    """Return the channels of the settings."""
    return open_channels(
        settings.alert_slack_url.get_secret_value(), settings.alert_smtp_url.get_secret_value(),
        settings.alert_webhook_url.get_secret_value(), settings.alert_webhook_token.get_secret_value(),
    )  # fmt: skip


def alert_sensor(settings: Settings, stars: Sequence[CompiledStar]) -> dg.SensorDefinition:
    """Define the sensor that sends alerts. It is running by default if a channel is configured."""
    channels = configured_channels(settings)

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if channels else dg.DefaultSensorStatus.STOPPED,
        description="Sends each problem once to Slack, e-mail and a webhook: failed runs, warnings of checks, overdue months, rejected rows.",
    )
    def send_alerts(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> dg.SensorResult | dg.SkipReason:
        if not channels:
            return dg.SkipReason(NO_CHANNEL)
        deadline = time.monotonic() + default_sensor_grpc_timeout() - TICK_RESERVE_SECONDS
        origin = context.code_location_origin
        location = origin.location_name if origin else ""
        inspected = AlertContext(context.instance, stars, warehouse, bucket, location)
        report, state, remarks = find_open_problems(
            inspected, read_cursor(context.cursor), alert_thresholds(settings)
        )
        sent = {}
        for channel in channels:
            known = keep_sent_units(report, state.sent.get(channel.name, ()))
            sent[channel.name], remark = send_to_channel(channel, report, known, settings, deadline)
            remarks.append(remark)
        cursor = write_cursor(replace(state, sent=sent))
        return dg.SensorResult(skip_reason="; ".join(remarks), cursor=cursor)

    return send_alerts


def find_open_problems(
    context: AlertContext, state: SensorState, thresholds: AlertThresholds
) -> tuple[ProblemReport, SensorState, list[str]]:
    """Inspect everything and find the open problems.

    Returns:
        The problems, the new state, and a remark for each star that could not be inspected. Remarks may contain secrets:
        they are shown in the UI only.
    """
    now = time.time()
    history = read_run_history(context.instance, context.stars, state, now, context.location)
    checks = read_checks(context.instance, context.stars)
    stars, remarks = [], []
    for compiled in context.stars:
        star, remark = _observe_star(context, compiled)
        stars.append(star)
        remarks += [remark] if remark else []
    observations = Observations(now, history.runs, checks, tuple(stars), history.watermark)
    report, new_state = find_problems(observations, replace(state, seen=history.seen), thresholds)
    return report, new_state, remarks


def read_sensor_state(instance: dg.DagsterInstance) -> SensorState:
    """Return the state that the sensor has stored in the instance."""
    return read_cursor(sensor_cursor(instance, SENSOR))


def send_to_channel(
    channel: Channel, report: ProblemReport, known: frozenset[str], settings: Settings, deadline: float
) -> tuple[frozenset[str], str]:
    """Send a channel the problems that it was not sent yet, up to the first failed delivery; the next tick sends the rest.

    Args:
        known: The units that were sent before.
        deadline: When to stop, as time.monotonic().

    Returns:
        The units that were sent so far, and a summary for the UI.
    """
    problems, sent, remarks = unsent_problems(report, known), 0, []
    for problem in problems[:MAX_MESSAGES_PER_TICK]:
        if time.monotonic() > deadline:
            remarks.append("stopped at the time limit of a tick (DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS)")
            break
        try:
            remark = channel.send(compose_message(problem, alert_thresholds(settings), settings.ui_url))
        except AlertError as error:
            remarks.append(f"{error}; it is retried")
            break
        known, sent = known.union(problem.units), sent + 1
        remarks += [remark] if remark else []
    summary = f"{sent} of {len(problems)} sent" if problems else "nothing new"
    return known, "; ".join([f"{channel.name}: {summary}", *remarks])


def _observe_star(context: AlertContext, compiled: CompiledStar) -> tuple[StarObservation, str]:
    name = compiled.star.name
    try:
        selection = list_selection(compiled.star, context.bucket.open(retry_seconds=TICK_RETRY_SECONDS))
        warehouse = context.warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT)
        loaded = read_loaded_state(compiled, warehouse)
        rejecting = _rejecting(compiled, warehouse)
    except PipelineError as error:
        return StarObservation(name, error.kind), f"{name} cannot be checked: {error}"
    except Exception as error:  # the other stars and the runs are still reported
        kind = public_kind(type(error).__name__)
        return StarObservation(name, kind), f"{name} cannot be checked: {kind}"
    plan = compare_with_loaded(compiled, selection, loaded)
    return StarObservation(name, due=_due(plan, loaded), rejecting=rejecting), ""


def _due(plan: PendingChanges, loaded: LoadedState) -> dict[str, str]:
    """Return the due months, each with an identifier of its current data, which changes with every load."""
    unpartitioned = (
        {UNPARTITIONED.value: _load_identifier(loaded.unpartitioned)} if plan.unpartitioned else {}
    )
    return unpartitioned | {
        str(item.month): _load_identifier(loaded.months.get(item.month)) for item in plan.changed
    }


def _load_identifier(state: MonthState | None) -> str:
    return f"{state.fingerprint[:8]} {state.code_version[:8]}" if state else ""


def _rejecting(compiled: CompiledStar, warehouse: Warehouse) -> tuple[LoadWithRejects, ...]:
    with warehouse.open_if_loaded() as session:
        rejected = read_rejection_summaries(session, compiled.star.name) if session else []
    by_load: dict[str, list[RejectionSummary]] = {}
    for item in rejected:
        by_load.setdefault(item.load_id, []).append(item)
    return tuple(
        LoadWithRejects(
            compiled.star.name, frozenset(Month.parse(item.partition) for item in of_load if item.partition != UNPARTITIONED.value),
            of_load[0].rows_read, of_load[0].rows_rejected, of_load[0].run_id or "",
            of_load[0].finished_at.replace(tzinfo=UTC).timestamp(),
        )
        for of_load in by_load.values()
    )  # fmt: skip
