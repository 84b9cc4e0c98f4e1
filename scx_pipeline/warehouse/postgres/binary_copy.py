"""Binary COPY into PostgreSQL: DuckDB rows encoded ahead of the server, and jobs in a thread behind the main one.
Which rows go into which table is decided in `postgres`; this is the one place that knows pgpq."""

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

COPY_BATCH_ROWS = 4096  # of the batches that go through COPY: they fit into the processor's cache
PIECES_AHEAD = 4  # encoded batches, half a megabyte each: the server must never wait for one
PIECE_BYTES = 1 << 20
MAX_PIECE = 1 << 30  # of a single row
PATIENCE = 5.0  # seconds after which whoever waits for the jobs is told how far they are


class Jobs:
    """Jobs on one connection, one after the other in a thread of their own; the first that fails is the last.

    Whoever uses the connection elsewhere waits for them first, and is told by the job's own error if one failed.
    """

    def __init__(self, con: connection, notify: Callable[[str], None]) -> None:
        self.con, self.notify, self.stopped = con, notify, threading.Event()
        self._sending: tuple[str, Encoded] | None = None
        self._thread = ThreadPoolExecutor(1, "scx-copy", initializer=self._started)
        self._encoder = ThreadPoolExecutor(
            1, "scx-encode"
        )  # one for all: each thread's memory would stay its own
        self._worker: int | None = None
        self._pending: deque[Future[None]] = deque()

    def _started(self) -> None:
        self._worker = threading.get_ident()

    def add(self, job: Callable[[], None]) -> None:
        """Have the job done after those before it."""
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
        """Until all are done; raises what one of them raised. A job itself need not wait."""
        if threading.get_ident() == self._worker:
            return
        while self._pending:
            try:
                self._pending[0].result(PATIENCE)
                self._pending.popleft()
            except TimeoutError:
                if self._pending[0].done():
                    raise
                if self._sending:
                    table, rows = self._sending
                    self.notify(f"waiting for the server: {table}, {rows.count:,} rows sent")

    def stop(self) -> None:
        """Break off the job that runs, and do no other."""
        self.stopped.set()
        if any(not job.done() for job in self._pending):
            self.con.cancel()
        self._thread.shutdown(wait=True)
        self._encoder.shutdown(wait=True, cancel_futures=True)

    def encode(self, rows: pa.RecordBatchReader) -> Encoded:
        """Begin to encode rows, whose types must be PostgreSQL's exactly: a smallint for a smallint, and so on."""
        return Encoded(rows, self._encoder, self.stopped)

    def copy(self, table: str, columns: str, rows: Encoded, options: str = "") -> int:
        """Stream rows into these columns of the table by binary COPY; how many rows it took."""
        self._sending = table, rows
        with rows, self.con.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {table} ({columns}) FROM STDIN (FORMAT binary{options})", rows, size=MAX_PIECE
            )
            return int(cursor.rowcount)


class Encoded(io.RawIOBase):
    """Rows in COPY's binary format, as a file to read from; encoding begins at once, and stays some batches ahead."""

    def __init__(
        self, rows: pa.RecordBatchReader, thread: ThreadPoolExecutor, stopped: threading.Event
    ) -> None:
        self.count = 0  # of the rows that were encoded
        self._pieces, self._thread, self._stopped = self._encode(rows), thread, stopped
        self._ahead = deque(self._next() for _ in range(PIECES_AHEAD))

    def read(self, size: int = -1) -> bytes:
        """The next piece, as it is: none is larger than MAX_PIECE, which COPY asks for."""
        while not self._stopped.is_set():
            piece = self._ahead.popleft().result()
            if piece is None:
                return b""
            self._ahead.append(self._next())
            if piece:
                return piece
        raise InterruptedError

    def close(self) -> None:
        """Encode no more."""
        wait([piece for piece in self._ahead if not piece.cancel()])
        super().close()

    def _next(self) -> Future[bytes | None]:
        return self._thread.submit(next, self._pieces, None)

    def _encode(self, rows: pa.RecordBatchReader) -> Iterator[bytes]:
        from pgpq import ArrowToPostgresBinaryEncoder

        encoder = ArrowToPostgresBinaryEncoder(rows.schema)
        yield encoder.write_header()
        for batch in rows:
            # Fewer rows where they are wide: the pieces ahead are all in memory.
            step = max(1, batch.num_rows * PIECE_BYTES // max(1, batch.nbytes))
            for start in range(0, batch.num_rows, step):
                yield encoder.write_batch(batch.slice(start, step))
            self.count += batch.num_rows
        yield encoder.finish()
