"""UNLOAD out of Redshift: the statement's text.
Which rows are unloaded, and where to, is decided in the lake package; COPY is in `rscopy`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.errors import LakeError
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.export import Unload
from scx_pipeline.warehouse.redshift.copy_command import Access, quoted
from scx_pipeline.warehouse.sql_text import names

# The cluster writes some for each of its slices. S3 copies no object of more than 5 GB at once.
LARGEST_FILE = "1 GB"

# What the cluster says of UNLOAD → what to do.
_ADVICE = (
    ("not authorized to assume", "attach the role to the cluster, or name another by iam_role= in SCX_WAREHOUSE_URL"),
    ("accessdenied", "the cluster's role must be allowed to write there: docs/redshift.md has its policy"),
    ("nosuchbucket", "see SCX_LAKE_URL (or --lake)"),
    ("permanentredirect", "the bucket is in another region: say region= in SCX_WAREHOUSE_URL"),
    ("must be addressed using the specified endpoint", "the bucket is in another region: say region= in SCX_WAREHOUSE_URL"),
)  # fmt: skip


@contextmanager
def told_of(unload: Unload) -> Iterator[None]:
    """What the cluster could not do in S3 as a LakeError of one line, with what to do."""
    import psycopg2

    try:
        yield
    except psycopg2.InternalError as error:
        said = str(error).lower()
        advice = next((f" ({advice})" for sign, advice in _ADVICE if sign in said), "")
        raise LakeError(
            f"cannot write {unload.url}: {first_line(error)}{advice}; nothing was changed"
        ) from error


def unload_sql(unload: Unload, access: Access) -> str:
    """UNLOAD of a SELECT to Parquet files under a URL, in folders by the values of the columns that name some."""
    lines = [
        f"UNLOAD ({quoted(unload.select)})",
        f"TO {quoted(unload.url)}",
        access.sql,
        "FORMAT AS PARQUET",
    ]
    if unload.folders:
        lines.append(f"PARTITION BY ({names([column.name for column in unload.folders])})")
    lines.append(f"MAXFILESIZE AS {LARGEST_FILE}")
    if access.region:
        lines.append(f"REGION AS {quoted(access.region)}")
    return "\n".join(lines)
