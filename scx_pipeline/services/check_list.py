"""The one list of checks: `scx doctor` reports all of its checks, and `scx serve` refuses to start at the first that fails.

How a single check works does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator

from scx_pipeline.errors import PipelineError
from scx_pipeline.services import deployment_checks as deployment
from scx_pipeline.services import environment_checks as environment
from scx_pipeline.services import warehouse_checks as warehouse
from scx_pipeline.services.check import Check, CheckContext, CheckOutcome, Service
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits

DOCTOR_LOCK_SECONDS = 5  # at most, for other sessions
SERVICES: tuple[Service, ...] = ("code", "webserver", "daemon")

CHECKS = (
    Check("python", ["doctor"], environment.report_python_version),
    Check("packages", ["doctor"], environment.list_package_versions),
    Check("SCX_HOME", ["doctor"], lambda context: str(context.settings.home.absolute())),
    Check("passwords", SERVICES, deployment.check_passwords),
    Check("Dagster instance", SERVICES, deployment.check_instance),
    Check(
        "DAGSTER_HOME", ["doctor"], deployment.prepare_dagster_home, "make it writable, or set DAGSTER_HOME"
    ),
    Check("required settings", ["code"], deployment.check_required_settings),
    Check(
        "stars",
        ["doctor", "code"],
        environment.compile_stars,
        "fix the star's file at the line that is named",
    ),
    Check("bucket access", ["code"], environment.check_bucket_access),
    Check(
        "bucket",
        ["doctor"],
        environment.count_objects,
        "set SCX_BUCKET_URL and, for S3, AWS's own settings; `scx generate scx` writes samples to a folder",
        requires="stars",
    ),
    Check("warehouse access", ["code"], warehouse.check_warehouse_access),
    Check(
        "warehouse",
        ["doctor"],
        warehouse.check_write_access,
        "set SCX_WAREHOUSE_URL; if a privilege is missing, have an administrator run what `scx roles` prints",
        requires="stars",
    ),
    Check(
        "tables",
        ["doctor"],
        warehouse.check_tables,
        "declare another `schema:`, run `scx adopt`, or rename the tables that belong to no star",
        requires="warehouse",
    ),
    Check(
        "spark",
        ["doctor"],
        environment.check_spark,
        "see docs/emr.md, or unset SCX_SPARK: DuckDB builds the same lake",
        is_applicable=lambda settings: bool(settings.spark),
    ),
    Check("workspace", ["webserver", "daemon"], deployment.check_workspace),
    Check("port", ["code", "webserver"], deployment.check_port),
)


def report_checks(settings: Settings) -> Iterator[CheckOutcome]:
    """Run all checks of `scx doctor`, and yield their outcomes one at a time."""
    context, passed = doctor_context(settings), set()
    for check in CHECKS:
        if "doctor" not in check.users or not check.is_applicable(settings):
            continue
        if check.requires and check.requires not in passed:
            continue
        try:
            yield CheckOutcome(check.name, True, check.run(context) or "")
            passed.add(check.name)
        except PipelineError as error:
            yield CheckOutcome(check.name, False, str(error), check.advice)


def require_checks(service: Service, context: CheckContext) -> None:
    """Run the checks of a service, up to the first that fails. Raises PipelineError."""
    for check in CHECKS:
        if service in check.users:
            check.run(context)


def doctor_context(settings: Settings) -> CheckContext:
    """Return the context of `scx doctor`: the limits of a load, but with a short wait for locks."""
    wait = min(settings.lock_timeout, DOCTOR_LOCK_SECONDS)
    return CheckContext(settings, Limits(settings.memory_limit, settings.threads, settings.batch_files, wait))
