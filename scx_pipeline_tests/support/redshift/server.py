"""The state of a stand-in for a Redshift cluster: its users, roles and regions, what it was sent, and what tests may set.

No connection is opened here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from obstore.store import S3Store

from scx_pipeline_tests.support.redshift.transfer.copying import Copied
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.servers.s3 import S3Server

# The loader, the reader and the administrator.
USER, READER, ADMIN = "scx", "scx_reader", "admin"
DEFAULT_ROLE = "arn:aws:iam::123456789012:role/scx-copy"


@dataclass
class StandIn:
    """A running stand-in, with what tests may set or examine."""

    port: int
    backend: PostgresServer = field(repr=False)
    backend_database: str
    s3: S3Server | None
    certificate: Path
    database: str = "dev"
    users: dict[str, str] = field(default_factory=dict, repr=False)  # name → password
    roles: set[str] = field(default_factory=lambda: {DEFAULT_ROLE, "default"})
    statements: list[str] = field(default_factory=list)  # sent by clients
    loads: dict[int, Copied] = field(default_factory=dict)  # by query
    elsewhere: dict[str, str] = field(default_factory=dict)  # the region of each bucket in another region
    # Called with each statement before it runs: may raise Gone, which cuts the connection, or Failure.
    before: Callable[[str], None] = lambda sql: None
    # Whether a system view hides the rows of a file, by the view's name and the file's URL.
    hides: Callable[[str, str], bool] = lambda view, url: False
    reports_counts: bool = True  # whether COPY sends notices with the counts of loaded and rejected records
    _queries: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def backend_url(self) -> str:
        """Return the URL of the PostgreSQL database for the loader."""
        return self.backend.url(self.backend_database, USER)

    def url(self, user: str = USER) -> str:
        """Return the URL for a client, which verifies the certificate."""
        login = f"{quote(user)}:{quote(self.users[user], safe='')}"
        return f"redshift://{login}@localhost:{self.port}/{self.database}?sslrootcert={quote(str(self.certificate), safe='')}"

    def store(self, bucket: str) -> S3Store:
        if self.s3 is None:
            raise Failure("XX000", "the stand-in was given no S3 server")
        return self.s3.store(bucket)

    def next_query(self) -> int:
        return next(self._queries)
