"""`scx load`: months of a star into the warehouse, from the raw objects or from the data lake.

Building the lake does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_warehouse, load_star_named, with_lake_url
from scx_pipeline.cli.options import AsJson, LakeUrl, MonthOptions, StarName, expand_option_groups
from scx_pipeline.cli.row_sources import RowSource, lake_source, object_source
from scx_pipeline.cli.runs import run_and_report
from scx_pipeline.errors import PipelineError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar

FROM_LAKE = "lake"  # the one value of --from that is not a month

app = typer.Typer()


@dataclass(frozen=True)
class LoadOptions(MonthOptions):
    """The options of a load: months, and where its rows come from."""

    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="YYYY-MM|lake",
            help="The first month of a range; or `lake`, to load from the data lake.",
        ),
    ] = None
    lake: LakeUrl = None

    def row_source(self, settings: Settings) -> RowSource:
        """Return where the rows come from. Raises PipelineError if the options contradict each other."""
        if self.from_ != FROM_LAKE:
            if self.lake:
                raise PipelineError(
                    "--lake is only used with --from lake: add --from lake, or leave --lake out"
                )
            return object_source(settings)
        if self.to:
            raise PipelineError(
                "--from lake does not go with --to: name a month with --month, or load all months of the lake with --all"
            )
        return lake_source(with_lake_url(settings, self.lake))

    def without_source(self) -> MonthOptions:
        """Return the options that select months."""
        return replace(self, from_=None) if self.from_ == FROM_LAKE else self


@app.command(
    epilog="Example: scx load scx --from 2021-01 --to 2021-12   Example: scx load scx --from lake --month 2021-04"
)
@expand_option_groups
def load(
    star: StarName,
    options: LoadOptions,
    create_only: Annotated[
        bool, typer.Option("--create-only", help="Create the tables that do not exist yet, and load nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Load months of a star in a Dagster run. The exit code is 0 only if everything is published.

    Unpartitioned tables are loaded first: with --changed if their sources changed, with --all always, and with named
    months only if they were never loaded.

    With --from lake, rows are read from the lake's files instead of the raw objects, with the same checks: one month
    (--month), every month that differs from the lake (--changed), or all months of the lake (--all).
    """
    settings, compiled = read_settings(), load_star_named(star)
    if create_only:
        if options != LoadOptions():
            raise PipelineError("--create-only loads no months: leave the other options out")
        _create_tables(compiled, settings, as_json)
        return
    source = options.row_source(settings)
    run_and_report(compiled, source, options.without_source().select(compiled), as_json=as_json)


def _create_tables(compiled: CompiledStar, settings: Settings, as_json: bool) -> None:
    """Create the star's tables as a load does, and print which were created."""
    from scx_pipeline.loading.targets.prepare import create_tables

    name = compiled.star.name
    created = configured_warehouse(settings).run(name, lambda session: create_tables(session, compiled))
    if as_json:
        rendering.print_json({"created": created})
        return
    for table in created:
        rendering.print_line(f"created: {table}")
    if not created:
        rendering.print_line(f"{name}: all tables exist as declared")
