"""Fixtures of the alert tests: receivers of all channels, emptied before each test.

The receivers are implemented in support.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from scx_pipeline_tests.orchestration.conftest import empty_home, instance
from scx_pipeline_tests.support.servers.authority import Authority, make_authority
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from scx_pipeline_tests.support.servers.receivers import (
    PASSWORD,
    SLACK_PATH,
    TOKEN,
    USER,
    Hook,
    MailServer,
    hook,
    mail_server,
)

__all__ = ["empty_home", "instance"]  # fixtures of another folder


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


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def listening(authority: Authority) -> Iterator[Receivers]:
    with ExitStack() as stack:
        slack, webhook = stack.enter_context(hook()), stack.enter_context(hook())
        yield Receivers(slack, stack.enter_context(mail_server(authority.server)), webhook)


@pytest.fixture
def receivers(listening: Receivers) -> Receivers:
    """Empty receivers that accept everything."""
    for receiver in (listening.slack, listening.webhook):
        receiver.bodies.clear()
        receiver.headers.clear()
        receiver.status = 200
    for items in (listening.mail.mails, listening.mail.recipients, listening.mail.logins):
        items.clear()
    listening.mail.refuses = frozenset()
    return listening


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trust the tests' certificate authority on this machine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return authority.certificate
