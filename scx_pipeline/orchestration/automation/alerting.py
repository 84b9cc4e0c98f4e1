"""The sensor that tells of problems: it looks at runs, checks, bucket and warehouse, and tells each channel what is new.
What a problem is, who was told of it, and how it is sent, is in `alerts`; Dagster's records are read in `ended`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cache

import dagster as dg

from scx_pipeline.alerts.advice import kind_of
from scx_pipeline.alerts.channels import SETTINGS, Channel, open_channels
from scx_pipeline.alerts.facts import Facts, RejectingLoad, StarLook
from scx_pipeline.alerts.messages import SENSOR, word
from scx_pipeline.alerts.problems import Found, Limits, Memory, find_problems
from scx_pipeline.alerts.sensor_state import new_messages, read_cursor, standing_units, write_cursor
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.errors import AlertError, PipelineError
from scx_pipeline.loading.changes import LoadedState, Plan, compare, list_selection, read_loaded_state
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.orchestration.automation.sensors import TICK_LOCK_TIMEOUT, TICK_RETRY_SECONDS
from scx_pipeline.orchestration.dagster_internals import default_sensor_grpc_timeout, sensor_cursor
from scx_pipeline.orchestration.resources.warehouse_resources import (
    BucketResource,
    WarehouseResource,
    resources,
)
from scx_pipeline.orchestration.runs.run_history import read_checks, read_run_history
from scx_pipeline.planning.selection import MonthState
from scx_pipeline.reporting.status import RejectedRows, read_rejecting
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.warehouse import Warehouse

MOST_MESSAGES = 10  # to a channel in one tick; the others come with the next ones
SPARE_SECONDS = 10.0  # of the time that Dagster gives a tick: one that takes longer forgets whom it has told
NO_CHANNEL = f"nobody is told: set {', '.join(list(SETTINGS.values())[:-1])} or {list(SETTINGS.values())[-1]}"

Stars = Callable[[], Sequence[CompiledStar]]


@dataclass(frozen=True)
class AlertContext:
    """What is looked at: Dagster's instance, and where the stars come from and go to."""

    instance: dg.DagsterInstance
    stars: Sequence[CompiledStar]
    warehouse: WarehouseResource
    bucket: BucketResource
    location: str = ""  # the code location whose runs are ours; none: all of them


@cache
def declared_stars() -> tuple[CompiledStar, ...]:
    """The project's stars."""
    return tuple(load_star(stars_folder() / name) for name in star_names())


def alert_context(settings: Settings, instance: dg.DagsterInstance) -> AlertContext:
    """All stars, with the warehouse and the bucket of the settings."""
    given = resources(settings)
    warehouse, bucket = given["warehouse"], given["bucket"]
    assert isinstance(warehouse, WarehouseResource)
    assert isinstance(bucket, BucketResource)
    # What a run would do for itself: a server's URL is named by its variable until then.
    warehouse = warehouse.process_config_and_initialize()
    return AlertContext(instance, declared_stars(), warehouse, bucket)


def limits_of(settings: Settings) -> Limits:
    """From which on the settings say that it is a problem."""
    return Limits(settings.alert_stale_hours, settings.alert_rejected)


def channels_of(settings: Settings) -> list[Channel]:
    """The channels of the settings."""
    return open_channels(
        settings.alert_slack_url.get_secret_value(), settings.alert_smtp_url.get_secret_value(),
        settings.alert_webhook_url.get_secret_value(), settings.alert_webhook_token.get_secret_value(),
    )  # fmt: skip


def alert_sensor(settings: Settings, stars: Stars = declared_stars) -> dg.SensorDefinition:
    """Tell of runs that failed, checks that warned, months that are stale, rejected rows, and stars that cannot be looked at.

    It runs where a channel is set, and nobody has stopped it.
    """
    channels = channels_of(settings)

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if channels else dg.DefaultSensorStatus.STOPPED,
        description="Tells Slack, e-mail and a webhook of problems, each once: failed runs, checks that warned, stale months, rejected rows.",
    )
    def tell(
        context: dg.SensorEvaluationContext, warehouse: WarehouseResource, bucket: BucketResource
    ) -> dg.SensorResult | dg.SkipReason:
        if not channels:
            return dg.SkipReason(NO_CHANNEL)
        deadline = time.monotonic() + default_sensor_grpc_timeout() - SPARE_SECONDS
        origin = context.code_location_origin
        place = AlertContext(
            context.instance, stars(), warehouse, bucket, origin.location_name if origin else ""
        )
        found, memory, remarks = look(place, read_cursor(context.cursor), limits_of(settings))
        told = {}
        for channel in channels:
            known = standing_units(found, memory.told.get(channel.name, ()))
            told[channel.name], said = tell_channel(channel, found, known, settings, deadline)
            remarks.append(said)
        cursor = write_cursor(replace(memory, told=told))
        return dg.SensorResult(skip_reason="; ".join(remarks), cursor=cursor)

    return tell


