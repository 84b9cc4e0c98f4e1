"""The `scx cluster` commands: what a person types to have a Redshift, and to be rid of it.
What they do is in `cluster`; the other commands are in `cli`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scx_pipeline import cli_cluster_spark
from scx_pipeline.cli import rendering
from scx_pipeline.cli_cluster_options import AsJson, DryRun, File, Yes, ask_for_name, notify

if TYPE_CHECKING:
    from scx_pipeline.cluster.plan import ClusterPlan

app = typer.Typer(
    no_args_is_help=True,
    help="Make, pause and destroy an Amazon Redshift: serverless, or a cluster of one's own. `spark` is for the lake's builds.\n\n"
    "Credentials and region are AWS's own settings (AWS_PROFILE, AWS_REGION). Settings come from --file, and from options over it.",
)
app.add_typer(cli_cluster_spark.app, name="spark")

Name = Annotated[str | None, typer.Option(help="Of the workgroup or cluster; default: scx.")]
Kind = Annotated[str | None, typer.Option(help="serverless (the default) or provisioned.")]
BucketUrl = Annotated[str | None, typer.Option(help="s3://bucket with the logs, which the cluster may read.")]


@app.command(epilog="Example: scx cluster create --bucket s3://scx-logs --capacity 8")
def create(
    file: File = None,
    name: Name = None,
    kind: Kind = None,
    bucket: BucketUrl = None,
    staging: Annotated[str | None, typer.Option(help="s3://bucket/prefix for what COPY reads.")] = None,
    lake: Annotated[str | None, typer.Option(help="s3://bucket/prefix that UNLOAD may write into.")] = None,
    capacity: Annotated[int | None, typer.Option(help="Serverless: RPU to begin with.")] = None,
    max_capacity: Annotated[int | None, typer.Option(help="Serverless: RPU at most.")] = None,
    node_type: Annotated[str | None, typer.Option(help="Provisioned: such as ra3.large.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Provisioned: how many.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Make what is missing, wait until it can be used, and print the URL to use. Safe to repeat, and to break off."""
    from scx_pipeline.cluster import lifecycle
    from scx_pipeline.cluster.plan import loader_policy, price, read_policy, trust_policy

    flags = {
        "name": name, "kind": kind, "bucket": bucket, "staging": staging, "lake": lake, "capacity": capacity,
        "max_capacity": max_capacity, "node_type": node_type, "nodes": nodes,
    }  # fmt: skip
    plan = _plan(file, flags)
    rendering.out.print(f"price: {price(plan)}", markup=False)
    if dry_run:
        shown = {
            "settings": plan.model_dump(mode="json"),
            f"role {plan.role}: who may use it": trust_policy(),
            f"role {plan.role}: what it may do": read_policy(plan),
            "for whoever runs the pipeline": loader_policy(plan),
        }
        print(json.dumps(shown, indent=2))
        return
    if not yes:
        typer.confirm(f"Make the {plan.kind} Redshift {plan.name}?", abort=True)
    standing = lifecycle.create(plan, notify)
    print(f"export SCX_WAREHOUSE_URL='{lifecycle.url(plan, standing)}'")


@app.command(epilog="Example: scx cluster status --json")
def status(file: File = None, name: Name = None, kind: Kind = None, as_json: AsJson = False) -> None:
    """Show what there is, and the URL to use."""
    from scx_pipeline.cluster import lifecycle

    plan = _any_plan(file, name, kind)
    standing = lifecycle.status(plan)
    if as_json:
        print(
            json.dumps({"parts": [asdict(part) for part in standing.parts], "host": standing.host}, indent=2)
        )
        return
    rows = [(part.kind, part.name, part.state or "absent") for part in standing.parts]
    rendering.out.print(rendering.table(f"Redshift {plan.name}", ["part", "name", "state"], rows))
    if standing.host and standing.secret and file is not None:
        print(f"export SCX_WAREHOUSE_URL='{lifecycle.url(plan, standing)}'")


@app.command(epilog="Example: scx cluster pause --name scx --kind provisioned")
def pause(file: File = None, name: Name = None, kind: Kind = None) -> None:
    """Stop a cluster of one's own, and what it costs by the hour; its tables stay."""
    from scx_pipeline.cluster import lifecycle

    lifecycle.pause(_any_plan(file, name, kind), notify)


@app.command(epilog="Example: scx cluster resume --name scx --kind provisioned")
def resume(file: File = None, name: Name = None, kind: Kind = None) -> None:
    """Let a paused cluster compute again."""
    from scx_pipeline.cluster import lifecycle

    lifecycle.resume(_any_plan(file, name, kind), notify)


@app.command(epilog="Example: scx cluster destroy --name scx")
def destroy(
    file: File = None,
    name: Name = None,
    kind: Kind = None,
    no_snapshot: Annotated[
        bool, typer.Option("--no-snapshot", help="Take no last snapshot: all tables are lost.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove everything that `create` made, so that nothing is billed any longer but a last snapshot. Safe to repeat."""
    from scx_pipeline.cluster import lifecycle

    plan = _any_plan(file, name, kind)
    if not yes:
        ask_for_name(f"{plan.kind} Redshift", plan.name)
    lifecycle.destroy(plan, notify, snapshot=not no_snapshot)


def _plan(file: Path | None, flags: dict[str, Any]) -> ClusterPlan:
    from scx_pipeline.cluster.plan import read_plan

    return read_plan(file, flags)


def _any_plan(file: Path | None, name: str | None, kind: str | None) -> ClusterPlan:
    """A plan of which only the name and the kind matter."""
    return _plan(file, {"name": name, "kind": kind, **({} if file else {"bucket": "s3://any"})})
