"""A stand-in for a Redshift cluster that listens for clients: TLS with its own certificate, and a thread for each session.

What a session answers does not belong here.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg2

from scx_pipeline_tests.support.redshift.server import ADMIN, READER, USER, StandIn
from scx_pipeline_tests.support.redshift.session import Session
from scx_pipeline_tests.support.redshift.wire import Gone, Wire
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from scx_pipeline_tests.support.servers.postgres import PostgresServer
from scx_pipeline_tests.support.servers.s3 import S3Server


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
