"""The fixture of a session that sends statements to the stand-in.

Each of its statements is committed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection

from scx_pipeline_tests.support.redshift.server import ADMIN, StandIn


@pytest.fixture
def con(redshift: StandIn) -> Iterator[connection]:
    """Provide an administrator's session that commits each statement, and two small tables."""
    with closing(psycopg2.connect(redshift.url(ADMIN).replace("redshift://", "postgresql://"))) as con:
        con.autocommit = True
        with con.cursor() as run:
            run.execute("CREATE TABLE t (a integer, b varchar(20))")
            run.execute("CREATE TABLE u (a integer, b varchar(20))")
            run.execute("INSERT INTO t VALUES (1, 'one'), (2, NULL)")
            run.execute("INSERT INTO u VALUES (1, 'uno'), (3, 'tre')")
        yield con
