"""Find uniform JSON lines files: every line is an object of exactly the declared fields, in one of a few orders.

They are recognised by patterns, without parsing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from scx_pipeline.parsing.json.line_scan import CHUNK_BYTES, LineCounts
from scx_pipeline.parsing.parser import compression_name, path_list
from scx_pipeline.storage.compression import open_decompressed
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.warehouse.sql_text import string_literal

if TYPE_CHECKING:
    import duckdb

MAX_SHAPES = 16  # of records
MAX_ROUNDS = 3  # of scans until the shapes are known
STYLES = ((",", ":"), (", ", ": "))  # the texts between fields, and after a name
PLACEHOLDER = "\x01"  # does not occur in a uniform file


class UniformFileFinder:
    """Distinguishes uniform files from others.

    In a uniform file, every line that is JSON is an object with the fields `names`, each once, in an order that other
    lines share; the fields in `texts` are texts or null, and no text contains a NUL. No line matches one of the regular
    expressions `excluded`, such as those of numbers that would be rounded. A line that is not JSON is found when it is
    read. A file that is not recognised may be uniform nevertheless.

    This needs no parsing: a pattern finds every name in every line, between a comma and a colon. Inside a text, a name
    cannot occur like that, as its quote would end the text. The file has as many quotes before a colon as its lines have
    names, so it has no other names; a value that is an object would begin with one.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        names: Sequence[str],
        texts: Collection[str],
        excluded: Sequence[str] = (),
    ) -> None:
        self.con, self.names, self.texts, self.excluded = con, names, texts, excluded
        self.patterns: list[str] = []

    def find(self, files: Sequence[LocalFile], counted: Sequence[LineCounts]) -> dict[int, int]:
        """Return the indices of uniform files with their numbers of lines. All files have the same suffix."""
        import duckdb

        if any("%" in name for name in self.names):
            return {}
        found: dict[int, int] = {}
        left = {index: lines.lines for index, lines in enumerate(counted) if self._may_be_uniform(lines)}
        if left and not self.patterns:
            self._learn(_head(files[min(left)]))
        for _ in range(MAX_ROUNDS):
            if not left:
                break
            places = list(left)
            try:
                seen = self._scan([files[index] for index in places])
            except duckdb.Error:  # reading the records one by one reports it
                break
            found |= {places[at]: count for at, (count, _) in seen.items() if count == left[places[at]]}
            left = {index: count for index, count in left.items() if index not in found}
            if not self._learn([other for _, other in seen.values() if other]):
                break
        return found

    def _may_be_uniform(self, lines: LineCounts) -> bool:
        """Return whether a file has as many names as uniform lines would have."""
        return bool(lines.lines and lines.names == lines.lines * len(self.names) and not lines.spaced_colons)

    def _scan(self, files: Sequence[LocalFile]) -> dict[int, tuple[int, str | None]]:
        """Return by file index how many lines have a known shape, and a line that does not."""
        # An underscore matches any character in a LIKE pattern, and patterns with an escape take much longer.
        line = (
            f"replace(line, '_', chr({ord(PLACEHOLDER)}))"
            if any("_" in name for name in self.names)
            else "line"
        )
        shaped = " OR ".join(f"{line} LIKE {string_literal(pattern)}" for pattern in self.patterns) or "FALSE"
        # Other blanks may separate a name from its colon.
        others = " OR ".join(
            [
                *(f"contains(line, {text})" for text in ("chr(9)", "chr(13)", "'\\u0000'")),
                *(f"regexp_matches(line, {string_literal(pattern)})" for pattern in self.excluded),
            ]
        )
        is_uniform = f"COALESCE(({shaped}) AND NOT ({others}), FALSE)"
        # A failed statement would end a transaction of the connection itself.
        found = (
            self.con.cursor()
            .execute(
                f"SELECT file_index, count(*) FILTER ({is_uniform}), any_value(line) FILTER (NOT {is_uniform})"
                f" FROM read_csv({path_list(files)}, columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim=chr({ord(PLACEHOLDER)}),"
                f" quote='', escape='', new_line='\\n', ignore_errors=true, compression='{compression_name(files)}') GROUP BY file_index"
            )
            .fetchall()
        )
        return {place: (count, example) for place, count, example in found}

    def _learn(self, lines: Sequence[str]) -> bool:
        """Add the shapes of these lines to the patterns, and return whether any is new."""
        known = len(self.patterns)
        for line in lines:
            pattern = self._pattern(line)
            if pattern and pattern not in self.patterns and len(self.patterns) < MAX_SHAPES:
                self.patterns.append(pattern)
        return len(self.patterns) > known

    def _pattern(self, line: str) -> str | None:
        """Return the LIKE pattern of lines of the same shape: the same order of fields, and the same null texts."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or set(record) != set(self.names):
            return None
        for comma, colon in STYLES:
            fields = (f'"{name}"{colon}{self._value(name, value)}' for name, value in record.items())
            pattern = f"{{{comma.join(fields)}}}"
            if re.fullmatch(".*".join(map(re.escape, pattern.split("%"))), line):
                return pattern.replace("_", PLACEHOLDER)
        return None

    def _value(self, name: str, value: object) -> str:
        """Return the pattern of a field's value. Reading validates numbers; only the pattern validates texts."""
        if name not in self.texts:
            return "%"
        return "null" if value is None else '"%"'


def _head(file: LocalFile) -> list[str]:
    """Return the first lines of a file."""
    with open_decompressed(file.path) as stream:
        return stream.read(CHUNK_BYTES).decode("utf-8", "replace").split("\n")
