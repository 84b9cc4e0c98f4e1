"""Binary COPY into PostgreSQL: DuckDB rows encoded ahead of the server, and jobs in a thread behind the main one.
Which rows go into which table is decided in `postgres`; this is the one place that knows pgpq."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    from psycopg2.extensions import connection

COPY_BATCH_ROWS = 4096
PATIENCE = 5.0  # seconds after which whoever waits for the jobs is told how far they are


class Jobs:
    """Jobs on one connection, one after the other in a thread of their own; the first that fails is the last.

    Whoever uses the connection elsewhere waits for them first, and is told by the job's own error if one failed.
    """

    def __init__(self, con: connection, notify: Callable[[str], None]) -> None:
        self.con, self.notify, self.stopped = con, notify, threading.Event()
        self._sending, self._rows = "", 0
        self._thread = ThreadPoolExecutor(1, "scx-copy", initializer=self._started)
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
                self.notify(f"waiting for the server: {self._sending}, {self._rows:,} rows sent")

    def stop(self) -> None:
        """Break off the job that runs, and do no other."""
        self.stopped.set()
        if any(not job.done() for job in self._pending):
            self.con.cancel()
        self._thread.shutdown(wait=True)

    def copy(self, table: str, columns: str, relation: duckdb.DuckDBPyRelation, options: str = "") -> int:
        """Stream a DuckDB relation into these columns of the table by binary COPY; how many rows it took.

        The relation's types must be PostgreSQL's exactly: a smallint for a smallint, and so on.
        """
        from pgpq import ArrowToPostgresBinaryEncoder

        reader = relation.to_arrow_reader(COPY_BATCH_ROWS)
        encoder = ArrowToPostgresBinaryEncoder(reader.schema)
        self._sending, self._rows = table, 0
        with self.con.cursor() as cursor:
            cursor.copy_expert(
                f"COPY {table} ({columns}) FROM STDIN (FORMAT binary{options})",
                _Encoded(self._encode(encoder, reader), self.stopped),
                size=1 << 20,
            )
            return int(cursor.rowcount)

    def _encode(self, encoder: Any, reader: Any) -> Iterator[bytes]:
        yield encoder.write_header()
        for batch in reader:
            yield encoder.write_batch(batch)
            self._rows += batch.num_rows
        yield encoder.finish()


class _Encoded(io.RawIOBase):
    """The encoded batches as a file that COPY reads from; the next is encoded while the server takes one."""

    def __init__(self, pieces: Iterator[bytes], stopped: threading.Event) -> None:
        self.pieces, self.stopped = _ahead(pieces), stopped
        self.rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if self.stopped.is_set():
            raise InterruptedError
        while not self.rest:
            piece = next(self.pieces, None)
            if piece is None:
                return b""
            self.rest = memoryview(piece)
        taken, self.rest = self.rest[:size], self.rest[size:]
        return bytes(taken)


def _ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each piece made in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(next, pieces, None)
        while (piece := pending.result()) is not None:  # an empty one is not the last
            pending = thread.submit(next, pieces, None)
            yield piece
