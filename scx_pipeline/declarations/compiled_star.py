"""A star's SQL: one SELECT per table in Redshift's dialect, checked, ordered, narrowed to months and transpiled.
Reading files and running statements happen elsewhere."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange
from scx_pipeline.model.query import Query
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import in_month_range, qualified

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.schema import Schema

AUTHORED = "redshift"
PARTS = (
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "dow",
    "doy",
)  # that EXTRACT gives alike everywhere


@dataclass(frozen=True)
class SqlFile:
    """A SQL file of a star: where it is, and its text."""

    path: Path
    text: str


@dataclass(frozen=True)
class CompiledStar:
    """A star with its SQL checked: every name resolves, every declared column is made, no cycle."""

    star: Star
    folder: Path
    tables: Mapping[str, SqlFile]
    queries: Mapping[str, SqlFile]
    aside: Mapping[str, str] = field(
        default_factory=dict
    )  # by table, another name that it has in the warehouse while it is rebuilt

    @cached_property
    def order(self) -> list[Table]:
        """The derived tables, each after those its SQL reads; those with months first, as declared.

        Others are merged with what stands in the warehouse, which may still be busy taking over the first.
        """
        tables = [table.name for table in self.star.tables]
        sorter = TopologicalSorter({table.name: self.reads(table) for table in self.star.derived})
        try:
            sorter.prepare()
        except CycleError as error:
            raise DeclarationError(
                f"{self.folder}: the SQL files read each other in a circle: {' → '.join(error.args[1])}"
            ) from None
        order: list[Table] = []
        ready: list[str] = []
        while sorter.is_active():
            ready += sorter.get_ready()
            ready.sort(key=lambda name: (not self.star.table(name).partitioned, tables.index(name)))
            order.append(self.star.table(ready.pop(0)))
            sorter.done(order[-1].name)
        return [table for table in order if table.role != "staging"]

    def reads(self, table: Table) -> set[str]:
        """The star's tables that a derived table's SQL reads."""
        return set(self._reads[table.name])

    def in_schema(self, name: str) -> CompiledStar:
        """The same star in a schema of another name; itself, with what it has worked out, where that is its own."""
        if name == self.star.schema_name:
            return self
        return replace(self, star=self.star.model_copy(update={"schema_name": name}))

    def rebuilt_aside(self, names: Mapping[str, str]) -> CompiledStar:
        """The same star while some of its tables are rebuilt under other names; itself where none is."""
        return replace(self, aside=names) if names else self

    def stored(self, table: Table) -> Table:
        """The table under the name that it has in the warehouse now."""
        name = self.aside.get(table.name)
        return table.model_copy(update={"name": name}) if name else table

    def full_name(self, table: Table) -> str:
        """The qualified name that the table has in the warehouse now."""
        return qualified(self.star.schema_name, self.stored(table))

    def stands_alone(self, table: Table) -> bool:
        """Whether a staging table has no key, nothing is made from it, and it neither points nor is pointed to."""
        pointing = {column.references for other in self.star.tables for column in other.columns}
        return not (
            table.key
            or table.name in pointing
            or any(column.references for column in table.columns)
            or any(table.name in self.reads(other) for other in self.star.derived)
        )

    def downstream(self, names: set[str]) -> set[str]:
        """These tables and all that are made from them, directly or not."""
        found = set(names)
        for table in self.order:
            if self.reads(table) & found:
                found.add(table.name)
        return found

    def select(self, table: Table, scope: LoadScope, engine: Capabilities) -> str:
        """The table's SELECT in an engine's dialect, its sliced inputs narrowed to the span."""
        wanted = (table.name, scope, engine.dialect, engine.collation)
        if wanted not in self._generated:
            self._generated[wanted] = _generate(self._selects[table.name], self, engine, scope)
        return self._generated[wanted]

    def query(self, query: Query, engine: Capabilities) -> str:
        """An analysts' query in an engine's dialect, or as it is written where it says so."""
        if query.as_written:
            return self.queries[query.name].text
        return _generate(self._queries[query.name], self, engine, UNPARTITIONED)

    def output_types(self, table: Table) -> dict[str, str]:
        """The columns that the table's SELECT gives, the declared ones and those it is ordered by, and their neutral types:
        as declared, or as the column of another table they stand for, or as made."""
        return self._output_types[table.name]

    def _output_type(self, item: exp.Expr, table: Table) -> str:
        from sqlglot import exp

        if item.alias_or_name in table.column_names:
            return table.column(item.alias_or_name).type
        made = item.unalias()
        if isinstance(made, exp.Column):
            sources = self._lineages[table.name][item.alias_or_name]
            if len(sources) == 1:
                return self.star.table(sources[0][0]).column(sources[0][1]).type
        return _neutral_type(made)

    def lineage(self, table: Table) -> dict[str, list[tuple[str, str]]]:
        """For every declared column, the (table, column) pairs it is made from."""
        lineage = self._lineages[table.name]
        return {column.name: lineage[column.name] for column in table.columns}

    def code_version(self, table: Table) -> str:
        """A hash of what makes the table's rows: its SQL and the declared facts that decide them, not what is only checked."""
        facts = table.model_dump(
            mode="json",
            exclude={
                "description",
                "columns",
                "equal_row_count",
                "min_rows",
                "dist",
                "sort",
                "partition_by",
            },
        )
        facts["columns"] = [
            column.model_dump(mode="json", include={"name", "type", "nullable", "field", "unit"})
            for column in table.columns
        ]
        if table.source is not None:
            source = self.star.source(table.source)
            facts["source"] = source.model_dump(mode="json", exclude={"description", "reject_limit"})
        else:
            facts["sql"] = self._selects[table.name].sql(dialect=AUTHORED, comments=False)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def version(self) -> str:
        """A hash of the code of all the star's tables with months."""
        return self._version_of(self.star.monthly)

    @cached_property
    def unpartitioned_version(self) -> str:
        """A hash of the code of all the star's tables without months."""
        return self._version_of(self.star.unpartitioned)

    def _version_of(self, tables: Sequence[Table]) -> str:
        versions = "".join(self.code_version(table) for table in tables)
        return hashlib.sha256(f"{self.star.first_month}{versions}".encode()).hexdigest()[:16]

    def reading_unpartitioned(self) -> list[Table]:
        """The tables kept by month that read tables without months: their rows change when those do."""
        unpartitioned = {table.name for table in self.star.unpartitioned}
        return [table for table in self.order if table.partitioned and self.reads(table) & unpartitioned]

    @cached_property
    def _selects(self) -> dict[str, exp.Query]:
        return {
            table.name: _compile(self.tables[table.name], self.star, table) for table in self.star.derived
        }

    @cached_property
    def _generated(self) -> dict[tuple[str, LoadScope, str, str], str]:
        """What `select` gave so far: a process that loads a span again need not make it again."""
        return {}

    @cached_property
    def _reads(self) -> dict[str, set[str]]:
        return {
            name: {node.name for node in _own_tables(select, self.star)}
            for name, select in self._selects.items()
        }

    @cached_property
    def _output_types(self) -> dict[str, dict[str, str]]:
        return {
            name: {
                str(item.alias_or_name): self._output_type(item, self.star.table(name))
                for item in select.selects
            }
            for name, select in self._selects.items()
        }

    @cached_property
    def _lineages(self) -> dict[str, dict[str, list[tuple[str, str]]]]:
        return {name: _lineage(select, self.star) for name, select in self._selects.items()}

    @cached_property
    def _queries(self) -> dict[str, exp.Query]:
        return {
            query.name: _compile(self.queries[query.name], self.star, None)
            for query in self.star.queries
            if not query.as_written
        }


