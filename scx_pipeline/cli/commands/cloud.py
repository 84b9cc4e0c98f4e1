"""The `scx cloud` commands: create, inspect and destroy the AWS resources that the pipeline runs on.
Each is a few calls of the package for AWS resources; questions and output are here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from scx_pipeline.cloud.stacks import Stack, Stacks

app = typer.Typer(
    no_args_is_help=True,
    help="Create and destroy AWS resources as CloudFormation stacks.\n\n"
    "Credentials are AWS's own settings (AWS_PROFILE), and so is the region without --region.",
)
TemplateName = Annotated[
    Literal["redshift-serverless", "redshift-provisioned", "emr-serverless"],
    typer.Argument(help="What to create."),
]
Name = Annotated[str, typer.Option(help="Name of the resources; the stack is NAME-TEMPLATE.")]
Region = Annotated[str | None, typer.Option(help="Such as eu-west-1; default: AWS_REGION.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
COLUMNS = ("name", "type", "id", "status")
KEPT, LOST = "a final snapshot is kept, and billed", "no snapshot is kept: all tables are lost"
NO_PAUSE = {
    "redshift-serverless": "it costs nothing for compute while no queries run",
    "emr-serverless": "it stops automatically, and costs nothing while no job runs",
}


@app.command(epilog="Example: scx cloud create redshift-serverless --bucket s3://scx-logs -p BaseCapacity=8")
def create(
    template: TemplateName,
    name: Name = "scx",
    region: Region = None,
    bucket: Annotated[
        str | None, typer.Option(help="s3://bucket or s3://bucket/prefix of the raw objects.")
    ] = None,
    lake: Annotated[str | None, typer.Option(help="s3://bucket or s3://bucket/prefix of the lake.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="Of the template; repeatable."),
    ] = None,
    parameters_file: Annotated[
        Path | None,
        typer.Option("--parameters-file", "-f", help="YAML, a parameter a line; options take precedence."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Create the resources, or update them, and print the settings to use.

    Shows resources and price, and asks for the name first. It can be run again after an interruption or a failure.
    """
    from scx_pipeline.cloud import prices, services, templates

    found = templates.load_template(template)
    options = {key: value for key, value in (("Bucket", bucket), ("Lake", lake)) if value is not None}
    given = {**templates.read_parameters(parameters_file, parameter or []), **options, "Name": name}
    values = templates.complete_parameters(found, given)
    rendering.out.print(rendering.format_table("parameters", ["parameter", "value"], values.items()))
    rendering.out.print(rendering.format_table("resources", ["name", "type"], found.resources.items()))
    rendering.out.print(f"price: {prices.describe_price(template, values)}", markup=False)
    if dry_run:
        return
    stacks = _open_stacks(region)
    stack = _find_usable(stacks, template, name, yes)
    if stack is None:
        _confirm("create", name, template, yes)
        stack = stacks.create(f"{name}-{template}", name, found, values)
    else:
        now = stack.parameters
        changed = [(key, now.get(key), value) for key, value in values.items() if now.get(key) != value]
        rendering.out.print(
            rendering.format_table(f"changes of {stack.name}", ["parameter", "now", "then"], changed)
        )
        _confirm("update", name, template, yes)
        if template == "emr-serverless" and changed:
            services.Application(stack.outputs["ScxSparkApplication"], stacks).stop()
        stack = stacks.update(stack, values, found)
    _print_settings(services.pipeline_settings(stacks, stack))
    rendering.out.print(f"policy for the pipeline: {stack.outputs['PipelinePolicyArn']}", markup=False)


