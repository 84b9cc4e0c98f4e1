"""Receivers on this machine for each kind of channel: a webhook as strict as Slack's, a webhook, a mail server with login.

Nothing of the project is used here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any
from urllib.parse import quote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports

SLACK_PATH = "/services/T0PLANTED/B0PLANTED/sl4ck-pl4nted"
TOKEN = "t0ken-pl4nted"
USER, PASSWORD = "scx", "m4il/pl4nted:@%"
LIMITS = {"header": 150, "section": 3000, "context": 3000}


@dataclass
class Hook:
    """An HTTP receiver: the requests that it got, and how it responds."""

    server: ThreadingHTTPServer
    scheme: str = "http"
    status: int = 200
    location: str = ""  # of a redirect
    hangs: bool = False  # never responds
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str, host: str = LOOPBACK) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def received(self) -> list[dict[str, Any]]:
        """Return the received JSON."""
        return [json.loads(body) for body in self.bodies]

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """Return the status and the text of the response."""
        if path == SLACK_PATH and (wrong := refused_by_slack(json.loads(body))):
            return 400, f"invalid_payload: {wrong}"
        return self.status, "ok"


def refused_by_slack(payload: dict[str, Any]) -> str:
    """Return the error that Slack would report for a payload, or an empty text."""
    if not isinstance(payload.get("text"), str) or not payload["text"] or set(payload) - {"text", "blocks"}:
        return "no text"
    texts = [payload["text"]]
    for block in payload["blocks"]:
        parts = block["elements"] if block["type"] == "context" else [block["text"]]
        kind = "plain_text" if block["type"] == "header" else "mrkdwn"
        if len(parts) > 10 or any(part["type"] != kind for part in parts):
            return f"a {block['type']} of other parts"
        if any(not part["text"] or len(part["text"]) > LIMITS[block["type"]] for part in parts):
            return f"a {block['type']} that is empty or too long"
        texts += [part["text"] for part in parts if kind == "mrkdwn"]
    marks = [re.sub(r"<https?://[^|<>\s]+\|[^<>]+>|&(amp|lt|gt);", "", text) for text in texts]
    return "" if not any(re.search("[&<>]", text) for text in marks) else "signs that are not escaped"


class _Handler(BaseHTTPRequestHandler):
    hook: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.hook.hangs:
            self.hook.released.wait(30)
            return
        status, text = self.hook.answer(self.path, body)
        if status == 200:
            self.hook.bodies.append(body)
            self.hook.headers.append(dict(self.headers))
        self.send_response(status)
        if self.hook.location:
            self.send_header("Location", self.hook.location)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection because they do not trust the certificate."""


@contextmanager
def hook(tls: SSLContext | None = None) -> Iterator[Hook]:
    """Run a receiver."""
    handler = type("Handler", (_Handler,), {})
    server = _Server((LOOPBACK, 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    found = handler.hook = Hook(server, "https" if tls else "http")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        found.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailServer:
    """A mail server: received mails, logins, and the recipients that it refuses."""

    port: int
    mails: list[bytes] = field(default_factory=list)
    recipients: list[Sequence[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuses: frozenset[str] = frozenset()
    password: str = PASSWORD

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, options: Any) -> str:  # noqa: N802
        if to in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope.content)
        self.recipients.append(tuple(envelope.rcpt_tos))
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == (USER, self.password), handled=False)

    def received(self) -> list[EmailMessage]:
        """Return the received mails, parsed."""
        found = [message_from_bytes(mail, policy=policy.default) for mail in self.mails]
        return [mail for mail in found if isinstance(mail, EmailMessage)]


@contextmanager
def mail_server(tls: SSLContext, *, starttls: bool = True) -> Iterator[MailServer]:
    """Run a mail server that requires a login, after STARTTLS or with TLS from the start."""
    server = MailServer(free_ports(1)[0])
    controller = Controller(
        server, LOOPBACK, server.port,
        ssl_context=None if starttls else tls, tls_context=tls if starttls else None, require_starttls=starttls,
        authenticator=server.authenticate, auth_required=True,
        auth_require_tls=starttls,  # aiosmtpd does not detect TLS from the start
    )  # fmt: skip
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@contextmanager
def plain_mail_server() -> Iterator[MailServer]:
    """Run a mail server without encryption that would accept a login."""
    server = MailServer(free_ports(1)[0])
    controller = Controller(
        server, LOOPBACK, server.port, authenticator=server.authenticate, auth_require_tls=False
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@dataclass(frozen=True)
class Receivers:
    """One receiver of each channel."""

    slack: Hook
    mail: MailServer
    webhook: Hook

    def settings(self) -> dict[str, str]:
        """Return the settings that send alerts to them."""
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        to = "from=scx@ours.example&to=data@ours.example,ops+scx@ours.example"
        return {
            "alert_slack_url": self.slack.url(SLACK_PATH),
            "alert_smtp_url": f"smtp://{login}@{LOOPBACK}:{self.mail.port}?{to}",
            "alert_webhook_url": self.webhook.url("/alerts?secret=h00k-pl4nted"),
            "alert_webhook_token": TOKEN,
        }

    def texts(self) -> list[tuple[str, str]]:
        """Return everything received, raw and decoded."""
        found = [("slack", body.decode()) for body in self.slack.bodies]
        found += [("webhook", body.decode()) for body in self.webhook.bodies]
        found += [("raw mail", mail.decode()) for mail in self.mail.mails]
        found += [("mail", f"{mail.items()} {mail.get_content()}") for mail in self.mail.received()]
        return found
