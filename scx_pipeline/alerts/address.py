"""The addresses in the alert settings: URLs of webhooks, of a mail server, and of the UI for links.

Nothing is connected here. Error messages never contain an address, since it may hold secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_MAILBOX = re.compile(r"[^\s@,<>\"]+@[^\s@,<>\"]+")
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class MailAddress:
    """A mail server, the login, the sender and the recipients."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    tls: bool = False  # from the start; otherwise by STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)


def check_hook(url: str) -> str:
    """Return the URL of a webhook, which is itself a secret. Raises ValueError with the requirement that it does not meet."""
    if url:
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it must be an https:// URL")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("it must begin with https:// (http:// is accepted for this machine only)")
        if "@" in parts.netloc:
            raise ValueError("it must not contain a user or a password before the host")
    return url


def check_ui(url: str) -> str:
    """Return the UI's base URL without a trailing slash. Raises ValueError with the requirement that it does not meet."""
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it must be an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError("it is shown in alerts, so it must not contain a user or a password")
    return url.rstrip("/")


def check_token(token: str) -> str:
    """Return the token of a webhook. Raises ValueError if an HTTP header cannot carry it."""
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise ValueError("it must consist of ASCII letters, digits and punctuation, without spaces")
    return token


def check_mail(url: str) -> str:
    """Return the URL of a mail server. Raises ValueError with the requirement that it does not meet."""
    if url:
        parse_mail(url)
    return url


def parse_mail(url: str) -> MailAddress:
    """Parse the URL of a mail server. Raises ValueError with the requirement that it does not meet."""
    parts = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("it must be smtp://, or smtps:// for TLS from the start")
    options = parse_qs(parts.query.replace("+", "%2B"))  # addresses may contain a plus
    senders, recipients = _mailboxes(options.pop("from", [])), _mailboxes(options.pop("to", []))
    if options or len(senders) != 1 or not recipients:
        raise ValueError(
            "it must have from= with one address, and to= with one or more addresses, separated by commas"
        )
    if bool(parts.username) != bool(parts.password):
        raise ValueError("it must have both a user and a password, or neither")
    return MailAddress(
        parts.hostname, parts.port or _PORTS[parts.scheme], senders[0], recipients,
        parts.scheme == "smtps", unquote(parts.username or ""), unquote(parts.password or ""),
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that traffic to it passes no network."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _mailboxes(values: list[str]) -> tuple[str, ...]:
    """Return the addresses; none if one of them is invalid."""
    found = tuple(item.strip() for value in values for item in value.split(","))
    return found if all(_MAILBOX.fullmatch(item) for item in found) else ()


def _split(url: str) -> SplitResult:
    """Split a URL, and check that its port is a number."""
    # urlsplit would drop line breaks, and could take part of a password for the host
    if re.search(r"[\s\x00-\x1f\x7f\\]", url) or url.count("@") > url.partition("?")[2].count("@") + 1:
        raise ValueError("it must be a URL, with %40 for an @ in a password and no spaces")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message would show the URL
        raise ValueError("it must be a URL, with a number as its port") from None
    return parts
