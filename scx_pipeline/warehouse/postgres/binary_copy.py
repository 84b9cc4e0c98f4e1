"""Binary COPY into PostgreSQL: rows encoded ahead of the server, and jobs in a background thread.

Which rows go into which table is not decided here.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg2.extensions import connection

COPY_BATCH_ROWS = 4096  # of one batch through COPY: it fits into the processor's cache
CHUNKS_AHEAD = 4  # encoded, half a megabyte each: the server must never wait for one
CHUNK_BYTES = 1 << 20
MAX_CHUNK_BYTES = 1 << 30  # of a single row
PROGRESS_MESSAGE_SECONDS = 5.0  # between two messages while waiting for the jobs


class CopyJobs:
    """Jobs on one connection, run one after the other in a background thread until the first fails.

    Other uses of the connection wait for the jobs first, which raises the error of a failed one.
    """

    def __init__(self, con: connection, notify: Callable[[str], None]) -> None:
        self.con, self.notify, self.stopped = con, notify, threading.Event()
        self._sending: tuple[str, EncodedRows] | None = None
        self._thread = ThreadPoolExecutor(1, "scx-copy", initializer=self._set_worker)
        # One thread for all rows, as each thread would keep its memory.
        self._encoder = ThreadPoolExecutor(1, "scx-encode")
        self._worker: int | None = None
        self._pending: deque[Future[None]] = deque()

    def _set_worker(self) -> None:
        self._worker = threading.get_ident()

    def add(self, job: Callable[[], None]) -> None:
        """Queue a job after the earlier ones."""
        self._pending.append(self._thread.submit(self._run, job))

    def _run(self, job: Callable[[], None]) -> None:
        if self.stopped.is_set():
            return
        try:
            job()
        except BaseException:
            self.stopped.set()
            raise

    def wait(self) -> None:
        """Wait until all jobs are done, and raise the error of a failed one; within a job, do nothing."""
        if threading.get_ident() == self._worker:
            return
        while self._pending:
            try:
                self._pending[0].result(PROGRESS_MESSAGE_SECONDS)
                self._pending.popleft()
            except TimeoutError:
                if self._pending[0].done():
                    raise
                if self._sending:
                    table, rows = self._sending
                    self.notify(f"waiting for the server: {table}, {rows.count:,} rows sent")

    def stop(self) -> None:
        """Cancel the running job and the pending ones."""
        self.stopped.set()
        if any(not job.done() for job in self._pending):
            self.con.cancel()
        self._thread.shutdown(wait=True)
        self._encoder.shutdown(wait=True, cancel_futures=True)

    def encode(self, rows: pa.RecordBatchReader) -> EncodedRows:
        """Start to encode rows, whose types must be exactly PostgreSQL's: a smallint for a smallint, and so on."""
        return EncodedRows(rows, self._encoder, self.stopped)

    def copy(self, table: str, columns: str, rows: EncodedRows, options: str = "") -> int:
        """Copy rows into these columns of the table by binary COPY, and return how many it took."""
        self._sending = table, rows
        with rows, self.con.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {table} ({columns}) FROM STDIN (FORMAT binary{options})", rows, size=MAX_CHUNK_BYTES
            )
            return int(cursor.rowcount)


class EncodedRows(io.RawIOBase):
    """Rows in COPY's binary format, as a file to read from; encoding starts at once and stays some chunks ahead."""

    def __init__(
        self, rows: pa.RecordBatchReader, thread: ThreadPoolExecutor, stopped: threading.Event
    ) -> None:
        self.count = 0  # rows encoded so far
        self._chunks, self._thread, self._stopped = self._encode(rows), thread, stopped
        self._ahead = deque(self._submit_next() for _ in range(CHUNKS_AHEAD))

    def read(self, size: int = -1) -> bytes:
        """Return the next chunk as it is: none exceeds MAX_CHUNK_BYTES, which COPY requests."""
        while not self._stopped.is_set():
            chunk = self._ahead.popleft().result()
            if chunk is None:
                return b""
            self._ahead.append(self._submit_next())
            if chunk:
                return chunk
        raise InterruptedError

    def close(self) -> None:
        """Stop encoding."""
        wait([chunk for chunk in self._ahead if not chunk.cancel()])
        super().close()

    def _submit_next(self) -> Future[bytes | None]:
        return self._thread.submit(next, self._chunks, None)

    def _encode(self, rows: pa.RecordBatchReader) -> Iterator[bytes]:
        from pgpq import ArrowToPostgresBinaryEncoder

        encoder = ArrowToPostgresBinaryEncoder(rows.schema)
        yield encoder.write_header()
        for batch in rows:
            # Fewer rows per chunk if they are wide, as all chunks ahead are in memory.
            step = max(1, batch.num_rows * CHUNK_BYTES // max(1, batch.nbytes))
            for start in range(0, batch.num_rows, step):
                yield encoder.write_batch(batch.slice(start, step))
            self.count += batch.num_rows
        yield encoder.finish()