@app.command(epilog="Example: scx cloud status redshift-serverless --json")
def status(
    template: TemplateName,
    name: Name = "scx",
    region: Region = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show the stack, its resources, whether they run, the jobs that run on them, and the price."""
    from scx_pipeline.cloud import prices, services

    stacks, stack = _find_stack(template, name, region)
    resources = stacks.resources(stack)
    runs: list[dict[str, str]] = []
    for item in (item for item in resources if item["status"].endswith("_COMPLETE")):
        if item["type"] == "AWS::Redshift::Cluster":
            item["status"] = services.cluster_status(stacks, item["id"])
        elif item["type"] == "AWS::EMRServerless::Application":
            application = services.Application(item["id"], stacks)
            item["status"], runs = application.status(), application.job_runs()
    if as_json:
        print(json.dumps({"stack": asdict(stack), "resources": resources, "job_runs": runs}, indent=2))
        return
    jobs = [{**run, "type": "job run", "status": run["state"]} for run in runs]
    _show(f"{stack.name}: {stack.status}", [*resources, *jobs])
    rendering.out.print(f"price: {prices.describe_price(template, stack.parameters)}", markup=False)


@app.command(epilog="Example: scx cloud pause redshift-provisioned")
def pause(template: TemplateName, name: Name = "scx", region: Region = None) -> None:
    """Pause a provisioned Redshift cluster, so that only its storage is billed."""
    _change_cluster(template, name, region, "pause")


@app.command(epilog="Example: scx cloud resume redshift-provisioned")
def resume(template: TemplateName, name: Name = "scx", region: Region = None) -> None:
    """Resume a paused Redshift cluster."""
    _change_cluster(template, name, region, "resume")


@app.command(epilog="Example: scx cloud url redshift-serverless")
def url(template: TemplateName, name: Name = "scx", region: Region = None) -> None:
    """Print the settings to use, such as SCX_WAREHOUSE_URL, as lines for a shell."""
    from scx_pipeline.cloud.services import pipeline_settings

    _print_settings(pipeline_settings(*_find_stack(template, name, region)))


@app.command(epilog="Example: scx cloud destroy redshift-serverless")
def destroy(
    template: TemplateName,
    name: Name = "scx",
    region: Region = None,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Keep no final snapshot.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Cancel job runs that have not ended.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Delete all resources of the stack, and no object in any bucket.

    Lists the resources, and asks for the name first. It can be run again after an interruption or a failure.
    """
    from scx_pipeline.cloud import services

    stacks = _open_stacks(region)
    stack = stacks.find_settled(f"{name}-{template}", name)
    if stack is None:
        rendering.out.print(f"there is no stack {name}-{template}: nothing to delete", markup=False)
        return
    resources = stacks.resources(stack)
    _show(f"{stack.name}: to be deleted", resources)
    if snapshot := stack.parameters.get("FinalSnapshot"):
        kept = snapshot == "true" and not no_snapshot
        rendering.out.print(KEPT if kept else LOST)
    if dry_run:
        return
    _confirm("delete", name, template, yes)
    for item in resources:
        if item["type"] == "AWS::EMRServerless::Application" and item["status"] != "CREATE_FAILED":
            services.Application(item["id"], stacks).stop(cancel=force)
    if snapshot == "true" and no_snapshot:
        stack = stacks.update(stack, {**dict.fromkeys(stack.parameters), "FinalSnapshot": "false"})
    stacks.delete(stack)


def _find_usable(stacks: Stacks, template: str, name: str, yes: bool) -> Stack | None:
    """Find a stack that can be updated, and delete what a failed creation left."""
    from scx_pipeline.cloud.stacks import FAILED_CREATIONS

    stack = stacks.find_settled(f"{name}-{template}", name)
    if stack is None or stack.status not in FAILED_CREATIONS:
        return stack
    rendering.out.print(f"{stack.name} is {stack.status}: {stacks.describe_failure(stack)}", markup=False)
    _confirm("delete", name, template, yes)
    stacks.delete(stack)
    return None


def _find_stack(template: str, name: str, region: str | None) -> tuple[Stacks, Stack]:
    """Find the stack of a template. Raises CloudError where there is none."""
    from scx_pipeline.cloud.stacks import CloudError

    stacks = _open_stacks(region)
    if (stack := stacks.find(f"{name}-{template}", name)) is None:
        raise CloudError(
            f"there is no stack {name}-{template}: run `scx cloud create {template}`, or see --name and --region"
        )
    return stacks, stack


def _change_cluster(template: str, name: str, region: str | None, action: str) -> None:
    from scx_pipeline.cloud.services import change_cluster
    from scx_pipeline.cloud.stacks import CloudError

    if template in NO_PAUSE:
        raise CloudError(f"{template} cannot be paused: {NO_PAUSE[template]}")
    stacks, stack = _find_stack(template, name, region)
    change_cluster(stacks, stack.parameters["Name"], action)


def _confirm(action: str, name: str, template: str, yes: bool) -> None:
    """Have the user type the name. Raises SettingsError for another one."""
    if not yes and (answer := typer.prompt(f"Type the name {name} to {action} {name}-{template}")) != name:
        raise SettingsError(f"{answer!r} is not {name!r}: nothing was changed")


def _open_stacks(region: str | None) -> Stacks:
    from scx_pipeline.cloud.stacks import Stacks

    return Stacks(region, lambda message: rendering.err.print(message, markup=False, style="dim"))


def _show(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    rendering.out.print(
        rendering.format_table(title, COLUMNS, [[row.get(key, "") for key in COLUMNS] for row in rows])
    )


def _print_settings(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        print(f"export {name}='{value}'")
