"""Checks of what every load needs: versions, the stars' files, the bucket and Spark.

Nothing is changed.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

from scx_pipeline.declarations.declared_stars import load_declared_stars
from scx_pipeline.errors import PipelineError, SettingsError
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.model.count_text import count_of
from scx_pipeline.services.check import EXAMPLES, CheckContext
from scx_pipeline.settings import redact
from scx_pipeline.storage.bucket import BucketOptions, open_bucket

PACKAGES = ("scx_pipeline", "dagster", "duckdb", "psycopg2-binary", "obstore", "sqlglot", "pandas")
RETRY_SECONDS = 5
EMPTY_PREFIX = "scx-pipeline-access-check/"  # has no objects, so listing it is quick, or refused


def report_python_version(context: CheckContext) -> str:
    """Return the version of Python."""
    return platform.python_version()


def list_package_versions(context: CheckContext) -> str:
    """List the versions of the packages that matter most."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def compile_stars(context: CheckContext) -> str:
    """Compile all stars, and list them. Raises DeclarationError."""
    return ", ".join(f"{item.star.name} ({len(item.star.tables)} tables)" for item in load_declared_stars())


def check_bucket_access(context: CheckContext) -> None:
    """Check that the bucket of the settings can be listed. Raises SettingsError."""
    check_listing(context.settings.bucket, "SCX_BUCKET_URL")


def check_listing(url: str, setting: str) -> None:
    """Check that a bucket can be listed.

    Args:
        url: the bucket's URL.
        setting: the setting that an error names.

    Raises:
        SettingsError: if the bucket cannot be listed.
    """
    try:
        open_bucket(url, BucketOptions(retry_seconds=RETRY_SECONDS)).list_objects(EMPTY_PREFIX)
    except PipelineError as error:
        raise SettingsError(f"{setting}: {error}; for example, {EXAMPLES['SCX_BUCKET_URL']}") from None


def count_objects(context: CheckContext) -> str:
    """Count the objects of each star in the bucket. Raises BucketError."""
    settings = context.settings
    retry_seconds = min(settings.bucket_retry_seconds, RETRY_SECONDS)
    bucket = open_bucket(settings.bucket, BucketOptions(retry_seconds=retry_seconds))
    stars = [compiled.star for compiled in load_declared_stars()]
    counts = [
        f"{count_of(len(list_selection(star, bucket).objects), 'object')} of {star.name}" for star in stars
    ]
    return f"{redact(settings.bucket)}: {', '.join(counts)}"


def check_spark(context: CheckContext) -> str:
    """Check that Spark can run, and describe what jobs would run on. Raises LakeError."""
    from scx_pipeline.orchestration.resources.lake_resource import lake_resource

    settings = context.settings
    return f"{settings.spark}: {lake_resource(settings).examine(settings.bucket)}"
