"""Which JSON files are regular: every line an object of exactly the declared fields, one after the other, no more.
Found by a look at the bytes, without parsing; what is made of such files, and of all others, is `jsonparser`'s."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from scx_pipeline.parsing.json.line_scan import CHUNK, Lines
from scx_pipeline.parsing.parser import compression_of, paths_of
from scx_pipeline.parsing.values import literal
from scx_pipeline.storage.bucket import LocalFile
from scx_pipeline.storage.compression import open_plain

if TYPE_CHECKING:
    import duckdb

MAX_SHAPES, ROUNDS = 16, 3  # of records, and of looks at all the files until they are known
STYLES = ((",", ":"), (", ", ": "))  # what stands between fields, and after a name
MARK = "\x01"  # stands nowhere in a regular file


class RegularFiles:
    """Tells regular files from others.

    In a regular file, every line that is JSON at all is an object with the fields `names`, each once, in an order that
    the file shares with others; those in `texts` are texts or null; and no text holds a NUL. No line matches one of
    the regular expressions `odd`, as those of numbers that would be rounded. A line that is no JSON is not found here:
    reading finds it. A file that is not found to be regular may still be.

    Why that is so, without parsing: a pattern finds every name in every line, between a comma and a colon. Inside a
    text no name can stand so, as its quote would end the text. The file has as many quotes before a colon as that is
    names in all its lines, so it has no other name; a value that is an object would begin with one.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        names: Sequence[str],
        texts: Collection[str],
        odd: Sequence[str] = (),
    ) -> None:
        self.con, self.names, self.texts, self.odd = con, names, texts, odd
        self.patterns: list[str] = []

    def find(self, files: Sequence[LocalFile], counted: Sequence[Lines]) -> dict[int, int]:
        """The indices of regular files, and how many lines each has. All files have the same suffix."""
        import duckdb

        if any("%" in name for name in self.names):
            return {}
        found: dict[int, int] = {}
        left = {index: lines.lines for index, lines in enumerate(counted) if self._may_be(lines)}
        if left and not self.patterns:
            self._learn(_head(files[min(left)]))
        for _ in range(ROUNDS):
            if not left:
                break
            places = list(left)
            try:
                seen = self._scan([files[index] for index in places])
            except duckdb.Error:  # whatever it is, the careful way tells it
                break
            found |= {places[at]: count for at, (count, _) in seen.items() if count == left[places[at]]}
            left = {index: count for index, count in left.items() if index not in found}
            if not self._learn([other for _, other in seen.values() if other]):
                break
        return found

    def _may_be(self, lines: Lines) -> bool:
        """Whether what was counted shows that a file has the names in all of its lines, and no others."""
        return bool(lines.lines and lines.names == lines.lines * len(self.names) and not lines.apart)

    def _scan(self, files: Sequence[LocalFile]) -> dict[int, tuple[int, str | None]]:
        """By the place of a file: how many of its lines have a known shape, and one that has not."""
        # An underline would stand for any character in a pattern, and patterns with an escape take much longer.
        line = f"replace(line, '_', chr({ord(MARK)}))" if any("_" in name for name in self.names) else "line"
        shaped = " OR ".join(f"{line} LIKE {literal(pattern)}" for pattern in self.patterns) or "FALSE"
        # Tabs and the like could stand between a name and its colon.
        others = " OR ".join(
            [
                *(f"contains(line, {text})" for text in ("chr(9)", "chr(13)", "'\\u0000'")),
                *(f"regexp_matches(line, {literal(pattern)})" for pattern in self.odd),
            ]
        )
        regular = f"COALESCE(({shaped}) AND NOT ({others}), FALSE)"
        # On a connection of its own: a statement that fails would end a transaction of the other one.
        found = (
            self.con.cursor()
            .execute(
                f"SELECT file_index, count(*) FILTER ({regular}), any_value(line) FILTER (NOT {regular})"
                f" FROM read_csv({paths_of(files)}, columns={{'line': 'VARCHAR'}}, auto_detect=false, header=false, delim=chr({ord(MARK)}),"
                f" quote='', escape='', new_line='\\n', ignore_errors=true, compression='{compression_of(files)}') GROUP BY file_index"
            )
            .fetchall()
        )
        return {place: (count, example) for place, count, example in found}

    def _learn(self, lines: Sequence[str]) -> bool:
        """Whether new shapes were learned from lines that have none of the known ones."""
        known = len(self.patterns)
        for line in lines:
            pattern = self._pattern(line)
            if pattern and pattern not in self.patterns and len(self.patterns) < MAX_SHAPES:
                self.patterns.append(pattern)
        return len(self.patterns) > known

    def _pattern(self, line: str) -> str | None:
        """The pattern of lines of the same shape: fields in the same order, and the same texts null."""
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
                return pattern.replace("_", MARK)
        return None

    def _value(self, name: str, value: object) -> str:
        """The pattern of a field's value. What a number is, is told by what it is read as; what a text is, only here."""
        if name not in self.texts:
            return "%"
        return "null" if value is None else '"%"'


def _head(file: LocalFile) -> list[str]:
    """The first lines of a file."""
    with open_plain(file.path) as stream:
        return stream.read(CHUNK).decode("utf-8", "replace").split("\n")
