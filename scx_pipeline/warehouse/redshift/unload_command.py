"""The text of an UNLOAD from Redshift, and advice on its errors.

Which rows are unloaded, and where to, is decided in the lake package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.error_translation import find_advice
from scx_pipeline.errors import LakeError
from scx_pipeline.warehouse.driver_errors import explain, first_line
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.redshift.copy_command import Access, redshift_literal
from scx_pipeline.warehouse.sql_text import names

# Each slice of the cluster writes several. S3 copies no object of more than 5 GB at once.
MAX_FILE_SIZE = "1 GB"

# What the cluster reports → what to do.
_ADVICE = (
    ("not authorized to assume", "attach the role to the cluster, or name another one by iam_role= in SCX_WAREHOUSE_URL"),
    ("accessdenied", "the cluster's role must be allowed to write there: docs/redshift.md has its policy"),
    ("nosuchbucket", "check SCX_LAKE_URL (or --lake)"),
    ("permanentredirect", "the bucket is in another region: add region= to SCX_WAREHOUSE_URL"),
    ("must be addressed using the specified endpoint", "the bucket is in another region: add region= to SCX_WAREHOUSE_URL"),
)  # fmt: skip


@contextmanager
def translate_unload_errors(unload: Unload) -> Iterator[None]:
    """Translate the cluster's errors about S3 to a LakeError of one line that says what to do."""
    import psycopg2

    try:
        yield
    except psycopg2.InternalError as error:
        reason = explain(first_line(error), find_advice(str(error), _ADVICE))
        raise LakeError(f"cannot write {unload.url}: {reason}; nothing was changed") from error


def unload_sql(unload: Unload, access: Access) -> str:
    """Return the UNLOAD of a SELECT to Parquet files under a URL, in folders by the values of its folder columns."""
    lines = [
        f"UNLOAD ({redshift_literal(unload.select)})",
        f"TO {redshift_literal(unload.url)}",
        access.sql,
        "FORMAT AS PARQUET",
    ]
    if unload.folders:
        lines.append(f"PARTITION BY ({names([column.name for column in unload.folders])})")
    lines.append(f"MAXFILESIZE AS {MAX_FILE_SIZE}")
    if access.region:
        lines.append(f"REGION AS {redshift_literal(access.region)}")
    return "\n".join(lines)
