"""What `scx doctor` looks at: settings, versions, the bucket, the warehouse, Spark and Dagster's home, each with advice.
Nothing is changed but for tables that are made and rolled back; how the findings are shown is the command's."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.model.column import Column
from scx_pipeline.ownership.table_ownership import find_leftovers, inspect
from scx_pipeline.settings import Settings, redact
from scx_pipeline.storage.bucket import BucketOptions, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.open_warehouse import open_warehouse
from scx_pipeline.warehouse.session import MANY_ROWS, Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, quote
from scx_pipeline.warehouse.warehouse import Warehouse

PACKAGES = ("scx_pipeline", "dagster", "duckdb", "psycopg2-binary", "obstore", "sqlglot", "pandas")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, what was found, and what to do if it is not."""

    name: str
    well: bool
    found: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything a load needs, one finding at a time."""
    yield Finding(
        "python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"
    )
    yield Finding("packages", True, ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    yield Finding("SCX_HOME", True, str(settings.home.absolute()))
    yield _tried("DAGSTER_HOME", lambda: _dagster_home(settings), "make it writable, or set DAGSTER_HOME")
    yield _tried("stars", _stars, "mend the star's file at the line it names")
    yield _tried(
        "bucket",
        lambda: _bucket(settings),
        "set SCX_BUCKET_URL, and AWS's own settings for one in S3; `scx generate scx` makes samples in a folder",
    )
    warehouse = _tried(
        "warehouse",
        lambda: _warehouse(settings),
        "set SCX_WAREHOUSE_URL; where a right is missing, have an administrator run what `scx roles` prints",
    )
    yield warehouse
    if warehouse.well:
        yield _tried(
            "tables",
            lambda: _tables(open_warehouse(settings.warehouse, _limits(settings))),
            "as it says: declare another `schema:`, run `scx adopt`, or rename what belongs to no star",
        )
    if settings.spark:
        yield _tried(
            "spark",
            lambda: _spark(settings),
            "see docs/emr.md, or unset SCX_SPARK: DuckDB builds the same lake",
        )


def _tried(name: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(name, True, look())
    except PipelineError as error:
        return Finding(name, False, str(error), advice)


def _dagster_home(settings: Settings) -> str:
    from scx_pipeline.orchestration.runs.instance import prepare_home

    prepare_home(settings.dagster_home)
    return str(settings.dagster_home)


def _stars() -> str:
    compiled = [load_star(stars_folder() / name) for name in star_names()]
    return ", ".join(f"{item.star.name} ({len(item.star.tables)} tables)" for item in compiled)


def _bucket(settings: Settings) -> str:
    bucket = open_bucket(settings.bucket, BucketOptions(retry_seconds=min(settings.bucket_retry_seconds, 5)))
    prefixes = {
        source.prefix for name in star_names() for source in load_star(stars_folder() / name).star.sources
    }
    counts = [f"{len(bucket.list_objects(prefix)):,} objects under {prefix}" for prefix in sorted(prefixes)]
    return f"{redact(settings.bucket)}: {', '.join(counts)}"


def _warehouse(settings: Settings) -> str:
    warehouse = open_warehouse(settings.warehouse, _limits(settings))
    schemas = {load_star(stars_folder() / name).star.schema_name for name in star_names()}
    try:
        with warehouse.transaction("doctor") as session:
            session.begin()
            _try_writing(session, [*sorted(schemas), STATE_SCHEMA])
            raise _RollBackError
    except _RollBackError:
        return f"{warehouse.url}: connected, may create tables in {', '.join(sorted(schemas))}, and load rows"


def _limits(settings: Settings) -> Limits:
    """As a load's, but for the wait for others."""
    wait = min(settings.lock_timeout, 5)
    return Limits(settings.memory_limit, settings.threads, settings.batch_files, wait)


def _try_writing(session: Session, schemas: Sequence[str]) -> None:
    """Do what every load does, in the schemas of them all: who loads may have a right to these, and to nothing else."""
    standing = session.schemas()
    for schema in schemas:
        if schema not in standing:
            session.create_schema(schema)
        session.execute(f"CREATE TABLE {quote(schema)}.scx_pipeline_doctor (n INTEGER)")
    # So many that they come in as a load's rows do.
    number = Column(name="n", type="integer", description="A number.")
    written = f"{quote(schemas[-1])}.scx_pipeline_doctor"
    session.insert_rows(written, [number], [(n,) for n in range(MANY_ROWS + 1)])
    session.create_temporary("_doctor", f"SELECT n FROM {written}")


def _spark(settings: Settings) -> str:
    from scx_pipeline.orchestration.resources.lake_resource import lake_resource

    return f"{settings.spark}: {lake_resource(settings).examine(settings.bucket)}"


def _tables(warehouse: Warehouse) -> str:
    """Whether the stars' tables are ours; and those that no star declares any more."""
    names = star_names()
    stars = [load_star(stars_folder() / name) for name in names]
    with warehouse.inspecting() as session:
        if session is None:
            return "none yet"
        foreign = [item for compiled in stars for item in inspect(session, compiled).foreign()]
        left = [item for compiled in stars for item in find_leftovers(session, compiled)]
        left += find_leftovers(session, None, [compiled.star.name for compiled in stars])
    if foreign:
        raise WarehouseError("; ".join(item.message() for item in foreign))
    listed = ", ".join(item.name for item in left)
    return f"no table of others has a declared name{f'; no longer declared: {listed} (see `scx drop`)' if left else ''}"


class _RollBackError(Exception):
    """Ends the trial transaction."""
