"""Arguments and options that several commands of `scx` share, and groups of options as dataclasses.

Options of one command are declared with the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month, MonthRange

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar

StarName = Annotated[str, typer.Argument(metavar="STAR", help="The star's name, for example scx.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script instead of a table.")]
LakeUrl = Annotated[
    str | None,
    typer.Option(
        "--lake", metavar="URL", help="file:///folder or s3://bucket/prefix, instead of SCX_LAKE_URL."
    ),
]


class DueMonths(Enum):
    """Months that are selected by their state and not by name."""

    CHANGED = "changed"
    ALL = "all"


MonthSelection = MonthRange | DueMonths


@dataclass(frozen=True)
class RangeOptions:
    """The options that name one month or a range of months."""

    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="A single month.")] = None
    from_: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM", help="The first month of a range.")
    ] = None
    to: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="The last month of a range.")] = (
        None
    )

    def parse_range(self, compiled: CompiledStar) -> MonthRange | None:
        """Return the months that are named, or None if none are.

        Raises:
            PipelineError: if they contradict each other, or are not months of the star.
        """
        from scx_pipeline.loading.plan_load import check_month_range

        if self.month and (self.from_ or self.to):
            raise PipelineError("choose one of --month and --from/--to")
        if bool(self.from_) != bool(self.to):
            raise PipelineError("--from and --to go together: --from 2021-01 --to 2021-12")
        first, last = self.month or self.from_, self.month or self.to
        if not (first and last):
            return None
        try:
            scope = MonthRange(Month.parse(first), Month.parse(last))
        except ValueError as error:
            raise PipelineError(str(error)) from None
        check_month_range(compiled.star, scope)
        return scope


@dataclass(frozen=True)
class MonthOptions(RangeOptions):
    """The options that select months by name or by state."""

    changed: Annotated[
        bool, typer.Option("--changed", help="Every month whose objects changed (the default).")
    ] = False
    all_: Annotated[
        bool, typer.Option("--all", help="Every month that has objects, or was loaded or built before.")
    ] = False

    def select(self, compiled: CompiledStar) -> MonthSelection:
        """Return the months that are selected; by default, those that changed.

        Raises:
            PipelineError: if the options contradict each other, or name months that the star does not have.
        """
        if sum(map(bool, [self.month, self.from_ or self.to, self.changed, self.all_])) > 1:
            raise PipelineError("choose one of --month, --from/--to, --changed and --all")
        return self.parse_range(compiled) or (DueMonths.ALL if self.all_ else DueMonths.CHANGED)


def expand_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command so that each field of a parameter that is a dataclass becomes an option of its own.

    Typer has no groups of options; without them, commands would have up to ten parameters.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _group_parameters(groups[parameter.name])
        else:
            hint = hints[parameter.name]
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hint))

    @wraps(command)
    def run_command(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{item.name: values.pop(item.name) for item in fields(group)})
        command(**values)

    run_command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run_command


def _group_parameters(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(item.name, Parameter.KEYWORD_ONLY, default=item.default, annotation=hints[item.name])
        for item in fields(group)
    ]
