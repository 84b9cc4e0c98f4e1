"""Parquet files into a landing, those of the same schema by one scan; and the bad rows of a file, and the bad files.
What a schema must be, and which values a row may have, is in `parquetfile`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.reserved_names import VIRTUAL_COLUMNS, internal
from scx_pipeline.parsing.parquet.contract import Contract
from scx_pipeline.parsing.parser import (
    UNKNOWN_REASON,
    Outside,
    Parser,
    Refused,
    in_any_order,
    marked,
    paths_of,
)
from scx_pipeline.parsing.records import RAW_LIMIT
from scx_pipeline.parsing.values import first_violations, literal, told
from scx_pipeline.storage.bucket import LocalFile
from scx_pipeline.warehouse.sql_text import names, quote

if TYPE_CHECKING:
    import duckdb

NUMBER, ROW, SCAN = map(
    internal, ("number", "row", "scan")
)  # of a row's file, its place in it from 0, and a scan
# What a footer says of a column that decides how it is read; its place as well, as DuckDB may take columns by that.
FACTS = "name, type, type_length, num_children, converted_type, scale, precision, logical_type, column_id"


class ParquetParser(Parser[LocalFile]):
    """Reads Parquet files. One that cannot be read, or has other columns than are declared, is refused as a whole.

    Then the source decides: the load fails, or the file counts as one record that was rejected.
    """

    can_stream = True

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.known: dict[int, Contract] = {}  # by schema
        self.contracts: dict[LocalFile, Contract] = {}  # of the batch that is being read
        self.refused: dict[LocalFile, str] = {}  # why the file is refused as a whole

    def groups(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        self.contracts, self.refused = {}, {}
        for file in files:
            if file.suffix:
                self._refuse(
                    file, "is compressed as a whole, which Parquet files are not: they are packed inside"
                )
        alike: dict[int, list[LocalFile]] = defaultdict(list)
        for file, schema in self._schemas([file for file in files if file not in self.refused]).items():
            alike[schema].append(file)
        for schema, same in alike.items():
            self._agree(schema, same)
        indices = {file: index for index, file in enumerate(files)}
        groups = [
            [indices[file] for file in part if file not in self.refused]
            for same in alike.values()
            for part in self._readable_at_once(same)
        ]
        return [group for group in [*groups, [indices[file] for file in self.refused]] if group]

    def _readable_at_once(self, files: list[LocalFile]) -> list[list[LocalFile]]:
        """Files of one schema, apart where a column of theirs takes the place of the one that tells them apart."""
        contract = self.contracts.get(files[0])
        alone = contract is not None and not _has_virtual(contract, "file_index")
        return [[file] for file in files] if alone else [files]

    def _schemas(self, files: Sequence[LocalFile]) -> dict[LocalFile, int]:
        """The readable files, and a hash of what each one's footer says of its columns."""
        found: dict[str, int] = {}
        self._reading(files, lambda left: found.update(self._footers(left)), self._footers)
        return {file: found[str(file.path)] for file in files if file not in self.refused}

    def _footers(self, files: Sequence[LocalFile]) -> dict[str, int]:
        """By path, the hash of a footer. DuckDB reads them by one thread, so several read a share of the files each."""
        [(threads,)] = self.con.execute("SELECT current_setting('threads')").fetchall()
        paths = [str(file.path) for file in files]
        shares = [share for start in range(1, threads) if (share := paths[start::threads])]
        with ThreadPoolExecutor(max(1, len(shares))) as pool:
            others = pool.map(lambda share: _read_footers(self.con.cursor(), share), shares)
            # A statement that fails would end a transaction of the connection itself.
            return dict(chain(_read_footers(self.con.cursor(), paths[::threads]), *others))

    def _agree(self, schema: int, files: Sequence[LocalFile]) -> None:
        """How files of one schema are read, unless they cannot."""
        if schema not in self.known:
            self.known[schema] = self._contract(files[0])
        contract = self.known[schema]
        self.contracts |= dict.fromkeys(files, contract)
        mistakes = "; ".join(contract.mistakes)
        for file in files if mistakes else ():
            self._refuse(file, mistakes)

    def _contract(self, file: LocalFile) -> Contract:
        """How files such as this one are read. DuckDB numbers names that are there twice, or differ in case only."""
        described = self.con.execute(f"DESCRIBE SELECT * FROM {_scan([file])}").fetchall()
        shown = [name for name, *_ in described]
        exact = self._exact_names(file)
        if len(exact) != len(shown):  # as no file should have it
            exact = shown
        types = {name: kind for name, (_, kind, *_) in zip(exact, described, strict=True)}
        doubled = tuple(name for name, count in Counter(exact).items() if count > 1)
        renamed = {name: other for name, other in zip(exact, shown, strict=True) if name != other}
        return Contract(self.source, self.table, types, doubled, renamed)

    def _exact_names(self, file: LocalFile) -> list[str]:
        """The names of a file's columns, as its footer has them; of nested ones, the outermost."""
        rows = self.con.execute(
            "SELECT name, COALESCE(num_children, 0) FROM parquet_schema(?) ORDER BY column_id",
            [str(file.path)],
        ).fetchall()
        found, inner = [], 0
        for name, children in rows[1:]:  # the first is all of them together
            if not inner:
                found.append(name)
            inner = max(inner - 1, 0) + children
        return found

    def stage(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        numbers = {file: first + index for index, file in enumerate(files)}
        if self.staging_buffer.in_transaction and self.source.on_invalid_file == "reject":
            self._reading([file for file in files if file not in self.refused], self._probe, self._probe)
        readable = [file for file in files if file not in self.refused]
        if readable:
            contract = self.contracts[readable[0]]
            with in_any_order(self.con):
                self._reading(
                    readable,
                    lambda left: self.staging_buffer.add(
                        self._select(contract, {file: numbers[file] for file in left})
                    ),
                    self._probe,
                )
            if contract.undeclared_fields:
                self.undeclared_fields |= {
                    number: contract.undeclared_fields
                    for file, number in numbers.items()
                    if file not in self.refused
                }
        return {number: 1 for file, number in numbers.items() if file in self.refused}

    def _probe(self, files: Sequence[LocalFile]) -> None:
        """Read the files to their end, and land nothing."""
        self.con.cursor().execute(f"SELECT max(hash({SCAN})) FROM {_scan(files)} AS {SCAN}").fetchall()

    def _select(self, contract: Contract, numbers: Mapping[LocalFile, int]) -> str:
        """The SELECT of the files' rows as they land, each file's under its number."""
        first, last = min(numbers.values()), max(numbers.values())
        if len(numbers) == 1:
            number = str(first)
        elif last - first + 1 == len(numbers):
            number = f"{first} + file_index::INTEGER"
        else:  # a file that turned out to be damaged leaves a gap
            number = f"{list(numbers.values())}[file_index::BIGINT + 1]"
        typed = contract.typed(_scan(list(numbers)), number, NUMBER)
        return f"SELECT {names(self.table.column_names)}, {marked(contract.rules, NUMBER)} FROM ({typed})"

    def explain(self, number: int, file: LocalFile, records: int, outside: Outside | None) -> list[Refused]:
        if file in self.refused:
            return [Refused(None, None, self.refused[file], "")]
        contract = self.contracts[file]
        if not contract.rules and not outside:
            return []
        rules = [
            *contract.rules,
            *([(outside.condition, self.table.event_time_column, "")] if outside else []),
        ]
        time = quote(self.table.event_time_column) if outside else "NULL"
        typed = contract.typed(_scan([file]), _row_number(contract), ROW)
        found = self.con.execute(
            first_violations(typed, self.table.columns, rules, f"{ROW}, {time}")
            + f" ORDER BY 1 LIMIT {self.limit}"
        ).fetchall()
        raws = self._raws(file, contract, [row for row, *_ in found])
        refused = []
        for row, moment, rule, value in found:
            _, column, reason = rules[rule]
            reason = outside.tell(moment) if outside and rule == len(contract.rules) else told(reason, value)
            refused.append(Refused(row + 1, column, reason or UNKNOWN_REASON, raws[row]))
        return refused

    def _raws(self, file: LocalFile, contract: Contract, rows: Sequence[int]) -> dict[int, str]:
        """Rows of a file as JSON, by their numbers from 0."""
        listed = ", ".join(map(str, rows)) or "NULL"
        members = ", ".join(f"{literal(name)}, {quote(contract.name_of(name))}" for name in contract.types)
        return dict(
            self.con.execute(
                f"SELECT {ROW}, left({SCAN}::VARCHAR, {RAW_LIMIT}) FROM (SELECT {_row_number(contract)} AS {ROW},"
                f" json_object({members}) AS {SCAN} FROM {_scan([file])}) WHERE {ROW} IN ({listed})"
            ).fetchall()
        )

    def _reading(
        self,
        files: Sequence[LocalFile],
        read: Callable[[Sequence[LocalFile]], object],
        probe: Callable[[Sequence[LocalFile]], object],
    ) -> None:
        """Read the files. One that this fails on is refused, and the others are tried again.

        `probe` fails on the same files, and changes nothing.
        """
        left = list(files)
        while left:
            error = _failure(read, left)
            if error is None:
                return
            damaged = self._blamed(error, left, probe)
            self._refuse(damaged, f"cannot be read: {self._said(error, damaged)}")
            left.remove(damaged)

    def _blamed(
        self, error: Exception, files: Sequence[LocalFile], probe: Callable[[Sequence[LocalFile]], object]
    ) -> LocalFile:
        """The file that a message names, or else the first one that the probe fails on, found by halves."""
        for file in files:
            if str(file.path) in str(error):
                return file
        part = files
        while len(part) > 1:
            half = part[: len(part) // 2]
            part = half if _failure(probe, half) else part[len(part) // 2 :]
        if not _failure(probe, part):
            raise error
        return part[0]

    @staticmethod
    def _said(error: Exception, file: LocalFile) -> str:
        """The first line of DuckDB's message, with the key in the place of the path, and no bytes of the file."""
        line = str(error).splitlines()[0].split(": value ")[0]
        return line.split("Error: ", 1)[-1].replace(str(file.path), file.object.key)

    def _refuse(self, file: LocalFile, why: str) -> None:
        """Raises SourceFileError unless the source's policy is to go on without the file."""
        if self.source.on_invalid_file == "fail":
            raise SourceFileError(
                f"{self.uri(file.object)} {why}; upload it again, or let the source say on_invalid_file: reject"
            )
        self.refused[file] = why


def _read_footers(con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> list[tuple[str, int]]:
    return con.execute(
        f"SELECT file_name, sum(hash({FACTS})) FROM parquet_schema(?) GROUP BY 1", [paths]
    ).fetchall()


def _failure(read: Callable[[Sequence[LocalFile]], object], files: Sequence[LocalFile]) -> Exception | None:
    """What DuckDB says of a file that cannot be read; None where all can."""
    import duckdb

    try:
        read(files)
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        return error
    return None


def _has_virtual(contract: Contract, name: str) -> bool:
    """Whether DuckDB adds its own column of the name to the files', which it does unless they have one."""
    assert name in VIRTUAL_COLUMNS
    return name not in {column.lower() for column in contract.types}


def _row_number(contract: Contract) -> str:
    """A row's place in its file, from 0, in a scan of the file alone."""
    return "file_row_number" if _has_virtual(contract, "file_row_number") else "row_number() OVER () - 1"


def _scan(files: Sequence[LocalFile]) -> str:
    return f"read_parquet({paths_of(files)}, hive_partitioning = false)"
