"""UNLOAD out of Redshift: the statement's text.
Which rows are unloaded, and where to, is decided in the lake package; COPY is in `rscopy`."""

from __future__ import annotations

from scx_pipeline.warehouse.base import names
from scx_pipeline.warehouse.rscopy import Access, quoted
from scx_pipeline.warehouse.unloading import Unload

# The cluster writes some for each of its slices. S3 copies no object of more than 5 GB at once.
LARGEST_FILE = "1 GB"


def unload_sql(unload: Unload, access: Access) -> str:
    """UNLOAD of a SELECT to Parquet files under a URL, in folders by the values of the columns that name some."""
    role = "default" if access.iam_role == "default" else quoted(access.iam_role)
    lines = [
        f"UNLOAD ({quoted(unload.select)})",
        f"TO {quoted(unload.url)}",
        f"IAM_ROLE {role}",
        "FORMAT AS PARQUET",
    ]
    if unload.folders:
        lines.append(f"PARTITION BY ({names([column.name for column in unload.folders])})")
    lines.append(f"MAXFILESIZE AS {LARGEST_FILE}")
    if access.region:
        lines.append(f"REGION AS {quoted(access.region)}")
    return "\n".join(lines)
