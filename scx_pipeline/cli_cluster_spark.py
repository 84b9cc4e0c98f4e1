"""The `scx cluster spark` commands: what a person types to have an EMR Serverless for the lake's builds, and to be rid of it.
What they do is in `cluster`; those for a Redshift are in `cli_cluster`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli_cluster_options import AsJson, DryRun, File, Yes, ask_for_name, notify

if TYPE_CHECKING:
    from scx_pipeline.cluster.spark import SparkStanding
    from scx_pipeline.cluster.spark_plan import SparkPlan

app = typer.Typer(
    no_args_is_help=True,
    help="Make and destroy an Amazon EMR Serverless application, on which Spark builds the lake. It costs nothing while no job runs.\n\n"
    "Credentials are AWS's own settings (AWS_PROFILE), and so is the region where none is given. Settings come from --file, and from "
    "options over it.",
)

Name = Annotated[str | None, typer.Option(help="Of the application; default: scx.")]
Region = Annotated[str | None, typer.Option(help="Such as eu-west-1; default: AWS_REGION.")]
PLACES = {"bucket": "s3://any", "lake": "s3://any"}  # of a plan of which only the name and the region matter


@app.command(epilog="Example: scx cluster spark create --bucket s3://scx-logs --lake s3://scx-lake/stars")
def create(
    file: File = None,
    name: Name = None,
    region: Region = None,
    bucket: Annotated[
        str | None, typer.Option(help="s3://bucket with the logs, which jobs may read.")
    ] = None,
    lake: Annotated[str | None, typer.Option(help="s3://bucket/prefix that jobs may write.")] = None,
    code: Annotated[str | None, typer.Option(help="s3://bucket/prefix for the jobs' code.")] = None,
    job_logs: Annotated[str | None, typer.Option(help="s3://bucket/prefix for Spark's own logs.")] = None,
    release: Annotated[str | None, typer.Option(help="Of EMR, such as emr-7.12.0.")] = None,
    architecture: Annotated[str | None, typer.Option(help="X86_64 (the default) or ARM64.")] = None,
    max_vcpu: Annotated[int | None, typer.Option(help="vCPU at most.")] = None,
    max_memory: Annotated[int | None, typer.Option(help="GB of memory at most.")] = None,
    max_disk: Annotated[int | None, typer.Option(help="GB of disk at most.")] = None,
    idle_minutes: Annotated[int | None, typer.Option(help="After which it stops by itself.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Make what is missing, wait until jobs can be started, and print the settings to use. Safe to repeat, and to break off."""
    from scx_pipeline.cluster import spark
    from scx_pipeline.cluster.spark_plan import price
    from scx_pipeline.cluster.spark_policy import runner_policy

    flags = {
        "name": name, "region": region, "bucket": bucket, "lake": lake, "code": code, "job_logs": job_logs,
        "release": release, "architecture": architecture, "max_vcpu": max_vcpu, "max_memory": max_memory,
        "max_disk": max_disk, "idle_minutes": idle_minutes,
    }  # fmt: skip
    plan = _plan(file, flags)
    rendering.out.print(f"price: {price(plan)}", markup=False)
    if dry_run:
        print(json.dumps(_shown(plan), indent=2))
        return
    if not yes:
        typer.confirm(f"Make the EMR Serverless application {plan.name} in {plan.region}?", abort=True)
    standing = spark.create(plan, notify)
    settings = spark.settings_of(plan, standing)
    policy = runner_policy(plan, str(standing.application))
    print(json.dumps({"for whoever runs the pipeline": policy}, indent=2))
    _print_settings(settings)


@app.command(epilog="Example: scx cluster spark status --json")
def status(file: File = None, name: Name = None, region: Region = None, as_json: AsJson = False) -> None:
    """Show what there is, what runs on it, what it costs now, and, with --file, the settings to use."""
    from scx_pipeline.cluster import spark

    plan = _any_plan(file, name, region)
    standing = spark.status(plan)
    if as_json:
        print(json.dumps(asdict(standing), indent=2))
        return
    _show(plan, standing)
    if standing.application and standing.role and file is not None:
        _print_settings(spark.settings_of(plan, standing))


@app.command(epilog="Example: scx cluster spark destroy --name scx")
def destroy(
    file: File = None,
    name: Name = None,
    region: Region = None,
    force: Annotated[bool, typer.Option("--force", help="Cancel job runs that are not over.")] = False,
    yes: Yes = False,
) -> None:
    """Remove everything that `create` made, and nothing in any bucket: the lake stays as it is. Safe to repeat."""
    from scx_pipeline.cluster import spark

    plan = _any_plan(file, name, region)
    if not yes:
        ask_for_name(f"EMR Serverless application in {plan.region}", plan.name)
    if force:
        spark.cancel_runs(plan, notify)
    spark.destroy(plan, notify)


def _plan(file: Path | None, flags: dict[str, Any]) -> SparkPlan:
    from scx_pipeline.aws import region_of_settings
    from scx_pipeline.cluster.spark_plan import read_spark_plan
    from scx_pipeline.errors import SettingsError

    return read_spark_plan(file, flags, region_of_settings(SettingsError))


def _any_plan(file: Path | None, name: str | None, region: str | None) -> SparkPlan:
    """A plan of which only the name and the region matter."""
    return _plan(file, {"name": name, "region": region, **({} if file else PLACES)})


def _shown(plan: SparkPlan) -> dict[str, Any]:
    """All that is to be made, with what AWS will fill in as <account> and <application>."""
    from scx_pipeline.cluster.spark_plan import request_of
    from scx_pipeline.cluster.spark_policy import job_policy, planned_arn, runner_policy, trust_policy

    arn = planned_arn(plan)
    return {
        "settings": plan.model_dump(mode="json"),
        "application": request_of(plan),
        f"role {plan.role}: who may use it": trust_policy(arn),
        f"role {plan.role}: what it may do": job_policy(plan, arn),
        "for whoever runs the pipeline": runner_policy(plan, arn),
    }


def _show(plan: SparkPlan, standing: SparkStanding) -> None:
    rows = [(part.kind, part.name, part.state or "absent") for part in standing.parts]
    rows += [("job run", f"{run.id} {run.name}".rstrip(), run.state) for run in standing.runs]
    rendering.out.print(
        rendering.table(f"EMR Serverless {plan.name} in {plan.region}", ["part", "name", "state"], rows)
    )
    if standing.capacity:
        rendering.out.print(f"at most: {', '.join(standing.capacity.values())}", markup=False)
    rendering.out.print(f"costs now: {standing.cost}", markup=False)


def _print_settings(settings: dict[str, str]) -> None:
    for name, value in settings.items():
        print(f"export {name}='{value}'")
