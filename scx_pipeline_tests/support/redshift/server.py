"""The stand-in as a server: sessions over TLS, each with its own connection to the PostgreSQL database.

Statements are translated elsewhere.
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from obstore.store import S3Store
from psycopg2 import extensions

from scx_pipeline_tests.support.redshift.copying import Copied, CopyFailed, Copying
from scx_pipeline_tests.support.redshift.options import parse_copy, parse_unload
from scx_pipeline_tests.support.redshift.statements import FNV_HASH, Translated, translate
from scx_pipeline_tests.support.redshift.unloading import Unloading
from scx_pipeline_tests.support.redshift.views import with_system_views
from scx_pipeline_tests.support.redshift.wire import Failure, Gone, Result, Wire
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from scx_pipeline_tests.support.servers.postgres import SUPERUSER, PostgresServer
from scx_pipeline_tests.support.servers.s3 import S3Server

PARAMETERS = (
    ("server_version", "8.0.2"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("integer_datetimes", "on"),
)
# The types whose values clients receive as the texts that PostgreSQL sent.
_OIDS = (16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2205, 2950)  # fmt: skip
_RAW = extensions.new_type(_OIDS, "RAW", lambda value, cursor: value)
_STATES = {
    extensions.TRANSACTION_STATUS_IDLE: b"I",
    extensions.TRANSACTION_STATUS_INTRANS: b"T",
    extensions.TRANSACTION_STATUS_INERROR: b"E",
}
# The loader, the reader, and the administrator, whose name differs in the PostgreSQL database.
USER, READER, ADMIN = "scx", "scx_reader", "admin"
ROLES = {ADMIN: SUPERUSER}
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


class Session:
    """One client: its protocol, its connection to the PostgreSQL database, and its last COPY."""

    def __init__(self, server: StandIn, wire: Wire) -> None:
        self.server, self.wire = server, wire
        self.copied = 0  # the query of the last COPY
        self.unloaded = 0  # rows of the last UNLOAD

    def serve(self, tls: ssl.SSLContext) -> None:
        start = self.wire.start(tls)
        user = start.get("user", "")
        if not self.wire.logs_in(user, self.server.users.get(user, "\0")) or user not in self.server.users:
            self.wire.fail(Failure("28000", f'password authentication failed for user "{user}"'), fatal=True)
            return
        if start.get("database", user) != self.server.database:
            self.wire.fail(Failure("3D000", f'database "{start.get("database")}" does not exist'), fatal=True)
            return
        with self._backend(ROLES.get(user, user)) as con:
            self.con = con
            self.process = con.info.backend_pid
            self.wire.welcome(PARAMETERS, self.process)
            self.wire.ready(b"I")
            self._loop()

    @contextmanager
    def _backend(self, role: str) -> Iterator[extensions.connection]:
        server = self.server
        con = psycopg2.connect(
            server.backend.url(server.backend_database, role),
            options="-c TimeZone=UTC",
            application_name="stand-in",
        )
        try:
            con.autocommit = True  # the client's BEGIN and COMMIT are passed on
            extensions.register_type(_RAW, con)
            with con.cursor() as cursor:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield con
        finally:
            con.close()

    def _loop(self) -> None:
        while True:
            kind, body = self.wire.read()
            if kind == b"X":
                return
            if kind != b"Q":
                self.wire.fail(Failure("0A000", "the stand-in speaks the simple query protocol only"))
            else:
                self._answer(body.rstrip(b"\0").decode())
            self.wire.ready(_STATES.get(self.con.info.transaction_status, b"E"))

    def _answer(self, sql: str) -> None:
        if not sql.strip():
            self.wire.empty()
            return
        self.server.statements.append(sql)
        try:
            self.server.before(sql)
            self.wire.answer(self._run(sql))
        except Failure as failure:
            self._fail_transaction()
            self.wire.fail(failure)
        except psycopg2.Error as error:
            self.wire.fail(_to_redshift_error(error))

    def _run(self, sql: str) -> Result:
        query = self.server.next_query()
        if re.match(r"\s*copy\b", sql, re.IGNORECASE):
            return self._copy(sql, query)
        if re.match(r"\s*unload\b", sql, re.IGNORECASE):
            return self._unload(sql)
        open_transaction = self.con.info.transaction_status == extensions.TRANSACTION_STATUS_INTRANS
        translated = translate(self._with_functions(sql), open_transaction)
        with self.con.cursor() as cursor:
            if "fnv_hash" in translated.sql:  # few sessions need it, and its creation takes time
                cursor.execute(FNV_HASH)
            cursor.execute(
                with_system_views(self._of_backend(translated), self.server.loads, self.server.hides)
            )
            columns = None
            rows: list[Any] = []
            if cursor.description is not None:
                columns = [(item.name, item.type_code) for item in cursor.description]
                rows = cursor.fetchall()
            tag = cursor.statusmessage or translated.kind
            if translated.ends and open_transaction:
                cursor.execute("COMMIT")
                cursor.execute("BEGIN")
            return Result(tag, columns, rows)

    def _of_backend(self, translated: Translated) -> str:
        """Replace the database's name in a statement by its name in PostgreSQL."""
        if translated.kind not in ("GRANT", "REVOKE"):
            return translated.sql
        name = rf'(?i)\bon database "?{self.server.database}"?(?= )'
        return re.sub(name, f'ON DATABASE "{self.server.backend_database}"', translated.sql)

    def _with_functions(self, sql: str) -> str:
        """Replace functions about the session by their values."""
        copied = self.server.loads.get(self.copied)
        for name, value in (
            ("pg_last_copy_count", copied.rows if copied else 0),
            ("pg_last_copy_id", self.copied or -1),
            ("pg_last_unload_count", self.unloaded),
        ):
            sql = re.sub(rf"\b{name}\s*\(\s*\)", str(value), sql, flags=re.IGNORECASE)
        return sql

    def _copy(self, sql: str, query: int) -> Result:
        statement = parse_copy(sql)
        self._check_role(statement.options["iam_role"])
        with self.con.cursor() as cursor:
            try:
                store = partial(self._store_in, statement.options.get("region"))
                copied = Copying(statement, cursor, store, self.process).run()
            except CopyFailed as failed:
                self.server.loads[query] = failed.copied
                raise
        self.server.loads[query], self.copied = copied, query
        return Result("COPY", notices=_notices(statement.table, copied) if self.server.reports_counts else ())

    def _unload(self, sql: str) -> Result:
        statement = parse_unload(sql)
        self._check_role(statement.options["iam_role"])
        with self.con.cursor() as cursor:
            self.unloaded = Unloading(statement, cursor, self.server.store).run()
        return Result("UNLOAD")

    def _check_role(self, role: str) -> None:
        if role not in self.server.roles:
            raise Failure("XX000", f"User {role} is not authorized to assume IAM Role {role}")

    def _store_in(self, region: str | None, bucket: str) -> S3Store:
        """Return the store of a bucket for a statement with this region."""
        if self.server.elsewhere.get(bucket) != region:
            said = "The bucket you are attempting to access must be addressed using the specified endpoint."
            raise Failure("XX000", f"S3ServiceException:{said},Status 301,Error PermanentRedirect")
        return self.server.store(bucket)

    def _fail_transaction(self) -> None:
        """Abort the transaction in PostgreSQL, which the failed statement did not reach."""
        if self.con.info.transaction_status == extensions.TRANSACTION_STATUS_INTRANS:
            with suppress(psycopg2.Error), self.con.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'refused by the stand-in'; END $$")


