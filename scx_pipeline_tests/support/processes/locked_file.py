"""A DuckDB file that another process has open, so that no one else can.

How long the pipeline waits for it is for the tests to say.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_THE_FILE = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[int]:
    """Lock a DuckDB file within the block; yield the id of the process that has it open."""
    argv = [sys.executable, "-c", LOCK_THE_FILE, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield holder.pid
        holder.stdin.close()