def compile_star(star: Star, folder: Path) -> CompiledStar:
    """Read and check the star's SQL files: `sql/<table>.sql` and `queries/<query>.sql`.

    Raises DeclarationError with file and line for a missing file, an unknown table or column, a declared column that
    the SELECT does not give, and for SQL that does not mean the same on every engine.
    """
    tables = {table.name: _read(folder / "sql" / f"{table.name}.sql") for table in star.derived}
    queries = {query.name: _read(folder / "queries" / f"{query.name}.sql") for query in star.queries}
    compiled = CompiledStar(star, folder, tables, queries)
    for table in star.derived:
        _check_inputs(compiled, table)
    assert compiled.order is not None
    for query in star.queries:
        if query.name in compiled._queries:
            _check_chart(compiled._queries[query.name], queries[query.name], query)
    return compiled


def _read(path: Path) -> SqlFile:
    try:
        return SqlFile(path, path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise DeclarationError(f"{path}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DeclarationError(
            f"{path}: cannot be read ({error.strerror}); every derived table and query has its file"
        ) from None


def _compile(file: SqlFile, star: Star, table: Table | None) -> exp.Query:
    from sqlglot import exp
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.schema import MappingSchema

    parsed = _parse(file)
    _check_portable(parsed, file)
    _check_tables(parsed, file, star)
    schema = MappingSchema(_schema(star), dialect=AUTHORED)
    qualified = annotate_types(_qualified(parsed, schema, file, star), schema=schema, dialect=AUTHORED)
    assert isinstance(qualified, exp.Query)
    if table is not None:
        _check_outputs(qualified, file, table)
    return qualified


def _parse(file: SqlFile) -> exp.Query:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [item for item in sqlglot.parse(file.text, read=AUTHORED) if item is not None]
    except SqlglotError as error:
        line, what = _syntax_error(error, file.text)
        raise DeclarationError(f"{file.path}, line {line}: {what}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise DeclarationError(f"{file.path}: must hold one SELECT and nothing else")
    return statements[0]


def _syntax_error(error: SqlglotError, text: str) -> tuple[int, str]:
    """The line of a syntax error, and what is wrong there."""
    found = getattr(error, "errors", None)
    if found:
        return found[0]["line"], re.sub(r"<Token .*?text: (.*?), line.*>", r"\1", found[0]["description"])
    unclosed = re.match(r"Missing (\S+) from \d+:(\d+)", str(error.__cause__))
    if unclosed:
        return text.count("\n", 0, int(unclosed[2])) + 1, f"{unclosed[1]} is opened and never closed"
    return 1, str(error).split("\n")[0]


def _check_portable(parsed: exp.Query, file: SqlFile) -> None:
    """Refuse what is silently different, or broken, on another engine."""
    from sqlglot import exp

    refused: dict[type[exp.Expression], str] = {
        exp.TryCast: "TRY_CAST differs between engines; cast what is sure to be castable",
        exp.DateDiff: "DATEDIFF counts differently on every engine; subtract, or compare DATE_TRUNC values",
        exp.TsOrDsDiff: "DATEDIFF counts differently on every engine; subtract, or compare DATE_TRUNC values",
        exp.CurrentTimestamp: "the current time makes a re-run give other rows",
        exp.CurrentTime: "the current time makes a re-run give other rows",
        exp.Localtimestamp: "the current time makes a re-run give other rows",
        exp.Localtime: "the current time makes a re-run give other rows",
        exp.CurrentDate: "the current date makes a re-run give other rows",
        exp.CurrentUser: "the current user makes a re-run give other rows",
        exp.SessionUser: "the current user makes a re-run give other rows",
        exp.Rand: "a random number makes a re-run give other rows",
        exp.Uuid: "a random UUID makes a re-run give other rows",
        exp.SimilarTo: "SIMILAR TO differs between engines; use LIKE",
    }
    for kind, why in refused.items():
        node = parsed.find(kind)
        if node is not None:
            raise DeclarationError(f"{file.path}, line {_line(node)}: {why}")
    for extract in parsed.find_all(exp.Extract):
        if extract.name.lower() not in PARTS:
            hint = f"take one of {', '.join(PARTS)}"
            raise DeclarationError(
                f"{file.path}, line {_line(extract)}: EXTRACT({extract.name}) differs between engines; {hint}"
            )


def _check_tables(parsed: exp.Query, file: SqlFile, star: Star) -> None:
    from sqlglot import exp

    known = [table.name for table in star.tables]
    local = {cte.alias for cte in parsed.find_all(exp.CTE)}
    for cte in parsed.find_all(exp.CTE):
        if cte.alias in known:
            raise DeclarationError(
                f"{file.path}, line {_line(cte)}: WITH {cte.alias} has the name of a table; take another name"
            )
    for node in parsed.find_all(exp.Table):
        if node.name not in known and node.name not in local:
            near = difflib.get_close_matches(node.name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; the star has: {', '.join(known)}"
            name = node.name or node.sql(dialect=AUTHORED)
            raise DeclarationError(f"{file.path}, line {_line(node)}: unknown table {name!r}{hint}")
        if node.db:
            raise DeclarationError(
                f"{file.path}, line {_line(node)}: name {node.name} plainly, without {node.db}"
            )


def _qualified(parsed: exp.Query, schema: Schema, file: SqlFile, star: Star) -> exp.Expr:
    from sqlglot.errors import OptimizeError
    from sqlglot.optimizer.qualify import qualify

    try:
        return qualify(parsed, schema=schema, dialect=AUTHORED)
    except OptimizeError as error:
        # By now `parsed` is half qualified, and some of its nodes have lost their lines.
        line, what = _unresolved(str(error), _parse(file), star)
        raise DeclarationError(f"{file.path}, line {line}: {what}") from None


def _unresolved(message: str, parsed: exp.Query, star: Star) -> tuple[int, str]:
    """The line of a name that sqlglot cannot resolve, and what is wrong with it."""
    from sqlglot import exp

    place = re.search(r"Line: (\d+)", message)
    table = re.search(r"(?:for table:|Unknown table:) '?(\w+)", message)
    column = re.search(r"(?:Column|Unknown column:) '?(\w+)", message)
    named = table or column
    name = named[1] if named else ""
    nodes = [
        node for node in parsed.find_all(exp.Column) if name == (node.table if table else node.name).lower()
    ]
    line = int(place[1]) if place else _line(nodes[0]) if nodes else 1
    if named is None:
        return line, message.split("\n")[0]
    if table:
        return line, f"unknown table or alias {name!r}"
    columns = sorted({column.name for table in star.tables for column in table.columns})
    if place and name in columns:
        return line, f"ambiguous or unknown column {name!r}; say which table it is of"
    near = difflib.get_close_matches(name, columns, n=1)
    return line, f"unknown column {name!r}" + (
        f"; did you mean {near[0]}?" if near and near[0] != name else ""
    )


def _check_outputs(select: exp.Query, file: SqlFile, table: Table) -> None:
    given = [item.alias_or_name for item in select.selects]
    doubled = [name for name in given if given.count(name) > 1]
    if doubled:
        raise DeclarationError(f"{file.path}: the SELECT gives {doubled[0]} twice")
    needed = [
        *table.column_names,
        *table.sequence_by,
        *([] if table.unpartitioned else [table.event_time_column]),
    ]
    for name in needed:
        if name not in given:
            near = difflib.get_close_matches(name, given, n=1)
            hint = f" (it gives {near[0]})" if near else ""
            raise DeclarationError(
                f"{file.path}: the SELECT does not give {name}, which {table.name} declares{hint}"
            )
    extra = set(given) - set(needed)
    if extra:
        raise DeclarationError(
            f"{file.path}: the SELECT gives {sorted(extra)[0]}, which {table.name} does not declare"
        )


def _check_inputs(compiled: CompiledStar, table: Table) -> None:
    """A table without months reads no other ones; a table kept by key reads only others, or no load would know its rows."""
    inputs = [compiled.star.table(name) for name in sorted(compiled.reads(table))]
    path = compiled.tables[table.name].path
    for other in inputs:
        if table.unpartitioned and not other.unpartitioned:
            raise DeclarationError(
                f"{path}: {table.name} has no months (no event_time), and reads {other.name}, which has"
            )
        if other.unpartitioned and not (table.unpartitioned or table.partitioned):
            raise DeclarationError(
                f"{path}: {table.name} is kept by key, and reads {other.name}, which has no months; "
                f"give {table.name} its event_time as a column, or read {other.name} where it is used"
            )


def _check_chart(select: exp.Query, file: SqlFile, query: Query) -> None:
    given = [item.alias_or_name for item in select.selects]
    for name in (query.chart.x, query.chart.y, query.chart.series) if query.chart else ():
        if name is not None and name not in given:
            raise DeclarationError(
                f"{file.path}: the SELECT does not give {name}, which {query.name}'s chart draws"
            )


def _line(node: exp.Expr) -> int:
    """The line of the first token under the node that knows its place, or else under what it is part of."""
    for item in node.walk():
        if "line" in item.meta:
            return int(item.meta["line"])
    return _line(node.parent) if node.parent else 1


def _schema(star: Star) -> dict[str, object]:
    return {
        table.name: {column.name: _redshift_type(column.type) for column in table.columns}
        for table in star.tables
    }


def _redshift_type(neutral: str) -> str:
    return {"double": "double precision"}.get(neutral, neutral.replace("(max)", "(65535)"))


def _own_tables(select: exp.Query, star: Star) -> Iterator[exp.Table]:
    """The nodes that name a table of the star, and no CTE of the same name."""
    from sqlglot import exp

    names = {table.name for table in star.tables}
    local = {cte.alias for cte in select.find_all(exp.CTE)}
    return (node for node in select.find_all(exp.Table) if node.name in names - local)


def _generate(select: exp.Query, compiled: CompiledStar, engine: Capabilities, scope: LoadScope) -> str:
    from sqlglot import exp

    star = compiled.star

    tree = select.copy()
    for node in list(_own_tables(tree, star)):
        table = star.table(node.name)
        alias = node.alias_or_name
        source = exp.table_(compiled.stored(table).name, db=star.schema_name, quoted=True)
        if scope is UNPARTITIONED or not table.partitioned:
            node.replace(exp.alias_(source, alias, table=True, quoted=True))
        else:
            narrowed = exp.select("*").from_(source).where(_condition(table, scope))
            node.replace(narrowed.subquery(exp.to_identifier(alias, quoted=True)))
    return str(_fix(tree, engine).sql(dialect=engine.dialect))


@lru_cache(maxsize=256)
def _condition(table: Table, scope: MonthRange) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(in_month_range(table.event_time_column, scope), read="postgres")


def _fix(tree: exp.Query, engine: Capabilities) -> exp.Query:
    """What sqlglot leaves different: in Redshift AVG of integers and EXTRACT are integers, CONCAT of a NULL is NULL, and
    texts are compared by their bytes."""
    from sqlglot import exp

    if engine.dialect == AUTHORED:
        return tree

    for select in tree.find_all(exp.Select):
        _group_distinct(select)
    if engine.collation:
        _compare_bytes(tree, engine.collation)
    # From the innermost outwards, since what is replaced is copied.
    for node in reversed(list(tree.find_all(exp.Avg, exp.Concat, exp.Extract))):
        if isinstance(node, exp.Avg) and node.this.is_type(*exp.DataType.INTEGER_TYPES):
            unpartitioned: exp.Expression = node
            while (
                isinstance(unpartitioned.parent, (exp.Filter, exp.Window)) and unpartitioned.arg_key == "this"
            ):
                unpartitioned = unpartitioned.parent
            unpartitioned.replace(exp.cast(exp.func("TRUNC", unpartitioned.copy()), "bigint"))
        elif isinstance(node, exp.Concat):
            left, *others = node.expressions
            for other in others:
                left = exp.DPipe(this=left, expression=other, safe=True)
            node.replace(exp.paren(left))
        elif isinstance(node, exp.Extract):
            # The same number everywhere, and in PostgreSQL half the time of EXTRACT, which makes a NUMERIC.
            part = exp.func("DATE_PART", exp.Literal.string(node.name.lower()), node.expression.copy())
            unpartitioned = exp.cast(part, "int")
            of_week = node.name.lower() == "dow" and engine.sunday
            node.replace(exp.paren(unpartitioned - engine.sunday) if of_week else unpartitioned)
    return tree


def _compare_bytes(tree: exp.Query, collation: str) -> None:
    """Compare and order texts by this collation, not by the database's, which would decide which rows there are."""
    from sqlglot import exp

    compared = (exp.Min, exp.Max, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Greatest, exp.Least)
    # From the innermost outwards, and what may stand for an output last, since what is replaced is copied.
    for node in [*reversed(list(tree.find_all(*compared))), *reversed(list(tree.find_all(exp.Ordered)))]:
        text = _ordered_by(node) if isinstance(node, exp.Ordered) else node.this
        if text is not None and text.is_type(*exp.DataType.TEXT_TYPES):
            by_bytes = exp.Collate(
                this=exp.paren(text.copy()), expression=exp.to_identifier(collation, quoted=True)
            )
            node.this.replace(by_bytes)


def _ordered_by(node: exp.Ordered) -> exp.Expr | None:
    """What a term of ORDER BY stands for, as an output's name may not be part of an expression there.

    None where no expression may stand at all.
    """
    from sqlglot import exp

    owner = node.parent.parent if node.parent else None
    if isinstance(owner, exp.SetOperation) or (isinstance(owner, exp.Select) and owner.args.get("distinct")):
        return None
    if isinstance(owner, exp.Select) and isinstance(node.this, exp.Column) and not node.this.table:
        outputs = {item.alias: item.unalias() for item in owner.selects}
        return outputs.get(node.this.name, node.this)
    found: exp.Expr = node.this
    return found


def _group_distinct(select: exp.Select) -> None:
    """SELECT DISTINCT of columns as GROUP BY: in parallel, PostgreSQL hashes a DISTINCT twice by the same order, which
    takes minutes where this takes seconds."""
    from sqlglot import exp

    plain = all(isinstance(item.unalias(), exp.Column) for item in select.selects)
    if select.args.get("distinct") == exp.Distinct() and plain and not select.args.get("group"):
        select.set("distinct", None)
        select.set("group", exp.Group(expressions=[item.unalias().copy() for item in select.selects]))


def _neutral_type(made: exp.Expr) -> str:
    """The neutral type of what an expression gives."""
    from sqlglot import exp

    kinds = {
        "bigint": exp.DataType.INTEGER_TYPES,
        "double": exp.DataType.REAL_TYPES,
        "date": {exp.DataType.Type.DATE},
        "timestamp": exp.DataType.TEMPORAL_TYPES,
        "boolean": {exp.DataType.Type.BOOLEAN},
    }
    return next((neutral for neutral, types in kinds.items() if made.is_type(*types)), "varchar(max)")


def _lineage(select: exp.Query, star: Star) -> dict[str, list[tuple[str, str]]]:
    """For every output of the SELECT, the (table, column) pairs it is made from."""
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.scope import build_scope

    # The SELECT is already qualified, and no one reads the text of the lineage's nodes.
    roots = lineage(
        None,
        select,
        _schema(star),
        dialect=AUTHORED,
        scope=build_scope(select),
        trim_selects=False,
        copy=False,
    )
    found = {}
    for name, root in roots.items():
        leaves = [
            node for node in root.walk() if not node.downstream and isinstance(node.expression, exp.Table)
        ]
        found[name] = sorted({(leaf.expression.name, leaf.name.split(".")[-1].strip('"')) for leaf in leaves})
    return found
