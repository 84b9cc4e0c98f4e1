"""The ingestion of a list of objects: server-side copy where possible, the parser for the rest, then deduplication.

Reading a single batch does not belong here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.ingest.batch_reader import BatchReader
from scx_pipeline.loading.ingest.duplicate_keys import count_deduplicated
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.progress import ProgressReporter
from scx_pipeline.loading.ingest.server_copy import ServerCopy
from scx_pipeline.planning.selection import SelectedObject, split_batches
from scx_pipeline.storage.compression import compression_suffix
from scx_pipeline.warehouse.staging_buffer import StagingBuffer

# Objects fetched at a time from a remote bucket, which limits the disk space.
REMOTE_BATCH_BYTES = 512 << 20
# JSON documents read into memory at a time; as many again are prefetched.
MAX_DOCUMENTS, MAX_DOCUMENT_BYTES = 20_000, 64 << 20
# The least bytes of a JSON line: two brackets and a line end.
MIN_JSON_LINE_BYTES = 3

Inspect = Callable[[StagingBuffer], None]


def ingest_objects(
    jobs: Sequence[IngestJob], buffer: StagingBuffer, inspect: Inspect = lambda buffer: None
) -> IngestResult:
    """Read each object of a staging table's sources once into the staging buffer, without finishing it.

    Args:
        jobs: one for each source of the table.
        buffer: the staging buffer.
        inspect: called with the buffer after each batch, before its flush.

    Raises:
        SourceFileError: a file cannot be read as declared; `others` has the errors of the other unreadable files.
        BucketError: an object cannot be fetched.
    """
    ingest_result = IngestResult(jobs[0].table, earlier=[count for job in jobs for count in job.earlier])
    readers = [BatchReader(job, buffer, ingest_result) for job in jobs]
    copies = [ServerCopy(job, buffer.reader, ingest_result) for job in jobs]
    remaining = [copy.run(copy.job.objects) for copy in copies]
    for reader in readers:
        reader.rejected_shares.add(reader.job.earlier)
        reader.rejected_shares.add(reader.counts)
    while True:
        _parse(readers, remaining, inspect)
        deduplicated = readers[0].find_duplicate_keys()
        remaining = [copy.discard(deduplicated) for copy in copies]
        if not any(remaining):
            break
    count_deduplicated(ingest_result, deduplicated)
    discarded = set[int]().union(*(copy.discarded for copy in copies))
    ingest_result.counts = [
        count for number, count in enumerate(ingest_result.counts) if number not in discarded
    ]
    return ingest_result


def _parse(
    readers: Sequence[BatchReader], objects: Sequence[Sequence[SelectedObject]], inspect: Inspect
) -> None:
    """Parse the objects of each reader's source, until too many rows of one were rejected."""
    for reader, of_source in zip(readers, objects, strict=True):
        if not _parse_source(reader, of_source, inspect):
            break
    unreadable = [error for reader in readers for error in reader.unreadable]
    if unreadable:
        first, *others = unreadable
        first.others = others
        raise first


def _parse_source(reader: BatchReader, objects: Sequence[SelectedObject], inspect: Inspect) -> bool:
    """Parse objects, and return whether what was read so far can be published."""
    job, buffer = reader.job, reader.staging_buffer
    is_documents = job.source.format == "json"
    batches = split_batches(objects, *_batch_limits(job, buffer, is_documents))
    reporter = ProgressReporter(len(objects), sum(item.info.size for item in objects), job.progress)
    files_read = rows = size = 0
    earlier = sum(count.read for count in job.earlier)
    open_batches: Any = job.bucket.read_documents if is_documents else job.bucket.fetch_files
    with open_batches([[item.info for item in batch] for batch in batches]) as opened:
        for number, (batch, files) in enumerate(zip(batches, opened, strict=True), start=1):
            later = _max_rows(job, [item for part in batches[number:] for item in part])
            rows += _read_batch(reader, batch, files, None if later is None else earlier + rows + later)
            if reader.unreadable:
                buffer.remove("TRUE")  # the other objects are read only to find all that are unreadable
                continue
            if reader.must_stop(later):
                return False
            inspect(buffer)
            buffer.flush()
            files_read += len(batch)
            size += sum(item.info.size for item in batch)
            reporter.update(files_read, rows, size)
    return True


def _read_batch(
    reader: BatchReader, batch: Sequence[SelectedObject], files: Sequence[Any], other_rows: int | None
) -> int:
    """Read a batch, and again without each object of it that is unreadable and names its months."""
    while True:
        try:
            return reader.read(batch, files, other_rows)
        except SourceFileError as error:
            unreadable = [item for item in batch if item.info.key == error.key]
            if not unreadable or unreadable[0].months is None:
                raise
            reader.unreadable.append(error)
            kept = [index for index, item in enumerate(batch) if item not in unreadable]
            batch, files = [batch[index] for index in kept], [files[index] for index in kept]


def _batch_limits(job: IngestJob, buffer: StagingBuffer, is_documents: bool) -> tuple[int, int]:
    """Return the bytes and the objects of a batch."""
    if is_documents:
        return MAX_DOCUMENT_BYTES, MAX_DOCUMENTS
    remote = REMOTE_BATCH_BYTES if job.bucket.folder is None else sys.maxsize
    return min(remote, buffer.batch_bytes or sys.maxsize), job.batch_files or buffer.batch_files


def _max_rows(job: IngestJob, objects: Sequence[SelectedObject]) -> int | None:
    """Return the most rows that the objects may have; None if their sizes do not limit it."""
    # A CSV row has at least a separator or a line end per value.
    least = {"csv": len(job.table.columns), "json_lines": MIN_JSON_LINE_BYTES}.get(job.source.format)
    if objects and (least is None or any(compression_suffix(item.info.key) for item in objects)):
        return None
    return sum(item.info.size // (least or 1) + 1 for item in objects)
