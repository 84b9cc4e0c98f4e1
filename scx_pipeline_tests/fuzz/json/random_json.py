"""Random files of JSON lines and JSON documents: very long lines, incomplete records, and texts that are no JSON.

What a file must give is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.column import Column
from scx_pipeline_tests.fuzz.case import (
    MONTHS,
    Case,
    File,
    make_columns,
    make_source,
    make_table,
    pack,
    with_event,
)
from scx_pipeline_tests.fuzz.json.expected_json import BOM, DEEP, MAX_LINE, Reader
from scx_pipeline_tests.fuzz.json.random_records import RecordWriter

FIELDS = (None, None, None, "number", "json", "userId", "home.city", "home.zip", "far.in.side", "größe", "a b", "it's", "$", "0", "select", "Number", "X", "%x", "_y")  # fmt: skip


def create_lines_case(rng: Random) -> Case:
    """A random case of JSON lines."""
    return _make(rng, "json_lines")


def create_documents_case(rng: Random) -> Case:
    """A random case of JSON documents."""
    return _make(rng, "json")


def _make(rng: Random, kind: str) -> Case:
    columns, event = with_event(rng, _with_fields(rng, make_columns(rng, rng.choice([1, 2, 3, 5, 8]))))
    source = make_source(kind, rng.choice([(), (), ("",), ("NULL", ""), ("", "-1", "0")]), event)
    table = make_table(columns, event)
    reader, suffix, files = Reader(table, source), rng.choice(["", "", "", ".gz", ".zst"]), []
    for number in range(rng.choice([1, 1, 2, 4])):
        writer = _FileWriter(rng, columns)
        plain = writer.lines() if kind == "json_lines" else writer.document()
        own = suffix if rng.random() < 0.8 else ""
        expected = reader.lines(plain) if kind == "json_lines" else reader.document(plain)
        if own == ".zst" and not plain:
            own = ""
        files.append(File(f"in/{number}.json{own}", pack(plain, own), expected))
    return Case(source, table, MONTHS if event else UNPARTITIONED, files, rng.choice([1, 2, 2, 4]))


def _with_fields(rng: Random, columns: Sequence[Column]) -> list[Column]:
    """The columns, some of them read from fields of other names, such that no two meet."""
    chosen, taken = [], {column.name.lower() for column in columns}
    for column in columns:
        field = rng.choice(FIELDS)
        if field is not None and field.lower() not in taken and field.split(".")[0].lower() not in taken:
            taken.add(field.lower())
            column = column.model_copy(update={"field": field})
        chosen.append(column)
    return chosen


class _FileWriter(RecordWriter):
    """Writes a file of records in one style, at times with flaws."""

    def lines(self) -> bytes:
        rng, newline = self.rng, self.rng.choice([b"\n", b"\n", b"\n", b"\r\n"])
        parts = [self._line() for _ in range(rng.choice([0, 1, 5, 40, 40, 300]))]
        if rng.random() < 0.04:
            parts.insert(rng.randint(0, len(parts)), self._huge())
        content = newline.join(parts)
        if parts and rng.random() < 0.7:
            content += newline
        elif content and rng.random() < 0.3:
            content = content[: -rng.randint(1, min(20, len(content)))]
        if rng.random() < 0.02:
            content = content.decode("utf-8", "replace").encode("utf-16")
        return (BOM if rng.random() < 0.08 else b"") + content

    def _line(self) -> bytes:
        rng = self.rng
        if rng.random() < self.flaws:
            return rng.choice([self._flaw(), b"", b"   ", b"\t", b"\r"])
        return self.record().encode("utf-8", "surrogatepass")

    def _flaw(self) -> bytes:
        rng, text = self.rng, self.record()
        place = rng.randint(0, len(text))
        encoded = text.encode("utf-8", "surrogatepass")
        return rng.choice(
            [
                encoded[: rng.randint(1, len(encoded))],
                (
                    text[:place]
                    + rng.choice(['"', ",", "}", "{", "\\", "x", "\0", "\x01", " ", "\r", "\t", ":"])
                    + text[place:]
                ).encode(),
                (text[:place] + text[place + 1 :]).encode(),
                encoded + encoded,
                encoded + b" " + encoded,
                encoded[:-1] + b",}",
                encoded[: len(encoded) // 2]
                + rng.choice([b"\xff", b"\xe9", b"\xed\xa0\x80"])
                + encoded[len(encoded) // 2 :],
                rng.choice(
                    [
                        b"[]",
                        b"7",
                        b"null",
                        b'"x"',
                        b"[" + encoded + b"]",
                        b"{}",
                        b"{",
                        b"true",
                        b"NaN",
                        b"\xef\xbb\xbf" + encoded,
                    ]
                ),
                DEEP,
            ]
        )

    def _huge(self) -> bytes:
        rng = self.rng
        size = rng.choice(
            [
                1 << 20,
                2 << 20,
                8 << 20,
                MAX_LINE - 40,
                MAX_LINE - 2000,
                MAX_LINE + 1000,
                MAX_LINE + (1 << 20),
                33 << 20,
            ]
        )
        text = self.record()
        return (
            text[:-1] + (self.comma if text != "{}" else "") + '"huge"' + self.colon + '"' + "h" * size + '"}'
        ).encode("utf-8", "replace")

    def document(self) -> bytes:
        rng = self.rng
        records = [self.record() for _ in range(rng.choice([0, 1, 1, 2, 10, 50]))]
        indent = rng.choice(["", "", "\n", "\r\n  ", " "])
        if len(records) == 1 and rng.random() < 0.6:
            text = records[0]
        else:
            if rng.random() < self.flaws and records:
                records[rng.randrange(len(records))] = rng.choice(
                    ["7", "null", "[]", '"x"', "{}", '[{"a": 1}]']
                )
            text = f"[{indent}" + f",{indent}".join(records) + f"{indent}]"
        content = (indent + text + indent).encode("utf-8", "surrogatepass")
        if rng.random() < self.flaws:
            content = rng.choice(
                [
                    content[: rng.randint(0, len(content))],
                    content + b"]",
                    content + content,
                    content[:-1] + b"\xff" + content[-1:],
                    b"7",
                    b"null",
                    b"",
                    b" \n",
                ]
            )
        if rng.random() < 0.01:
            content = (
                b"["
                + content
                + b' , {"huge": "'
                + b"h" * rng.choice([1 << 20, MAX_LINE - 1000, MAX_LINE + 10])
                + b'"}]'
            )
        return (BOM if rng.random() < 0.08 else b"") + content
