"""Fixtures of the alert tests: receivers of all channels, emptied before each test, and loads with the alert sensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from scx_pipeline_tests.alerts.channel_recorder import ChannelRecorder
from scx_pipeline_tests.support.leaks import leaks
from scx_pipeline_tests.support.orchestration.alert_env import (
    SECRETS,
    AlertEnv,
    AlertEnvFactory,
    create_alert_env,
)
from scx_pipeline_tests.support.servers.authority import Authority, make_authority
from scx_pipeline_tests.support.servers.receivers import Receivers, hook, mail_server


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


@pytest.fixture
def channel() -> ChannelRecorder:
    """A channel that was sent nothing yet."""
    return ChannelRecorder()


@pytest.fixture
def alert_env_of(
    tmp_path: Path, instance: dg.DagsterInstance, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AlertEnvFactory]:
    """Yield a factory of the environment; afterwards, no alert may contain a planted secret or person."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPL4NTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b4cket-pl4nted")
    yield lambda **given: create_alert_env(tmp_path, instance, receivers, **given)
    assert leaks(SECRETS, receivers.texts()) == []


@pytest.fixture
def alert_env(alert_env_of: AlertEnvFactory) -> AlertEnv:
    """The environment with the default settings."""
    return alert_env_of()
