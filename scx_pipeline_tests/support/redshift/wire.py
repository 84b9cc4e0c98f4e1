"""The server side of PostgreSQL's protocol, as far as Redshift's clients need it: start, login, simple queries.

Statements are not interpreted here.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

CANCEL, TLS, GSS, PROTOCOL = 80877102, 80877103, 80877104, 196608  # the request codes of a first message
MAX_MESSAGE = 64 << 20


class Gone(Exception):
    """The client disconnected, or does not speak the protocol."""


class Failure(Exception):
    """An error of the server: SQLSTATE and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


@dataclass(frozen=True)
class Result:
    """The result of a statement: its columns as (name, type OID), its rows as texts, and its command tag."""

    tag: str
    columns: Sequence[tuple[str, int]] | None = None
    rows: Sequence[Sequence[str | None]] = ()
    notices: Sequence[str] = ()


class Wire:
    """One client's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting = bytearray()  # to be sent before the next message is read

    def start(self, tls: ssl.SSLContext) -> dict[str, str]:
        """Return the parameters of the start message; TLS is required."""
        encrypted = False
        while True:
            body = self._exactly(_length(self._exactly(4)) - 4)
            (asked,) = struct.unpack("!I", body[:4])
            if asked == TLS and not encrypted:
                self.socket.sendall(b"S")
                self.socket = tls.wrap_socket(self.socket, server_side=True)
                encrypted = True
            elif asked in (TLS, GSS):
                self.socket.sendall(b"N")
            elif asked == PROTOCOL:
                if not encrypted:
                    self.fail(Failure("28000", "no pg_hba.conf entry for host, SSL off"), fatal=True)
                    raise Gone
                texts = body[4:].rstrip(b"\0").split(b"\0")
                return {
                    name.decode(): value.decode()
                    for name, value in zip(texts[::2], texts[1::2], strict=False)
                }
            else:
                raise Gone  # a cancel request, which needs no answer, or an invalid message

    def logs_in(self, user: str, password: str) -> bool:
        """Request the password, hashed with a salt, and return whether it is correct."""
        salt = secrets.token_bytes(4)
        self._send(b"R", struct.pack("!I", 5) + salt)
        kind, body = self.read()
        if kind != b"p":
            raise Gone
        inner = hashlib.md5(f"{password}{user}".encode()).hexdigest()
        right = b"md5" + hashlib.md5(inner.encode() + salt).hexdigest().encode()
        return secrets.compare_digest(body.rstrip(b"\0"), right)

    def welcome(self, parameters: Iterable[tuple[str, str]], process: int) -> None:
        self._send(b"R", struct.pack("!I", 0))
        for name, value in parameters:
            self._send(b"S", _text(name) + _text(value))
        self._send(b"K", struct.pack("!II", process, secrets.randbits(32)))

    def read(self) -> tuple[bytes, bytes]:
        """Return the next message's kind and body."""
        kind = self._exactly(1)
        return kind, self._exactly(_length(self._exactly(4)) - 4)

    def ready(self, status: bytes) -> None:
        """Report readiness for the next query; the status is I outside, T inside, E in a failed transaction."""
        self._send(b"Z", status)

    def answer(self, result: Result) -> None:
        for notice in result.notices:
            fields = {"S": "INFO", "C": "00000", "M": notice}
            self._send(b"N", b"".join(name.encode() + _text(value) for name, value in fields.items()) + b"\0")
        if result.columns is not None:
            fields = (
                _text(name) + struct.pack("!IHIhih", 0, 0, oid, -1, -1, 0) for name, oid in result.columns
            )
            self._send(b"T", struct.pack("!H", len(result.columns)) + b"".join(fields))
            self._raw(b"".join(map(_row, result.rows)))
        self._send(b"C", _text(result.tag))

    def fail(self, failure: Failure, fatal: bool = False) -> None:
        fields = {"S": "FATAL" if fatal else "ERROR", "C": failure.code, "M": failure.message}
        self._send(b"E", b"".join(name.encode() + _text(value) for name, value in fields.items()) + b"\0")

    def empty(self) -> None:
        self._send(b"I", b"")

    def close(self) -> None:
        with suppress(Gone):
            self._flush()
        self.socket.close()

    def _send(self, kind: bytes, body: bytes) -> None:
        self._raw(_message(kind, body))

    def _raw(self, data: bytes) -> None:
        self.waiting += data

    def _flush(self) -> None:
        if not self.waiting:
            return
        try:
            self.socket.sendall(self.waiting)
        except OSError as error:
            raise Gone from error
        self.waiting.clear()

    def _exactly(self, count: int) -> bytes:
        self._flush()
        parts = []
        while count:
            try:
                part = self.socket.recv(min(count, 1 << 20))
            except OSError as error:
                raise Gone from error
            if not part:
                raise Gone
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _length(four: bytes) -> int:
    (length,) = struct.unpack("!I", four)
    if not 4 <= length <= MAX_MESSAGE:
        raise Gone
    return int(length)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _row(values: Sequence[str | None]) -> bytes:
    body = [struct.pack("!H", len(values))]
    for value in values:
        if value is None:
            body.append(struct.pack("!i", -1))
        else:
            data = value.encode()
            body += (struct.pack("!i", len(data)), data)
    return _message(b"D", b"".join(body))


def _text(value: str) -> bytes:
    return value.encode() + b"\0"
