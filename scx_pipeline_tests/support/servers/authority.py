"""A certificate authority for the tests, and host names that resolve to this machine.

Clients trust it by SSL_CERT_FILE.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scx_pipeline_tests.support.servers.ports import LOOPBACK

HOST, OTHER_HOST = "receiver.test", "another.test"


@dataclass(frozen=True)
class Authority:
    """An authority, and the TLS context of a server with one host name."""

    certificate: Path  # of the authority
    server: ssl.SSLContext  # of the server


def make_authority(folder: Path, host: str = HOST) -> Authority:
    """Create an authority, and a certificate of a server."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("authority of the tests")
    own = _sign(name, key.public_key(), (name, key), x509.BasicConstraints(True, None))
    server_key = ec.generate_private_key(ec.SECP256R1())
    signed = _sign(
        _name(host), server_key.public_key(), (name, key), x509.SubjectAlternativeName([x509.DNSName(host)])
    )
    paths = {name: folder / f"{name}.pem" for name in ("authority", "server")}
    paths["authority"].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    private = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths["server"].write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(paths["server"])
    return Authority(paths["authority"], context)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(subject: x509.Name, public: Any, issuer: Any, extension: x509.ExtensionType) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0]).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=True)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(issuer[1], hashes.SHA256())


def resolve_to_loopback(patch: pytest.MonkeyPatch) -> None:
    """Resolve the tests' host names to this machine, as a name server would."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        return getaddrinfo(LOOPBACK if host in (HOST, OTHER_HOST) else host, *rest, **options)

    patch.setattr(socket, "getaddrinfo", resolve)
