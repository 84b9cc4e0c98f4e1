"""The receivers that the tests of this folder send to, emptied before each test.
How they work is in receivers.py; the desk that loads are made at is in support/dagster_env.py."""

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

__all__ = ["empty_home", "instance"]  # the fixtures of another folder that are used here


@dataclass(frozen=True)
class Receivers:
    """One of each kind."""

    slack: Hook
    mail: MailServer
    webhook: Hook

    def settings(self) -> dict[str, str]:
        """The settings that lead to them."""
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        to = "from=scx@ours.example&to=data@ours.example,ops+scx@ours.example"
        return {
            "alert_slack_url": self.slack.url(SLACK_PATH),
            "alert_smtp_url": f"smtp://{login}@{LOOPBACK}:{self.mail.port}?{to}",
            "alert_webhook_url": self.webhook.url("/alerts?secret=h00k-pl4nted"),
            "alert_webhook_token": TOKEN,
        }

    def texts(self) -> list[tuple[str, str]]:
        """All that came, as it came and as it is read."""
        found = [("slack", body.decode()) for body in self.slack.bodies]
        found += [("webhook", body.decode()) for body in self.webhook.bodies]
        found += [("mail, as it came", mail.decode()) for mail in self.mail.mails]
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
    """Receivers that have received nothing yet, and answer well."""
    for receiver in (listening.slack, listening.webhook):
        receiver.bodies.clear()
        receiver.headers.clear()
        receiver.status = 200
    for kept in (listening.mail.mails, listening.mail.recipients, listening.mail.logins):
        kept.clear()
    listening.mail.refuses = frozenset()
    return listening


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine trusts the authority of the tests."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    return authority.certificate