def look(place: AlertContext, memory: Memory, limits: Limits) -> tuple[Found, Memory, list[str]]:
    """What stands, what is to be remembered, and why a star could not be looked at: that text stays in the UI."""
    now = time.time()
    ended = read_run_history(place.instance, place.stars, memory, now, place.location)
    checks = read_checks(place.instance, place.stars)
    looks, remarks = [], []
    for compiled in place.stars:
        seen, remark = _look_at(place, compiled)
        looks.append(seen)
        remarks += [remark] if remark else []
    facts = Facts(now, ended.runs, checks, tuple(looks), ended.watermark)
    found, remembered = find_problems(facts, replace(memory, seen=ended.seen), limits)
    return found, remembered, remarks


def remembered(instance: dg.DagsterInstance) -> Memory:
    """What the sensor remembers, for whoever wants to know beside it."""
    return read_cursor(sensor_cursor(instance, SENSOR))


def tell_channel(
    channel: Channel, found: Found, known: frozenset[str], settings: Settings, deadline: float
) -> tuple[frozenset[str], str]:
    """Send a channel what it has not been told; what it has been told now, and how it went.

    The first message that does not arrive ends it: what is left comes with the next tick.
    """
    messages, sent, remarks = new_messages(found, known), 0, []
    for problem in messages[:MOST_MESSAGES]:
        if time.monotonic() > deadline:
            remarks.append("no time was left (DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS)")
            break
        try:
            remark = channel.send(word(problem, limits_of(settings), settings.ui_url))
        except AlertError as error:
            remarks.append(f"{error}, and is tried again")
            break
        known, sent = known.union(problem.units), sent + 1
        remarks += [remark] if remark else []
    told = f"{sent} of {len(messages)} told" if messages else "nothing new"
    return known, "; ".join([f"{channel.name}: {told}", *remarks])


def _look_at(place: AlertContext, compiled: CompiledStar) -> tuple[StarLook, str]:
    name = compiled.star.name
    try:
        selection = list_selection(compiled.star, place.bucket.open(retry_seconds=TICK_RETRY_SECONDS))
        warehouse = place.warehouse.open(lock_timeout=TICK_LOCK_TIMEOUT)
        standing = read_loaded_state(compiled, warehouse)
        rejecting = _rejecting(compiled, warehouse)
    except PipelineError as error:
        return StarLook(name, error.kind), f"{name} cannot be looked at: {error}"
    except Exception as error:  # whatever it is, the other stars, and the runs, are to be told of
        kind = kind_of(type(error).__name__)
        return StarLook(name, kind), f"{name} cannot be looked at: {kind}"
    plan = compare(compiled, selection, standing)
    return StarLook(name, due=_due(plan, standing), rejecting=rejecting), ""


def _due(plan: Plan, standing: LoadedState) -> dict[str, str]:
    """What is due, and what stands of it: another load than before, and it is due anew."""
    unpartitioned = {UNPARTITIONED.value: _stands(standing.unpartitioned)} if plan.unpartitioned else {}
    return unpartitioned | {
        str(item.month): _stands(standing.months.get(item.month)) for item in plan.changed
    }


def _stands(state: MonthState | None) -> str:
    return f"{state.fingerprint[:8]} {state.code_version[:8]}" if state else ""


def _rejecting(compiled: CompiledStar, warehouse: Warehouse) -> tuple[RejectingLoad, ...]:
    with warehouse.reader() as session:
        found = read_rejecting(session, compiled.star.name) if session else []
    by_load: dict[str, list[RejectedRows]] = {}
    for item in found:
        by_load.setdefault(item.load_id, []).append(item)
    return tuple(
        RejectingLoad(
            compiled.star.name, frozenset(Month.parse(item.part) for item in of_load if item.part != UNPARTITIONED.value),
            of_load[0].rows_read, of_load[0].rows_rejected, of_load[0].run_id or "",
            of_load[0].finished_at.replace(tzinfo=UTC).timestamp(),
        )
        for of_load in by_load.values()
    )  # fmt: skip
