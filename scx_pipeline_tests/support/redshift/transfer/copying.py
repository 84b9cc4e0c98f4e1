"""COPY: the manifest's files are read from S3, record by record, into a table of the PostgreSQL database.

Statements, records and fields are not parsed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from scx_pipeline_tests.support.redshift.transfer.fields import LoadError, Target, value_of
from scx_pipeline_tests.support.redshift.transfer.options import Copy
from scx_pipeline_tests.support.redshift.transfer.records import (
    Record,
    plain,
    read_csv,
    read_json,
    read_parquet,
)
from scx_pipeline_tests.support.redshift.wire import Failure

if TYPE_CHECKING:
    from obstore.store import S3Store

BATCH = 2_000
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]").search
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
FROM pg_attribute AS a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@dataclass(frozen=True)
class LoadedFile:
    """A file that COPY read, as SYS_LOAD_DETAIL reports it."""

    url: str
    bytes: int
    lines: int
    etag: str


@dataclass(frozen=True)
class RejectedRecord:
    """A record that COPY rejected, as SYS_LOAD_ERROR_DETAIL reports it."""

    url: str
    line: int
    column: str
    type: str
    code: int
    message: str
    raw: str


@dataclass
class Copied:
    """What a COPY of a session did."""

    session: int
    rows: int = 0
    files: list[LoadedFile] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)


class CopyFailed(Failure):
    """A COPY that fails, with the errors that are logged nevertheless."""

    def __init__(self, code: str, message: str, copied: Copied) -> None:
        super().__init__(code, message)
        self.copied = copied


@dataclass(frozen=True)
class Copying:
    """One COPY statement, with what it needs: a cursor of the session, and a store for each bucket."""

    statement: Copy
    cursor: Any
    store: Callable[[str], S3Store]
    session: int

    def run(self) -> Copied:
        """Load the files. Raises Failure if nothing may be loaded."""
        targets = self._targets()
        copied, name = Copied(self.session), self.statement.table
        columns = ", ".join(f'"{target.name}"' for target in targets)
        lines: list[str] = []

        def flush() -> None:
            if lines:
                rows = StringIO("".join(lines))
                self.cursor.copy_expert(f"COPY {name} ({columns}) FROM STDIN", rows)
                lines.clear()

        for url, content, etag in self._contents():
            before = copied.rows + len(copied.rejected)
            for record in self._records(content, len(targets), url):
                values = self._values(record, targets, url, copied)
                if values is not None:
                    lines.append(_line(values))
                    copied.rows += 1
                if len(lines) >= BATCH:
                    flush()
            read = copied.rows + len(copied.rejected) - before
            copied.files.append(LoadedFile(url, len(content), self._lines(content, read), etag))
        flush()
        return copied

    def _targets(self) -> list[Target]:
        self.cursor.execute(_COLUMNS, [self.statement.table])
        found = {name: Target(name, kind, nullable == "t") for name, kind, nullable in self.cursor.fetchall()}
        if not found:
            raise Failure("42P01", f"relation {self.statement.table} does not exist")
        if not self.statement.columns:
            return list(found.values())
        wanted = [name.strip('"') for name in self.statement.columns]
        for name in wanted:
            if name not in found:
                raise Failure("42703", f'column "{name}" does not exist')
        missing = [
            target.name for target in found.values() if target.name not in wanted and not target.nullable
        ]
        if missing:
            raise Failure("XX000", f'cannot load NULL into "{missing[0]}", which is not in the column list')
        return [found[name] for name in wanted]

    def _values(
        self, record: Record, targets: Sequence[Target], url: str, copied: Copied
    ) -> list[str | None] | None:
        options, timeformat = self.statement.options, self.statement.options.get("timeformat", "auto")
        try:
            if isinstance(record.fields, LoadError):
                raise record.fields
            return [
                value_of(text, target, options, timeformat)
                for text, target in zip(record.fields, targets, strict=True)
            ]
        except LoadError as error:
            kinds = {target.name: target.type for target in targets}
            kind = kinds.get(error.column, "")
            copied.rejected.append(
                RejectedRecord(
                    url, record.line, error.column, kind, error.code, error.message, record.raw[:1024]
                )
            )
        if len(copied.rejected) >= max(1, self.statement.max_errors):
            name = self.statement.table.rpartition(".")[2].strip('"')
            message = (
                f"Load into table '{name}' failed. Check 'sys_load_error_detail' system table for details."
            )
            raise CopyFailed("XX000", message, copied)
        return None

    def _records(self, content: bytes, columns: int, url: str) -> Iterator[Record]:
        options = self.statement.options
        if self.statement.format == "parquet":
            return read_parquet(content, columns, url)
        content = plain(content, options)
        if self.statement.format == "csv":
            return read_csv(content, options, columns)
        if self.statement.format == "json":
            return read_json(content, self._paths(columns))
        raise Failure("0A000", f"the stand-in reads no {self.statement.format} files")

    def _lines(self, content: bytes, records: int) -> int:
        """Return how many lines a file has, including its header."""
        if self.statement.format == "parquet":
            return records
        return len(plain(content, self.statement.options).splitlines())

    def _paths(self, columns: int) -> list[str]:
        address = self.statement.options["paths"]
        if not address.startswith("s3://"):
            names = self.statement.columns or [f'"{target.name}"' for target in self._targets()]
            return ["$['{}']".format(name.strip('"')) for name in names]
        content, _ = self._get(address)
        paths = json.loads(content).get("jsonpaths")
        if not isinstance(paths, list) or len(paths) != columns:
            raise Failure("XX000", f"Number of jsonpaths and the number of columns should match. JSONPath size: {len(paths or [])}, Number of columns in table or column list: {columns}")  # fmt: skip
        return [str(path) for path in paths]

    def _contents(self) -> Iterator[tuple[str, bytes, str]]:
        """Return the address, bytes and ETag of each file in the manifest, or under a prefix."""
        if not self.statement.has("manifest"):
            yield from self._under(self.statement.source)
            return
        content, _ = self._get(self.statement.source)
        try:
            entries = json.loads(content)["entries"]
        except (ValueError, KeyError, TypeError):
            raise Failure("XX000", f"Invalid manifest: {self.statement.source}") from None
        if not entries:
            raise Failure("XX000", "The manifest has no entries")
        for entry in entries:
            yield from self._entry(entry)

    def _entry(self, entry: dict[str, Any]) -> Iterator[tuple[str, bytes, str]]:
        length = entry.get("meta", {}).get("content_length")
        if self.statement.format == "parquet" and length is None:
            raise Failure("XX000", f"Manifest file does not contain content_length for {entry['url']}")
        try:
            content, etag = self._get(entry["url"])
        except Failure:
            if entry.get("mandatory", False):
                raise
            return
        if length is not None and length != len(content):
            raise Failure(
                "XX000", f"content_length of {entry['url']} is {len(content)}, and the manifest says {length}"
            )
        yield entry["url"], content, etag

    def _under(self, address: str) -> Iterator[tuple[str, bytes, str]]:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        folder = prefix.rpartition("/")[0]  # the store lists by folder; a prefix may end within a name
        listed = (item["path"] for page in self.store(bucket).list(prefix=folder or None) for item in page)
        found = [key for key in listed if key.startswith(prefix)]
        if not found:
            raise Failure("XX000", f"The specified S3 prefix '{prefix}' does not exist")
        for key in sorted(found):
            content, etag = self._get(f"s3://{bucket}/{key}")
            yield f"s3://{bucket}/{key}", content, etag

    def _get(self, address: str) -> tuple[bytes, str]:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        try:
            found = self.store(bucket).get(key)
            return bytes(found.bytes()), str(found.meta["e_tag"]).strip('"')
        except FileNotFoundError:
            raise Failure("XX000", f"S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey,Key {address}") from None  # fmt: skip


def _line(values: Sequence[str | None]) -> str:
    """Return the values as a line of PostgreSQL's COPY; a search for special characters is faster than escaping."""
    return (
        "\t".join([r"\N" if v is None else v.translate(_ESCAPES) if _SPECIAL(v) else v for v in values])
        + "\n"
    )
