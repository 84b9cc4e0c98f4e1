"""The files of a proposed star's folder, as texts by their paths: defs.yaml, SQL, a query and a README with a diagram.

Where the folder is, and whether it exists, is the caller's concern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from scx_pipeline.inference.proposal import Proposal
from scx_pipeline.inference.sample_cases import create_cases
from scx_pipeline.inference.star_design import Dimension
from scx_pipeline.model.column import Column
from scx_pipeline.warehouse.sql_text import quote

TIME_PARTS = ("hour", "day", "week", "month", "year", "weekday")
COMPONENT = "scx_pipeline.StarSchema"


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes columns and short lists on one line, and indents other lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_values(self, values: list[Any]) -> yaml.Node:
        """Represent a list, on one line if it holds no lists and mappings."""
        is_short = not any(isinstance(value, list | dict) for value in values)
        return self.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_short)


_Dumper.add_representer(list, _Dumper.represent_values)
_Dumper.add_representer(
    _Flow,
    lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True),
)


def _to_yaml(document: Any, width: int) -> str:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
    return re.sub(r"!!timestamp '([^']*)'", r"\1", text)


class StarFolderFiles:
    """The texts of the files of a star with this name and schema."""

    def __init__(self, name: str, schema: str, proposal: Proposal, url: str | None = None) -> None:
        self.name, self.schema, self.proposal, self.design = name, schema, proposal, proposal.design
        self.staging = f"staging_{name}"
        self.source = {**proposal.source, **({"url": url} if url else {})}
        self.has_time = bool(self.design.event_time)

    def create(self) -> dict[str, str]:
        """Return the text of every file, by its path in the star's folder."""
        files = {"defs.yaml": self._defs(), "README.md": self._readme()}
        for dimension in self.design.dimensions:
            files[f"sql/{dimension.name}.sql"] = self._dimension_sql(dimension)
        if self.has_time:
            files["sql/time.sql"] = self._time_sql()
            files[f"sql/{self.name}.sql"] = _select(
                [column.name for column in self.design.fact_columns], self.staging
            )
            cases = create_cases(self.design, self.proposal.sample_rows, self.staging, self.name)
            files |= {f"cases/{table}.yaml": _case_yaml(case) for table, case in cases.items()}
            files[f"queries/{self.name}_by_month.sql"] = self._query()
        return files

    def _defs(self) -> str:
        star: dict[str, Any] = {
            "name": self.name,
            "description": f"Proposed by scx new from {self.proposal.rows:,} rows: say here what the star answers.",
            "schema": self.schema,
            "first_month": str(self.proposal.first_month),
            "sources": [self.source],
            "tables": [self._staging_table(), *map(self._dimension_table, self.design.dimensions)],
        }
        if self.has_time:
            star["tables"] += [self._time_table(), self._fact_table()]
            chart = {"kind": "bar", "x": "month", "y": "row_count"}
            star["queries"] = [
                {
                    "name": f"{self.name}_by_month",
                    "title": f"Rows of {self.name} by month",
                    "chart": _Flow(chart),
                }
            ]
        document = {"type": COMPONENT, "attributes": star}
        return _to_yaml(document, 150)

    def _staging_table(self) -> dict[str, Any]:
        declared = {
            "name": self.staging,
            "role": "staging",
            "description": "The typed rows of the files.",
            "source": self.proposal.source["name"],
        }
        return {
            **declared,
            **self._keys(self.design.sequence_by),
            "columns": [_column(column, is_staging=True) for column in self.design.columns],
        }

    def _keys(self, sequence_by: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.design.key:
            found["key"] = list(self.design.key)
        if self.design.event_time:
            found["event_time"] = self.design.event_time
        if self.design.key and sequence_by:
            found["sequence_by"] = list(sequence_by)
        return found

    def _dimension_table(self, dimension: Dimension) -> dict[str, Any]:
        columns = {column.name: column for column in self.design.columns}
        return {
            "name": dimension.name,
            "role": "dimension",
            "description": f"One row per {dimension.key}, with the values of its latest row.",
            "key": [dimension.key],
            "event_time": self.design.event_time,
            "sequence_by": list(
                dict.fromkeys((*self.design.sequence_by, self.design.event_time, *self.design.key))
            ),
            "min_rows": 0,
            "dist": "all",
            "columns": [
                _column(columns[dimension.key], nullable=False),
                *(_column(columns[name]) for name in dimension.attributes),
            ],
        }

    def _time_table(self) -> dict[str, Any]:
        event_time = Column(
            name=str(self.design.event_time),
            type="timestamp",
            nullable=False,
            description="The time of the event.",
        )
        parts = [
            _column(Column(name=part, type="integer", description=f"The {part}, in UTC."))
            for part in self._time_parts()
        ]
        return {
            "name": "time",
            "role": "dimension",
            "description": "One row per time of an event, with its calendar parts (UTC, ISO weeks; Sunday is 0).",
            "key": [event_time.name],
            "event_time": event_time.name,
            "dist": "all",
            "columns": [_column(event_time), *parts],
        }

    def _fact_table(self) -> dict[str, Any]:
        references = {dimension.key: dimension.name for dimension in self.design.dimensions}
        references[str(self.design.event_time)] = "time"
        columns = []
        for column in self.design.fact_columns:
            declared = _column(column)
            if column.name in references:
                declared["references"] = references[column.name]
            columns.append(declared)
        described = {"name": self.name, "role": "fact", "description": "One row per event."}
        return {**described, **self._keys(()), "equal_row_count": self.staging, "columns": columns}

    def _dimension_sql(self, dimension: Dimension) -> str:
        others = (*self.design.sequence_by, str(self.design.event_time), *self.design.key)
        names = list(dict.fromkeys((dimension.key, *dimension.attributes, *others)))
        nullable = {column.name: column.nullable for column in self.design.columns}[dimension.key]
        return _select(names, self.staging, f"{sql_name(dimension.key)} IS NOT NULL" if nullable else "")

    def _time_parts(self) -> list[str]:
        """Return the calendar parts of an event time; one that has the event time's name is left out."""
        return [part for part in TIME_PARTS if part != self.design.event_time]

    def _time_sql(self) -> str:
        time = sql_name(str(self.design.event_time))
        parts = ",\n".join(
            f"    EXTRACT({'DOW' if part == 'weekday' else part.upper()} FROM {time}) AS {part}"
            for part in self._time_parts()
        )
        inner = f"    SELECT DISTINCT {time}\n    FROM {sql_name(self.staging)}\n"
        return f"SELECT\n    {time},\n{parts}\nFROM (\n{inner}) AS event_times\n"

    def _query(self) -> str:
        time = f"f.{sql_name(str(self.design.event_time))}"
        month = f"EXTRACT(YEAR FROM {time}) * 100 + EXTRACT(MONTH FROM {time})"
        return (
            f"SELECT\n    {month} AS month,\n    COUNT(*) AS row_count\nFROM {sql_name(self.name)} AS f\n"
            f"GROUP BY {month}\nORDER BY month\n"
        )

    def _readme(self) -> str:
        lines = [
            f"# {self.name}",
            "",
            f"Proposed by `scx new` from {self.proposal.rows:,} sample rows. Read the guesses, correct `defs.yaml`, and delete this sentence.",
            "",
        ]
        lines += ["| what | guess | why |", "|---|---|---|"]
        for guess in self.proposal.guesses:
            cells = (text.replace("|", "\\|") for text in (guess.subject, guess.decision, guess.reason))
            lines.append(f"| {' | '.join(cells)} |")
        if self.proposal.omitted:
            lines += ["", f"Not loaded, as no column can hold them: {', '.join(self.proposal.omitted)}."]
        if self.proposal.rule_candidates:
            lines += [
                "",
                "Rules that all samples meet. Add those that must hold: a month that breaks one is not published.",
                "",
            ]
            lines += ["```yaml"]
            lines += [
                f"- {_to_yaml(_Flow({'name': name, **rules}), 10_000).strip()}"
                for name, rules in self.proposal.rule_candidates.items()
            ]
            lines += ["```"]
        if self.has_time:
            lines += ["", "```mermaid", "erDiagram"]
            tables = [(dimension.name, dimension.key) for dimension in self.design.dimensions]
            for table, key in [*tables, ("time", self.design.event_time)]:
                lines.append(f"    {table} ||--o{{ {self.name} : {key}")
            lines.append("```")
        return "\n".join(lines) + "\n"


def _case_yaml(case: Mapping[str, Any]) -> str:
    flow = {
        name: {
            "given": {table: [_Flow(row) for row in rows] for table, rows in facts["given"].items()},
            "expect": [_Flow(row) for row in facts["expect"]],
        }
        for name, facts in case.items()
    }
    return _to_yaml(flow, 10_000)


def sql_name(name: str) -> str:
    """Return a name for SQL in Redshift's dialect, in quotes if it is a word of the language."""
    from sqlglot.dialects.redshift import Redshift

    words = {*Redshift.Tokenizer.KEYWORDS, *(word.upper() for word in Redshift.Generator.RESERVED_KEYWORDS)}
    return quote(name) if name.upper() in words else name


def _select(names: Sequence[str], table: str, where: str = "") -> str:
    listed = ",\n".join(f"    {sql_name(name)}" for name in names)
    condition = f"WHERE {where}\n" if where else ""
    return f"SELECT\n{listed}\nFROM {sql_name(table)}\n{condition}"


def _column(column: Column, *, is_staging: bool = False, nullable: bool | None = None) -> _Flow:
    declared = column.model_dump(mode="json", exclude_defaults=True)
    if not is_staging:
        declared = {
            key: value
            for key, value in declared.items()
            if key in ("name", "type", "nullable", "description")
        }
    if nullable is not None:
        declared["nullable"] = nullable
    first: dict[str, Any] = {key: declared.pop(key) for key in ("name", "field", "type") if key in declared}
    description = declared.pop("description")
    return _Flow({**first, **declared, "description": description or column.name})
