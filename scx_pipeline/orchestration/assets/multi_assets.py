"""What the warehouse's and the lake's multi-assets have in common: specs, checks, partitions, and the scope of a run.

What a run does is defined by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.checks.declared_checks import declared_checks
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.events import LoadEvents, LoadReporter, step_failure
from scx_pipeline.orchestration.assets.metadata import (
    AssetKeyOf,
    asset_key,
    code_references,
    column_metadata,
    lake_key,
    table_metadata,
)
from scx_pipeline.orchestration.partitions import monthly, range_of_keys

NO_MONTH = "no month was selected: blocking checks run inside a load, so materialize the months to be checked"


@dataclass(frozen=True)
class TableGroup:
    """The tables that one multi-asset materializes: a star's monthly or unpartitioned ones, in the warehouse or in the lake."""

    compiled: CompiledStar
    is_monthly: bool
    lake: bool

    @property
    def tables(self) -> Sequence[Table]:
        star = self.compiled.star
        return star.monthly_tables if self.is_monthly else star.unpartitioned_tables

    @property
    def key(self) -> AssetKeyOf:
        """The asset keys of the star's tables."""
        return partial(lake_key if self.lake else asset_key, self.compiled.star.name)

    @cached_property
    def columns(self) -> Mapping[str, Mapping[str, Any]]:
        """The metadata of the columns of each of the star's tables: a load may also publish tables of another group."""
        tables = self.compiled.star.tables
        return {table.name: column_metadata(self.compiled, table, self.key) for table in tables}

    def scope(self, context: dg.AssetExecutionContext) -> LoadScope:
        """Return the months that the run was started for, or UNPARTITIONED. Raises Failure if no month was selected."""
        if not self.is_monthly:
            return UNPARTITIONED
        if not (context.has_partition_key or context.has_partition_key_range):  # "Execute" on a check's page
            raise step_failure(PipelineError(NO_MONTH))
        return range_of_keys(context.partition_keys)

    def reporter(self, context: dg.AssetExecutionContext) -> LoadReporter:
        """Return what reports the loads of a step; the assets that were selected are results of the step."""
        selected = {key.path[-1] for key in context.selected_asset_keys}
        return LoadReporter(context, self.key, self.columns, selected)

    def multi_asset(
        self, name: str, pool: str, spec: Callable[[Table], dg.AssetSpec], can_subset: bool = False
    ) -> Callable[[Callable[..., LoadEvents]], dg.AssetsDefinition]:
        """Return the decorator that defines the multi-asset."""
        star = self.compiled.star
        return dg.multi_asset(
            name=name,
            specs=[spec(table) for table in self.tables],
            check_specs=self._check_specs(),
            partitions_def=monthly(star) if self.is_monthly else None,
            # Unpartitioned tables have it too: a range can only be launched if all selected assets have the same policy.
            backfill_policy=dg.BackfillPolicy.single_run(),
            can_subset=can_subset,
            op_tags={**star.op_tags, "star": star.name},
            pool=pool,
        )

    def spec(self, table: Table, kinds: set[str], metadata: Mapping[str, Any], **values: Any) -> dg.AssetSpec:
        """Return the spec of a table's asset, with its description, group and what else differs given as `values`."""
        compiled, star = self.compiled, self.compiled.star
        sources = [asset_key(star.name, name) for name in table.source_names]
        for name in table.source_names:
            sources += map(dg.AssetKey.from_user_string, star.source(name).deps)
        return dg.AssetSpec(
            key=self.key(table.name),
            deps=sources or [self.key(name) for name in sorted(compiled.inputs_of(table))],
            owners=list(star.owners),
            kinds=kinds,
            code_version=compiled.code_version(table),
            metadata={
                **self.columns[table.name],
                **table_metadata(compiled, table),
                **code_references(compiled, table),
                **metadata,
            },
            tags={"role": table.role},
            **values,
        )

    def _check_specs(self) -> list[dg.AssetCheckSpec]:
        """Return the specs of the tables' checks, without partitions: a load reports one result of each, by month in its metadata.

        Partitions of checks are a preview in Dagster 1.13: defining them warns; in a run of a range, a result has no partition; and
        evaluations that are logged for each month are shown only if they name the month's materialization, which is recorded later.
        """
        names = {table.name for table in self.tables}
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=self.key(check.table),
                description=check.description,
                blocking=check.severity == "error",
            )
            for check in declared_checks(self.compiled.star)
            if check.table in names
        ]


def table_groups(compiled: CompiledStar, lake: bool) -> list[TableGroup]:
    """Return the group of monthly tables, and the one of unpartitioned tables if there are any."""
    groups = [True, False] if compiled.star.unpartitioned_tables else [True]
    return [TableGroup(compiled, is_monthly, lake) for is_monthly in groups]
