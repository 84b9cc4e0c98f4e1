"""Where alerts go, as settings write it: the URL of a hook, of a mail server, of the UI that links lead to.
Nothing is connected here; what is wrong with an address is said without the address, which holds secrets; the settings have examples."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_MAILBOX = re.compile(r"[^\s@,<>\"]+@[^\s@,<>\"]+")
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class MailAddress:
    """A mail server, whom it knows us as, and whom mails are from and to."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    tls: bool = False  # from the first byte on; otherwise by STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)


def check_hook(url: str) -> str:
    """The URL of a hook. A ValueError says what it must be like: nobody on the way may read it, for it is a secret itself."""
    if url:
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it must be an https:// URL")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("it must begin with https://, http:// leads to this machine alone")
        if "@" in parts.netloc:
            raise ValueError("it must have no user and no password before its host")
    return url


def check_ui(url: str) -> str:
    """The base of the UI's links, without a slash at its end. A ValueError says what it must be like."""
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it must be an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError("it is shown in alerts, so it must have no user and no password")
    return url.rstrip("/")


def check_token(token: str) -> str:
    """The token of a webhook. A ValueError says what it must be like: a header takes no more than that."""
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise ValueError("it must be of ASCII letters, digits and signs, without spaces")
    return token


def check_mail(url: str) -> str:
    """The URL of a mail server. A ValueError says what it must be like."""
    if url:
        parse_mail(url)
    return url


def parse_mail(url: str) -> MailAddress:
    """What the URL of a mail server says. A ValueError says what it must be like."""
    parts = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("it must be smtp://, or smtps:// for TLS from the start")
    asked = parse_qs(parts.query.replace("+", "%2B"))  # a plus belongs to many an address
    senders, recipients = _mailboxes(asked.pop("from", [])), _mailboxes(asked.pop("to", []))
    if asked or len(senders) != 1 or not recipients:
        raise ValueError("it must say from=, one address, and to=, one or more with commas between")
    if bool(parts.username) != bool(parts.password):
        raise ValueError("it must have both a user and a password, or neither")
    return MailAddress(
        parts.hostname, parts.port or _PORTS[parts.scheme], senders[0], recipients,
        parts.scheme == "smtps", unquote(parts.username or ""), unquote(parts.password or ""),
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that what is sent there passes no network."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _mailboxes(values: list[str]) -> tuple[str, ...]:
    """The addresses; one that is none makes the whole none."""
    found = tuple(item.strip() for value in values for item in value.split(","))
    return found if all(_MAILBOX.fullmatch(item) for item in found) else ()


def _split(url: str) -> SplitResult:
    """The parts of a URL, of which the port is known to be one."""
    # urlsplit would leave out line breaks, and take for a host what was meant for a password
    if re.search(r"[\s\x00-\x1f\x7f\\]", url) or url.count("@") > url.partition("?")[2].count("@") + 1:
        raise ValueError("it must be a URL, with %40 for an @ in a password and no spaces")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose text would show the URL
        raise ValueError("it must be a URL, with a number as its port") from None
    return parts
