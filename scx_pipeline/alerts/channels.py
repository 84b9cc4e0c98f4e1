"""The channels that alerts are sent to: Slack, e-mail and a webhook. A failed attempt is repeated by the sensor's next tick.

An AlertError contains how a channel responded, but never the channel's address or the text of the response.
"""

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
from scx_pipeline.alerts.formats import mail_message, slack_json, webhook_json
from scx_pipeline.alerts.messages import Message
from scx_pipeline.errors import AlertError

if TYPE_CHECKING:
    import smtplib
    import ssl

TIMEOUT_SECONDS = 5.0  # for each network operation: a tick has a minute for all of its work
CHANNEL_SETTINGS = {
    "slack": "SCX_ALERT_SLACK_URL",
    "e-mail": "SCX_ALERT_SMTP_URL",
    "webhook": "SCX_ALERT_WEBHOOK_URL",
}


class Channel(ABC):
    """A destination of messages."""

    name: ClassVar[str]

    @abstractmethod
    def send(self, message: Message) -> str:
        """Deliver a message, and return a remark or an empty text. Raises AlertError if it was not, or may not have been, delivered."""


@dataclass(frozen=True)
class SlackChannel(Channel):
    """An incoming webhook of Slack or of a compatible service."""

    name = "slack"
    url: str = field(repr=False)

    def send(self, message: Message) -> str:
        _post(self.url, slack_json(message), {})
        return ""


@dataclass(frozen=True)
class WebhookChannel(Channel):
    """A webhook that accepts this project's JSON."""

    name = "webhook"
    url: str = field(repr=False)
    token: str = field(default="", repr=False)

    def send(self, message: Message) -> str:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        _post(self.url, webhook_json(message), headers)
        return ""


@dataclass(frozen=True)
class MailChannel(Channel):
    """A mail server. Traffic over a network is encrypted, and the server's certificate is verified."""

    name = "e-mail"
    address: MailAddress = field(repr=False)

    def send(self, message: Message) -> str:
        import smtplib

        try:
            server = self._connected()
            try:
                if self.address.user:
                    server.login(self.address.user, self.address.password)
                refused = server.send_message(mail_message(message, self.address))
            finally:
                # The mail is accepted even if the server does not answer QUIT.
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
                server.close()
        except (
            smtplib.SMTPResponseException
        ) as error:  # its text comes from the server and may contain anything
            raise AlertError(f"the server refused ({error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused:
            raise AlertError("the server refused every recipient") from None
        except (smtplib.SMTPException, OSError) as error:
            raise _connection_error(error) from None
        # Sending it again would reach the other recipients twice.
        return f"{len(refused)} of {len(self.address.recipients)} recipients were refused" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        import smtplib

        to = self.address
        if to.tls:
            return smtplib.SMTP_SSL(to.host, to.port, timeout=TIMEOUT_SECONDS, context=_tls(to.host))
        server = smtplib.SMTP(to.host, to.port, timeout=TIMEOUT_SECONDS)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=_tls(to.host))
                server.ehlo()
            elif not is_loopback(to.host):
                raise AlertError("the server does not offer STARTTLS; credentials were not sent")
        except BaseException:
            server.close()
            raise
        return server


def open_channels(slack: str, smtp: str, webhook: str, token: str) -> list[Channel]:
    """Return the channels whose URL is not empty; nothing is connected yet."""
    channels: list[Channel] = []
    if slack:
        channels.append(SlackChannel(slack))
    if smtp:
        channels.append(MailChannel(parse_mail(smtp)))
    if webhook:
        channels.append(WebhookChannel(webhook, token))
    return channels


def _post(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    from urllib.error import HTTPError
    from urllib.request import Request

    content = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "scx_pipeline"}
    request = Request(url, json.dumps(body).encode(), {**content, **headers}, method="POST")
    try:
        with _opener(urlsplit(url)).open(request, timeout=TIMEOUT_SECONDS):
            return
    except HTTPError as error:
        error.close()
        raise AlertError(f"it answered {error.code}") from None
    except (OSError, HTTPException) as error:
        raise _connection_error(error) from None


def _opener(url: SplitResult) -> Any:
    """Return a URL opener that follows no redirects: they would send the message and its token to another address."""
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, build_opener

    class NoRedirect(HTTPRedirectHandler):
        def redirect_request(self, *args: Any, **options: Any) -> None:
            return None

    host = url.hostname or ""
    handlers: list[Any] = [NoRedirect()]
    if url.scheme == "https":
        handlers.append(HTTPSHandler(context=_tls(host)))
    if is_loopback(host):  # no proxy reaches it
        handlers.append(ProxyHandler({}))
    return build_opener(*handlers)


def _tls(host: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR override them) and certifi's.

    Certificates of servers on this machine are not verified: traffic to them passes no network, and Debian's mail server has a
    self-signed one.
    """
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if is_loopback(host):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connection_error(error: Exception) -> AlertError:
    """Translate a connection error; its text is left out, since it may contain an address."""
    import ssl
    from urllib.error import URLError

    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(error.__context__, TimeoutError):  # smtplib reports a disconnection
        cause = error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return AlertError("its certificate is not trusted, or was issued for another host name")
    if isinstance(cause, TimeoutError):
        return AlertError(f"it did not answer within {TIMEOUT_SECONDS:g} s")
    return AlertError(f"it could not be reached ({type(cause).__name__})")
