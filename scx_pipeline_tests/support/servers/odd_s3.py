"""A small S3-like server that behaves like stores other than AWS: without ETags, with odd keys, with errors.

The real S3 server covers regular behaviour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "odd"
Etags = Literal["strong", "none", "weak", "another when read", "another each time"]
Refusal = tuple[int, str]  # (status, code in the body)


@dataclass
class OddS3:
    """The server's objects and behaviour, which tests change."""

    endpoint: str = ""
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    etags: Etags = "strong"
    if_match: Literal["honoured", "ignored", "refused"] = "honoured"
    # Responses by method and key ("" for a listing): "reset" and "truncate" end the connection early.
    refuse: Callable[[str, str], Refusal | Literal["reset", "truncate"] | None] = lambda method, key: None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}"

    def put(self, key: str, content: bytes, modified: datetime | None = None) -> None:
        self.objects[key] = (content, modified or datetime.now(UTC))

    def etag(self, key: str, listed: bool) -> str:
        """Return an object's ETag in a listing or another response."""
        tag = md5(self.objects[key][0], usedforsecurity=False).hexdigest()
        return {
            "strong": f'"{tag}"',
            "none": "",
            "weak": f'W/"{tag}"',
            "another when read": f'"{tag}"' if listed else f'"{tag}-1"',
            "another each time": f'"{next(self._numbers)}"',
        }[self.etags]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make obstore and boto3 use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


@contextmanager
def odd_s3() -> Iterator[OddS3]:
    """Run a server without objects."""
    store = OddS3()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    store.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a reader opens many connections at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a response in two packets would wait for an acknowledgement of the first one
    store: OddS3

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        key = unquote(address.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        self.store.requests.append((self.command, key, dict(self.headers)))
        refusal = self.store.refuse(self.command, key)
        if refusal == "reset":
            self.close_connection = True
            self.connection.close()
        elif refusal and refusal != "truncate":
            self._send(refusal[0], _error(refusal[1]))
        elif not key:
            self._list({name: values[0] for name, values in parse_qs(address.query).items()})
        else:
            self._object(key, refusal == "truncate")

    def _object(self, key: str, cut: bool) -> None:
        if key not in self.store.objects:
            return self._send(404, _error("NoSuchKey"))
        content, modified = self.store.objects[key]
        tag, wanted = self.store.etag(key, listed=False), self.headers.get("If-Match")
        unmet = self.store.if_match == "honoured" and wanted != tag
        if wanted and (self.store.if_match == "refused" or unmet):
            return self._send(412, _error("PreconditionFailed"))
        headers = {"Last-Modified": f"{modified:%a, %d %b %Y %H:%M:%S GMT}"} | ({"ETag": tag} if tag else {})
        asked, status = self.headers.get("Range", ""), 200
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            start = int(first) if first else max(0, len(content) - int(last))
            end = min(len(content), int(last) + 1) if first and last else len(content)
            headers["Content-Range"], status = f"bytes {start}-{end - 1}/{len(content)}", 206
            content = content[start:end]
        return self._send(status, content, headers, cut=cut)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        found = sorted(key for key in self.store.objects if key.startswith(prefix) and key > after)
        folders = {
            prefix + key.removeprefix(prefix).split(delimiter)[0] + delimiter
            for key in found
            if delimiter and delimiter in key.removeprefix(prefix)
        }
        keys = [key for key in found if not any(key.startswith(folder) for folder in folders)]
        page, more = keys[:1000], len(keys) > 1000
        name = quote if query.get("encoding-type") == "url" else escape
        items = "".join(self._item(key, name(key)) for key in page)
        items += "".join(
            f"<CommonPrefixes><Prefix>{name(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        token = f"<NextContinuationToken>{name(page[-1])}</NextContinuationToken>" if more else ""
        kind = "<EncodingType>url</EncodingType>" if name is quote else ""
        self._send(
            200,
            f"<ListBucketResult><Name>{BUCKET}</Name><KeyCount>{len(page)}</KeyCount>{kind}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>".encode(),
        )

    def _item(self, key: str, shown: str) -> str:
        content, modified = self.store.objects[key]
        tag = self.store.etag(key, listed=True)
        tagged = f"<ETag>{escape(tag)}</ETag>" if tag else ""
        return (
            f"<Contents><Key>{shown}</Key><LastModified>{modified:%Y-%m-%dT%H:%M:%S}.{modified.microsecond // 1000:03d}Z"
            f"</LastModified>{tagged}<Size>{len(content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a message</Message></Error>".encode()
