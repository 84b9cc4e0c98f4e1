"""The channels that alerts go out by: Slack, e-mail and a webhook. One attempt each; who asks again is the sensor's next tick.
How a message looks in each is in `shapes`; an AlertError says how a channel answered, never its address or its text."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from scx_pipeline.alerts.address import MailAddress, is_loopback, parse_mail
from scx_pipeline.alerts.formats import mail, slack_json, webhook_json
from scx_pipeline.alerts.messages import Message
from scx_pipeline.errors import AlertError

if TYPE_CHECKING:
    import smtplib
    import ssl

TIMEOUT = 5.0  # seconds for each thing that is waited for: a tick has a minute for all of its work
SETTINGS = {
    "slack": "SCX_ALERT_SLACK_URL",
    "e-mail": "SCX_ALERT_SMTP_URL",
    "webhook": "SCX_ALERT_WEBHOOK_URL",
}


class Channel(ABC):
    """Something that takes messages."""

    name: ClassVar[str]

    @abstractmethod
    def send(self, message: Message) -> str:
        """Have the message arrive; what is to be said of it, if anything. Raises AlertError where it did not, or may not have."""


@dataclass(frozen=True)
class Slack(Channel):
    """An incoming webhook of Slack's, or of what speaks its language."""

    name = "slack"
    url: str = field(repr=False)

    def send(self, message: Message) -> str:
        _post(self.url, slack_json(message), {})
        return ""


@dataclass(frozen=True)
class Webhook(Channel):
    """Whatever takes our JSON."""

    name = "webhook"
    url: str = field(repr=False)
    token: str = field(default="", repr=False)

    def send(self, message: Message) -> str:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        _post(self.url, webhook_json(message), headers)
        return ""


@dataclass(frozen=True)
class Mail(Channel):
    """A mail server. What goes over a network is encrypted, to a server whose certificate names it."""

    name = "e-mail"
    address: MailAddress = field(repr=False)

    def send(self, message: Message) -> str:
        import smtplib

        try:
            server = self._connected()
            try:
                if self.address.user:
                    server.login(self.address.user, self.address.password)
                refused = server.send_message(mail(message, self.address))
            finally:
                # A server that takes a mail and then says no goodbye has taken it.
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
                server.close()
        except smtplib.SMTPResponseException as error:  # its text is the server's, which may name anything
            raise AlertError(f"the server refused ({error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused:
            raise AlertError("the server refused every recipient") from None
        except (smtplib.SMTPException, OSError) as error:
            raise _unreached(error) from None
        # To send it again would tell the others twice.
        return f"{len(refused)} of {len(self.address.recipients)} recipients were refused" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        import smtplib

        to = self.address
        if to.tls:
            return smtplib.SMTP_SSL(to.host, to.port, timeout=TIMEOUT, context=_tls(to.host))
        server = smtplib.SMTP(to.host, to.port, timeout=TIMEOUT)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=_tls(to.host))
                server.ehlo()
            elif not is_loopback(to.host):
                raise AlertError("the server offers no STARTTLS, so nothing was sent, the login least of all")
        except BaseException:
            server.close()
            raise
        return server


def open_channels(slack: str, smtp: str, webhook: str, token: str) -> list[Channel]:
    """The channels that have an address; nothing is connected yet."""
    channels: list[Channel] = []
    if slack:
        channels.append(Slack(slack))
    if smtp:
        channels.append(Mail(parse_mail(smtp)))
    if webhook:
        channels.append(Webhook(webhook, token))
    return channels


def _post(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    from urllib.error import HTTPError
    from urllib.request import Request

    content = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "scx_pipeline"}
    request = Request(url, json.dumps(body).encode(), {**content, **headers}, method="POST")
    try:
        with _opener(urlsplit(url)).open(request, timeout=TIMEOUT):
            return
    except HTTPError as error:
        error.close()
        raise AlertError(f"it answered {error.code}") from None
    except (OSError, HTTPException) as error:
        raise _unreached(error) from None


def _opener(url: SplitResult) -> Any:
    """What opens URLs. It follows no redirect, which would take the message and its token to where nobody sent them."""
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *args: Any, **options: Any) -> None:
            return None

    host = url.hostname or ""
    handlers: list[Any] = [Stay()]
    if url.scheme == "https":
        handlers.append(HTTPSHandler(context=_tls(host)))
    if is_loopback(host):  # which no proxy reaches
        handlers.append(ProxyHandler({}))
    return build_opener(*handlers)


def _tls(host: str) -> ssl.SSLContext:
    """Certificates are vouched for by the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR name others) and certifi's.

    Of this machine's own servers, none is asked for: nobody is between, and what Debian gives its mail server names no one.
    """
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if is_loopback(host):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _unreached(error: Exception) -> AlertError:
    """What is told of an error that is no answer: its class, since its text may hold an address."""
    import ssl
    from urllib.error import URLError

    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(error.__context__, TimeoutError):  # smtplib calls it a disconnection
        cause = error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return AlertError("its certificate is not one that this machine trusts for its name")
    if isinstance(cause, TimeoutError):
        return AlertError(f"it did not answer within {TIMEOUT:g} s")
    return AlertError(f"it could not be reached ({type(cause).__name__})")
