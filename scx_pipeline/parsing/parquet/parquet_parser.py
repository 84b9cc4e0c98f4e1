"""Stage Parquet files, those of one schema by one scan, and find the rejected rows and files.

A file is rejected as a whole if it cannot be read, or has other columns than are declared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.reserved_names import VIRTUAL_COLUMNS, internal_column
from scx_pipeline.parsing.parquet.contract import Contract
from scx_pipeline.parsing.parser import (
    Parser,
    RowsOutOfRange,
    path_list,
    unordered_inserts,
)
from scx_pipeline.parsing.records import RAW_LIMIT
from scx_pipeline.parsing.row_markers import marker_expression
from scx_pipeline.storage.local_file import LocalFile, open_local_file
from scx_pipeline.warehouse.sql_text import names, quote, string_literal

if TYPE_CHECKING:
    import duckdb

NUMBER, ROW, SCAN = map(
    internal_column, ("number", "row", "scan")
)  # of a row's file, its place in it from 0, and a scan
# What decides how a column is read; its position as well, as DuckDB may match columns by position.
MAGIC = (b"PAR1", b"PARE")  # the first bytes of a file, and of one with an encrypted footer
FOOTER_COLUMNS = (
    "name, type, type_length, num_children, converted_type, scale, precision, logical_type, column_id"
)


class ParquetParser(Parser[LocalFile]):
    """Reads Parquet files; one that has other columns than are declared is invalid."""

    can_stream = True

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.contracts_by_schema: dict[int, Contract] = {}  # by the hash of a schema
        self.contracts: dict[LocalFile, Contract] = {}  # of the current batch

    def _group_valid(self, files: Sequence[LocalFile]) -> Sequence[Sequence[int]]:
        self.contracts = {}
        for file in files:
            if file.suffix:
                self._reject_file(file, "is compressed as a whole; Parquet files are compressed internally")
        by_schema: dict[int, list[LocalFile]] = defaultdict(list)
        for file, schema in self._hash_schemas(
            [file for file in files if file not in self.rejected_files]
        ).items():
            by_schema[schema].append(file)
        for schema, same in by_schema.items():
            self._set_contract(schema, same)
        indices = {file: index for index, file in enumerate(files)}
        return [
            [indices[file] for file in part if file not in self.rejected_files]
            for same in by_schema.values()
            for part in self._split_by_scan(same)
        ]

    def _split_by_scan(self, files: list[LocalFile]) -> list[list[LocalFile]]:
        """Group files of one schema by scan: a scan reads one file if a column hides DuckDB's `file_index`."""
        contract = self.contracts.get(files[0])
        one_by_one = contract is not None and not _has_virtual(contract, "file_index")
        return [[file] for file in files] if one_by_one else [files]

    def _hash_schemas(self, files: Sequence[LocalFile]) -> dict[LocalFile, int]:
        """Return a hash of each readable file's schema."""
        found: dict[str, int] = {}
        self._read_or_reject(files, lambda left: found.update(self._hash_footers(left)), self._hash_footers)
        return {file: found[str(file.path)] for file in files if file not in self.rejected_files}

    def _hash_footers(self, files: Sequence[LocalFile]) -> dict[str, int]:
        """Return the hashes of the files' schemas by path. DuckDB reads footers in one thread, so several queries run."""
        [(threads,)] = self.con.execute("SELECT current_setting('threads')").fetchall()
        paths = [str(file.path) for file in files]
        shares = [share for start in range(1, threads) if (share := paths[start::threads])]
        with ThreadPoolExecutor(max(1, len(shares))) as pool:
            others = pool.map(lambda share: _read_footers(self.con.cursor(), share), shares)
            # A failed statement would end a transaction of the connection itself.
            return dict(chain(_read_footers(self.con.cursor(), paths[::threads]), *others))

    def _set_contract(self, schema: int, files: Sequence[LocalFile]) -> None:
        """Set the contract of files of one schema, and reject the files if it has problems."""
        if schema not in self.contracts_by_schema:
            self.contracts_by_schema[schema] = self._contract(files[0])
        contract = self.contracts_by_schema[schema]
        self.contracts |= dict.fromkeys(files, contract)
        problems = "; ".join(contract.problems)
        for file in files if problems else ():
            self._reject_file(file, problems)

    def _contract(self, file: LocalFile) -> Contract:
        """Return the contract of files with this file's schema.

        DuckDB appends numbers to names that are duplicate, or differ in case only.
        """
        described = self.con.execute(f"DESCRIBE SELECT * FROM {_scan([file])}").fetchall()
        shown = [name for name, *_ in described]
        exact = self._exact_names(file)
        if len(exact) != len(shown):  # unexpected in any file
            exact = shown
        types = {name: kind for name, (_, kind, *_) in zip(exact, described, strict=True)}
        duplicate_names = tuple(name for name, count in Counter(exact).items() if count > 1)
        renamed = {name: other for name, other in zip(exact, shown, strict=True) if name != other}
        return Contract(self.source, self.table, types, duplicate_names, renamed)

    def _exact_names(self, file: LocalFile) -> list[str]:
        """Return the names of a file's top-level columns, as its footer has them."""
        rows = self.con.execute(
            "SELECT name, COALESCE(num_children, 0) FROM parquet_schema(?) ORDER BY column_id",
            [str(file.path)],
        ).fetchall()
        found, inner = [], 0
        for name, children in rows[1:]:  # the first row is the schema itself
            if not inner:
                found.append(name)
            inner = max(inner - 1, 0) + children
        return found

    def _stage_valid(self, first: int, files: Sequence[LocalFile]) -> Mapping[int, int]:
        numbers = {file: first + index for index, file in enumerate(files)}
        if self.staging_buffer.in_transaction and self.source.on_invalid_file == "reject":
            self._read_or_reject(
                [file for file in files if file not in self.rejected_files], self._probe, self._probe
            )
        readable = [file for file in files if file not in self.rejected_files]
        if readable:
            contract = self.contracts[readable[0]]
            with unordered_inserts(self.con):
                self._read_or_reject(
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
                    if file not in self.rejected_files
                }
        return {}

    def _probe(self, files: Sequence[LocalFile]) -> None:
        """Read the files to their end, without staging anything."""
        self.con.cursor().execute(f"SELECT max(hash({SCAN})) FROM {_scan(files)} AS {SCAN}").fetchall()

    def _select(self, contract: Contract, numbers: Mapping[LocalFile, int]) -> str:
        """Return the SELECT of the files' rows to be staged, each under its file's number."""
        first, last = min(numbers.values()), max(numbers.values())
        if len(numbers) == 1:
            number = str(first)
        elif last - first + 1 == len(numbers):
            number = f"{first} + file_index::INTEGER"
        else:  # damaged files leave gaps
            number = f"{list(numbers.values())}[file_index::BIGINT + 1]"
        typed = contract.select_typed(_scan(list(numbers)), number, NUMBER)
        return f"SELECT {names(self.table.column_names)}, {marker_expression(contract.rules, NUMBER)} FROM ({typed})"

    def _find_rejected_rows(
        self, number: int, file: LocalFile, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        contract = self.contracts[file]
        if not contract.rules and not out_of_range:
            return []
        rows = contract.select_typed(_scan([file]), _row_number(contract), ROW)
        found = self._find_violations(rows, contract.rules, ROW, out_of_range)
        raws = self._raws(file, contract, [item.place for item in found])
        return [
            RejectedRow(file.object.key, item.place + 1, item.column, item.reason, raws[item.place])
            for item in found
        ]

    def _raws(self, file: LocalFile, contract: Contract, rows: Sequence[int]) -> dict[int, str]:
        """Return rows of a file as JSON, by their numbers from 0."""
        listed = ", ".join(map(str, rows)) or "NULL"
        members = ", ".join(
            f"{string_literal(name)}, {quote(contract.name_of(name))}" for name in contract.types
        )
        return dict(
            self.con.execute(
                f"SELECT {ROW}, left({SCAN}::VARCHAR, {RAW_LIMIT}) FROM (SELECT {_row_number(contract)} AS {ROW},"
                f" json_object({members}) AS {SCAN} FROM {_scan([file])}) WHERE {ROW} IN ({listed})"
            ).fetchall()
        )

    def _read_or_reject(
        self,
        files: Sequence[LocalFile],
        read: Callable[[Sequence[LocalFile]], object],
        probe: Callable[[Sequence[LocalFile]], object],
    ) -> None:
        """Read the files; if one of them fails, reject it and try again with the others.

        `probe` fails for the same files as `read`, and changes nothing.
        """
        left = list(files)
        while left:
            error = _try_read(read, left)
            if error is None:
                return
            damaged = self._find_damaged(error, left, probe)
            # If the system does not let it be read, that is raised: its content is not at fault.
            with open_local_file(damaged, self.uri(damaged.object)) as stream:
                is_other = stream.read(len(MAGIC[0])) not in (*MAGIC, b"")
            if is_other:
                remedy = "correct the source's format or patterns, "
                self._reject_file(damaged, "cannot be read: it is not Parquet", remedy)
            else:
                self._reject_file(damaged, f"cannot be read: {self._error_reason(error, damaged)}")
            left.remove(damaged)

    def _find_damaged(
        self, error: Exception, files: Sequence[LocalFile], probe: Callable[[Sequence[LocalFile]], object]
    ) -> LocalFile:
        """Return the file that the message names, or else the first one that the probe fails on, by bisection."""
        for file in files:
            if str(file.path) in str(error):
                return file
        part = files
        while len(part) > 1:
            half = part[: len(part) // 2]
            part = half if _try_read(probe, half) else part[len(part) // 2 :]
        if not _try_read(probe, part):
            raise error
        return part[0]

    @staticmethod
    def _error_reason(error: Exception, file: LocalFile) -> str:
        """Return the first line of DuckDB's message, with the key instead of the path, and without bytes of the file."""
        line = str(error).splitlines()[0].split(": value ")[0]
        return line.split("Error: ", 1)[-1].replace(str(file.path), file.object.key)

    def _reject_file(self, file: LocalFile, why: str, remedy: str = "") -> None:
        error = SourceFileError(
            f"{self.uri(file.object)} {why}; {remedy}upload it again, or set on_invalid_file: reject for the source"
        )
        self.reject_file(file, error, why)


def _read_footers(con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> list[tuple[str, int]]:
    return con.execute(
        f"SELECT file_name, sum(hash({FOOTER_COLUMNS})) FROM parquet_schema(?) GROUP BY 1", [paths]
    ).fetchall()


def _try_read(read: Callable[[Sequence[LocalFile]], object], files: Sequence[LocalFile]) -> Exception | None:
    """Return DuckDB's error if one of the files cannot be read, or None."""
    import duckdb

    try:
        read(files)
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        return error
    return None


def _has_virtual(contract: Contract, name: str) -> bool:
    """Return whether DuckDB adds its virtual column of this name, which it does unless the files have such a column."""
    assert name in VIRTUAL_COLUMNS
    return name not in {column.lower() for column in contract.types}


def _row_number(contract: Contract) -> str:
    """Return the SQL of a row's position in its file, from 0, in a scan of one file."""
    return "file_row_number" if _has_virtual(contract, "file_row_number") else "row_number() OVER () - 1"


def _scan(files: Sequence[LocalFile]) -> str:
    return f"read_parquet({path_list(files)}, hive_partitioning = false)"
