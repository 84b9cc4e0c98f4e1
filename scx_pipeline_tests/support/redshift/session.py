"""A client's session with the stand-in, on its own connection to the PostgreSQL database."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg2
from obstore.store import S3Store
from psycopg2 import extensions

from scx_pipeline_tests.support.redshift.server import ADMIN, StandIn
from scx_pipeline_tests.support.redshift.sql.postgres_sql import FNV_HASH
from scx_pipeline_tests.support.redshift.sql.statements import Translated, translate
from scx_pipeline_tests.support.redshift.transfer.copying import Copied, CopyFailed, Copying
from scx_pipeline_tests.support.redshift.transfer.options import parse_copy, parse_unload
from scx_pipeline_tests.support.redshift.transfer.unloading import Unloading
from scx_pipeline_tests.support.redshift.views import with_system_views
from scx_pipeline_tests.support.redshift.wire import Failure, Result, Wire
from scx_pipeline_tests.support.servers.postgres import SUPERUSER

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
# The users whose names differ in the PostgreSQL database.
ROLES = {ADMIN: SUPERUSER}


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
