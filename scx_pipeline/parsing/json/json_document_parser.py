"""Stage files of one JSON document each: an object, or an array of objects.

The documents are read in memory, many at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.parsing.json.array_elements import element_starts, element_texts
from scx_pipeline.parsing.json.json_records import JsonRecordParser, Location
from scx_pipeline.parsing.json.number_precision import has_long_number
from scx_pipeline.parsing.parser import (
    RowsOutOfRange,
    registered,
)
from scx_pipeline.parsing.records import BOM
from scx_pipeline.storage.local_file import Document

DOCUMENTS = "_documents"


class JsonDocumentParser(JsonRecordParser[Document]):
    """Reads files of one document: an object, or an array of objects."""

    def _group_valid(self, files: Sequence[Document]) -> Sequence[Sequence[int]]:
        for file in files:
            if file.error is not None:
                self.reject_file(file, file.error)
        return [[index for index, file in enumerate(files) if file not in self.rejected_files]]

    def _stage_valid(self, first: int, files: Sequence[Document]) -> Mapping[int, int]:
        with self._registered(first, files) as relation:
            self._insert(relation)
        return {}

    @contextmanager
    def _registered(self, first: int, files: Sequence[Document]) -> Iterator[str]:
        """Register the relation of the documents' records, each under the number of its document.

        DuckDB rewrites the elements of an array, and rounds numbers to a double's digits: an array with longer numbers
        is split here into its elements as they are written.
        """
        import pyarrow as pa

        texts = [_text(file) for file in files]
        present = [index for index, text in enumerate(texts) if text.strip()]
        documents = pa.table(
            {
                "number": pa.array([first + index for index in present], pa.int32()),
                "document": pa.array([texts[index] for index in present], pa.large_string()),
                "elements": pa.array(
                    [self._split_array(texts[index]) for index in present], pa.list_(pa.large_string())
                ),
            }
        )
        with registered(self.con, DOCUMENTS, documents):
            yield (
                "(SELECT number, unnest(CASE WHEN j IS NULL THEN [NULL::JSON] WHEN json_type(j) <> 'ARRAY' THEN [j]"
                """ WHEN elements IS NULL THEN json_transform(j, '["JSON"]')::JSON[]"""
                # If DuckDB counts other elements, the array becomes a rejected record: numbers are never rounded.
                " ELSE COALESCE(CASE WHEN len(elements) = json_array_length(j) THEN TRY(elements::JSON[]) END, [NULL::JSON])"
                f" END) AS json FROM (SELECT number, TRY(document::JSON) AS j, elements FROM {DOCUMENTS}))"
            )

    def _find_rejected_rows(
        self, number: int, file: Document, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        with self._registered(number, [file]) as relation:
            self._relation = relation
            return super()._find_rejected_rows(number, file, records, out_of_range)

    def _split_array(self, text: str) -> list[str] | None:
        """Return the texts of an array's elements if they may have long numbers; None for any other document."""
        if not self.fields.has_exact_numbers or text.lstrip()[:1] != "[" or not has_long_number(text):
            return None
        return element_texts(text)

    def _is_json(self, text: str) -> bool:
        return self.con.execute("SELECT json_valid(?)", [text]).fetchall() == [(True,)]

    def _numbered_records(self, file: Document) -> str:
        return f"(SELECT row_number() OVER () AS number, json FROM {self._relation})"

    def _locate(self, file: Document, wanted: Collection[int], records: int) -> dict[int, Location]:
        text = _text(file)
        start = len(text) - len(text.lstrip())
        starts, closing = [start], " \t\r\n"
        if text[start : start + 1] == "[" and self._is_json(text):
            starts, closing = list(element_starts(text)), " \t\r\n,"
            text = text.rstrip().removesuffix("]")
        if len(starts) != records:
            return {}
        bounds = [*starts, len(text)]
        return {
            number: (
                text.count("\n", 0, bounds[number - 1]) + 1,
                text[bounds[number - 1] : bounds[number]].rstrip(closing),
            )
            for number in wanted
        }


def _text(file: Document) -> str:
    """Return the document's text; one that is not UTF-8 gets a NUL in front, so that it is not JSON."""
    content = file.content.removeprefix(BOM)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "\x00" + content.decode("utf-8", "replace")
