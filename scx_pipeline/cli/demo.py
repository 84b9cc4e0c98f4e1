"""What `scx demo` generates and asks, star by star.
The commands it runs are the ordinary ones, in `cli`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scx_pipeline.cli import rendering
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import Month
from scx_pipeline.reporting.queries import run_query
from scx_pipeline.warehouse.session import Session


def _scx() -> Any:
    """From 2020-01 to this month, with some dirt, so that rejected and deduplicated rows can be seen."""
    from scx_pipeline.samples.scx.scx_bucket import ScxLogOptions

    now = Month.current()
    months = (now.year - 2020) * 12 + now.month
    return ScxLogOptions(
        to=str(now), months=months, jobs=months * 1500, bad_rows=40, duplicates=60, late_rows=30
    )


def _songplays() -> Any:
    """The last two years, with some dirt, and some songs whose plays can be found."""
    from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions

    return SongplaysOptions(
        to=str(Month.current()), months=24, events=60_000, songs=400, matching=40, bad_lines=27, duplicates=50
    )


def _sensor_readings() -> Any:
    """The first day of this month."""
    from scx_pipeline.samples.sensor_readings.sensor_readings_bucket import SensorOptions

    return SensorOptions(start=f"{Month.current()}-01 00:00")


DEMO: dict[str, Callable[[], Any]] = {
    "scx": _scx,
    "songplays": _songplays,
    "sensor_readings": _sensor_readings,
}


def explore(session: Session, compiled: CompiledStar) -> None:
    """Show the star's first report, and the query that the analysts wrote, word for word, with its answer."""
    for query in compiled.star.queries:
        if query.chart and query is compiled.star.queries[0]:
            rendering.out.print(query.title, style="bold")
            rendering.show_chart(run_query(session, compiled, query.name).tail(60), query)
            rendering.out.print()
        if query.as_written:
            rendering.out.print(compiled.queries[query.name].text.strip(), style="cyan", markup=False)
            rendering.show_frame(run_query(session, compiled, query.name), query.title, limit=12)