def _notices(table: str, copied: Copied) -> list[str]:
    """Return the notices of a COPY, as in the guide's examples."""
    name, rejected = table.rpartition(".")[2].strip('"'), len(copied.rejected)
    said = [f"Load into table '{name}' completed, {copied.rows} record(s) loaded successfully."]
    if rejected:
        said.append(f"Load into table '{name}' completed, {rejected} record(s) could not be loaded. Check 'stl_load_errors' system table for details.")  # fmt: skip
    return said


def _to_redshift_error(error: psycopg2.Error) -> Failure:
    """Return PostgreSQL's error as Redshift reports it."""
    message = (error.diag.message_primary or str(error)).strip()
    if isinstance(error, psycopg2.errors.SerializationFailure | psycopg2.errors.DeadlockDetected):
        return Failure("XX000", f"1023: Serializable isolation violation on table: {message}")
    if isinstance(error, psycopg2.errors.CheckViolation):
        found = re.search(r'check constraint "(\w+)"', message)
        return Failure("22001", f"Value too long for character type ({found[1] if found else ''})")
    return Failure(error.pgcode or "XX000", message)


@contextmanager
def stand_in(folder: Path, backend: PostgresServer, database: str, s3: S3Server | None) -> Iterator[StandIn]:
    """Run a stand-in in front of a PostgreSQL database within the block."""
    certificate, tls = _certificate(folder)
    with socket.create_server((LOOPBACK, 0)) as listener:
        users = dict.fromkeys((USER, READER, ADMIN), "s3cret/@:%")
        server = StandIn(listener.getsockname()[1], backend, database, s3, certificate, users=users)
        clients: list[socket.socket] = []
        threading.Thread(target=partial(_accept, listener, server, tls, clients), daemon=True).start()
        try:
            yield server
        finally:
            listener.close()
            for client in clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, server: StandIn, tls: ssl.SSLContext, clients: list[socket.socket]
) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        clients.append(client)
        threading.Thread(target=partial(_serve, server, client, tls), daemon=True).start()


def _serve(server: StandIn, client: socket.socket, tls: ssl.SSLContext) -> None:
    wire = Wire(client)
    try:
        with suppress(Gone, ssl.SSLError, OSError, psycopg2.InterfaceError):
            Session(server, wire).serve(tls)
    finally:
        wire.close()


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Create a self-signed certificate of localhost, and a server context with it."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "standin.pem", folder / "standin.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private)
    return certificate, tls
