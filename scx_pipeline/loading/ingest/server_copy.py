"""Server-side copy: objects that the warehouse reads itself, past the parser, in batches of equal headers.

How a warehouse reads objects does not belong here, nor does parsing those that need it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scx_pipeline.errors import BucketError
from scx_pipeline.history.ingest_result import IngestResult, ObjectCount, allowed_months
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.object_headers import ObjectHeader, read_headers
from scx_pipeline.loading.ingest.progress import ProgressReporter
from scx_pipeline.model.count_text import count_of
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.compression import compression_suffix
from scx_pipeline.warehouse.object_reader import CopyRequest, CopyResult, ObjectReader, ServerCopyError

# An object of at least this size is copied by a statement of its own, so that its row count is known.
SINGLE_OBJECT_BYTES = 64 << 20
# Limits of a batch: if anything in a batch needs client parsing, all of it does.
BATCH_BYTES, BATCH_OBJECTS = 1 << 30, 2_000


@dataclass(frozen=True)
class CopyBatch:
    """Objects of equal format, compression, columns and months, with their headers."""

    objects: tuple[SelectedObject, ...]
    headers: tuple[ObjectHeader, ...]


class ServerCopy:
    """Lets a warehouse copy those objects of a load that it can read itself; without a reader it can read none."""

    def __init__(self, job: IngestJob, reader: ObjectReader | None, ingest_result: IngestResult) -> None:
        self.job, self.reader, self.ingest_result = job, reader, ingest_result
        # Copied batches by the number of their first object.
        self.copied: dict[int, CopyBatch] = {}
        # Numbers of objects whose copied rows were discarded.
        self.discarded: set[int] = set()

    def run(self, objects: Sequence[SelectedObject]) -> list[SelectedObject]:
        """Copy objects and return those that need client parsing.

        Raises:
            BucketError: an object was removed or overwritten after the listing.
            SourceFileError: as the parser would raise for an object.
        """
        reader, job = self.reader, self.job
        size = sum(item.info.size for item in objects)
        if (
            reader is None
            or not objects
            or job.bucket.folder is not None
            or job.source.url
            is not None  # the cluster's role, region and endpoint are for the bucket of the settings
            or size < reader.min_bytes
            or not reader.can_read(job.source)
        ):
            return list(objects)
        job.progress(f"{job.table.name}: inspecting {len(objects):,} objects for a server-side copy")
        batches, remaining = self._split(objects, reader.suffixes)
        reporter = ProgressReporter(len(objects), size, job.progress)
        copied = rows = copied_bytes = 0
        for batch in batches:
            reason = self._copy(reader, batch)
            if reason:
                job.progress(
                    f"{job.table.name}: {reason}; parsing {count_of(len(batch.objects), 'object')} instead"
                )
                remaining += batch.objects
                continue
            copied += len(batch.objects)
            copied_bytes += sum(item.info.size for item in batch.objects)
            rows += sum(count.read for count in self.ingest_result.counts[-len(batch.objects) :])
            reporter.update(copied, rows, copied_bytes)
        job.progress(f"{job.table.name}: {copied:,} of {len(objects):,} objects were copied by the warehouse")
        return remaining

    def discard(self, deduplicated: Mapping[int, int]) -> list[SelectedObject]:
        """Discard the batches that contain duplicate rows and return their objects, as only the parser can attribute rows to objects."""
        found: list[SelectedObject] = []
        for number in sorted(deduplicated.keys() & self.copied.keys()):
            batch = self.copied[number]
            if len(batch.objects) > 1 and self.reader is not None:
                self.reader.discard(number)
                self.discarded |= set(range(number, number + len(batch.objects)))
                del self.copied[number]
                found += batch.objects
        return found

    def _split(
        self, objects: Sequence[SelectedObject], suffixes: Collection[str]
    ) -> tuple[list[CopyBatch], list[SelectedObject]]:
        """Split objects into batches that one statement each can copy, and the objects that need client parsing."""
        rejecting = self.job.objects_with_rejects()
        candidates = [
            item
            for item in objects
            if item.info.size
            and (item.info.key, item.info.etag) not in rejecting
            and compression_suffix(item.info.key) in suffixes
        ]
        headers = read_headers(self.job, candidates)
        similar: dict[object, list[SelectedObject]] = defaultdict(list)
        for item, header in headers.items():
            single = item.info.key if item.info.size >= SINGLE_OBJECT_BYTES else ""
            similar[header.columns, compression_suffix(item.info.key), item.months, single].append(item)
        batches = [
            CopyBatch(tuple(part), tuple(headers[item] for item in part))
            for items in similar.values()
            for part in split_batches(items, BATCH_BYTES, BATCH_OBJECTS)
        ]
        return batches, [item for item in objects if item not in headers]

    def _copy(self, reader: ObjectReader, batch: CopyBatch) -> str:
        """Copy a batch and count its rows; returns why it needs client parsing, or an empty text."""
        uri = self.job.bucket.uri
        listed = tuple((uri(item.info.key), item.info.size) for item in batch.objects)
        request = CopyRequest(
            self.job.source.format,
            compression_suffix(batch.objects[0].info.key),
            batch.headers[0].columns,
            listed,
            self.job.source.null_values,
        )
        try:
            result = reader.read(request)
        except ServerCopyError as error:
            self._check_unchanged(batch.objects, error)
            raise
        self._check_etags(batch.objects, result.etags)
        counts = count_rows_per_object(request.format, batch, [url for url, _ in listed], result)
        reason = result.client_parsing_reason or self._out_of_range(batch, result)
        if reason or counts is None:
            return reason or "the row count of each object is unknown"
        number = len(self.ingest_result.counts)
        reader.stage(number)
        self.copied[number] = batch
        for item, header, rows in zip(batch.objects, batch.headers, counts, strict=True):
            in_scope = result.in_scope if len(batch.objects) == 1 else rows
            self.ingest_result.counts.append(ObjectCount(item, rows, in_scope, filtered=rows - in_scope))
            if header.undeclared_fields:
                self.ingest_result.undeclared_fields.append((item.info.key, header.undeclared_fields))
        return ""

    def _out_of_range(self, batch: CopyBatch, result: CopyResult) -> str:
        """Return why the rows need client parsing: some are out of range, or outside the load scope in an unknown object."""
        if result.first is None or result.last is None:
            return ""
        months = allowed_months(batch.objects[0], self.job.months)
        if result.first < months.start or result.last >= months.end:
            return "some event times are outside the months that the keys name"
        if len(batch.objects) > 1 and result.in_scope != result.rows:
            return "some rows are outside the load scope"
        return ""

    def _check_unchanged(self, objects: Sequence[SelectedObject], error: Exception | None = None) -> None:
        changed = self.job.bucket.find_changed([item.info for item in objects])
        if changed is not None:
            uri = self.job.bucket.uri(changed.key)
            raise BucketError(f"{uri} was removed or overwritten after the listing; run again") from error

    def _check_etags(self, objects: Sequence[SelectedObject], etags: Mapping[str, str]) -> None:
        differing = [
            item
            for item in objects
            if etags.get(self.job.bucket.uri(item.info.key), "") not in ("", item.info.etag.strip('"'))
        ]
        self._check_unchanged(differing)


def count_rows_per_object(
    kind: str, batch: CopyBatch, urls: Sequence[str], result: CopyResult
) -> list[int] | None:
    """Return the row count of each object of a batch; None if it is not certain, given the rows that were copied."""
    if kind == "parquet":
        footers = [header.rows for header in batch.headers if header.rows is not None]
        return footers if len(footers) == len(urls) and sum(footers) == result.rows else None
    rows = [result.lines[url] - result.header_lines for url in urls if url in result.lines]
    if len(rows) < len(urls):
        return None
    # The warehouse does not say whether it counts a line break in a text as a line.
    if len(rows) == 1 and rows[0] in (result.rows, result.rows + result.line_breaks):
        return [result.rows]
    return rows if sum(rows) == result.rows and min(rows) >= 0 and not result.line_breaks else None
