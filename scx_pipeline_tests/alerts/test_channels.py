"""The channels with real receivers: deliveries, refusals, and that nothing is sent to the wrong receiver.

The text of messages is not tested here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.alerts import channels
from scx_pipeline.alerts.address import MailAddress, parse_mail
from scx_pipeline.alerts.channels import Channel, MailChannel, SlackChannel, WebhookChannel, open_channels
from scx_pipeline.alerts.messages import Message, compose_message
from scx_pipeline.alerts.problem import CheckReference, Problem
from scx_pipeline.alerts.problems import AlertThresholds
from scx_pipeline.errors import AlertError, CheckFailedError
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.support.servers.authority import (
    HOST,
    OTHER_HOST,
    Authority,
    make_authority,
    resolve_to_loopback,
)
from scx_pipeline_tests.support.servers.ports import free_ports
from scx_pipeline_tests.support.servers.receivers import (
    PASSWORD,
    SLACK_PATH,
    TOKEN,
    USER,
    Receivers,
    hook,
    mail_server,
    plain_mail_server,
)

CHECK_FAILED = CheckFailedError.kind
# aiosmtpd warns of this although TLS is used from the start, which it does not detect
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"


def message() -> Message:
    problem = Problem(
        "run", (f"run:scx:load:2021-03:{CHECK_FAILED}",), "run", 1.6e9, ("scx",), "load", months=frozenset({Month(2021, 3)}),
        checks=(CheckReference("users", "unique_user_id"),), failure=CHECK_FAILED, run_id=RUN,
    )  # fmt: skip
    return compose_message(problem, AlertThresholds(), "https://dagster.example.com")


def all_channels(receivers: Receivers) -> list[Channel]:
    given = receivers.settings()
    return open_channels(
        *(given[f"alert_{name}"] for name in ("slack_url", "smtp_url", "webhook_url", "webhook_token"))
    )


def to_mail(port: int, host: str = HOST, tls: bool = False) -> MailChannel:
    to = MailAddress(host, port, "scx@ours.example", ("data@ours.example",), tls, USER, PASSWORD)
    return MailChannel(to)


def refusal(channel: Channel) -> str:
    """Return the error of a delivery that must fail, which must contain no secret."""
    with pytest.raises(AlertError) as caught:
        channel.send(message())
    text = str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not any(secret in text for secret in ("pl4nted", PASSWORD, TOKEN, SLACK_PATH, "://"))
    return text


def test_a_message_is_delivered_to_all_three_channels(receivers: Receivers) -> None:
    assert [channel.send(message()) for channel in all_channels(receivers)] == ["", "", ""]
    [slack], [mail], [body] = (
        receivers.slack.received(),
        receivers.mail.received(),
        receivers.webhook.received(),
    )
    assert slack["text"] == "[scx] scx 2021-03: load failed"
    assert mail["Subject"] == "[scx] scx 2021-03: load failed"
    assert body["title"] == "scx 2021-03: load failed"
    link = f"https://dagster.example.com/runs/{RUN}"
    assert f"<{link}|Run>" in slack["blocks"][2]["elements"][0]["text"]
    assert f"Run: {link}" in mail.get_content()
    assert body["links"] == [{"name": "Run", "url": link}]


def test_a_webhook_is_sent_the_token_and_slack_is_not(receivers: Receivers) -> None:
    for channel in all_channels(receivers):
        channel.send(message())
    assert receivers.webhook.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert "Authorization" not in receivers.slack.headers[0]
    WebhookChannel(receivers.webhook.url("/alerts")).send(message())
    assert "Authorization" not in receivers.webhook.headers[1]


def test_a_mail_goes_to_all_recipients_after_a_login(receivers: Receivers) -> None:
    all_channels(receivers)[1].send(message())
    assert receivers.mail.recipients == [("data@ours.example", "ops+scx@ours.example")]
    assert receivers.mail.logins == [(USER, PASSWORD)]
    assert receivers.mail.received()[0]["From"] == "scx@ours.example"


def test_a_mail_that_is_sent_twice_has_the_same_id(receivers: Receivers) -> None:
    channel = all_channels(receivers)[1]
    channel.send(message())
    channel.send(message())
    channel.send(replace(message(), problem=replace(message().problem, at=1.7e9)))
    first, again, another = (mail["Message-ID"] for mail in receivers.mail.received())
    assert first == again
    assert first != another


def test_a_refused_recipient_is_reported_and_the_others_get_the_mail(receivers: Receivers) -> None:
    receivers.mail.refuses = frozenset({"data@ours.example"})
    assert all_channels(receivers)[1].send(message()) == "1 of 2 recipients were refused"
    assert receivers.mail.recipients == [("ops+scx@ours.example",)]
    receivers.mail.refuses = frozenset({"data@ours.example", "ops+scx@ours.example"})
    assert refusal(all_channels(receivers)[1]) == "the server refused every recipient"


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_an_unsuccessful_response_is_reported_by_its_status(receivers: Receivers, status: int) -> None:
    receivers.slack.status = status
    assert refusal(all_channels(receivers)[0]) == f"it answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_the_token(receivers: Receivers, status: int) -> None:
    with hook() as redirecting:
        redirecting.status, redirecting.location = status, receivers.webhook.url("/elsewhere")
        assert refusal(WebhookChannel(redirecting.url("/alerts"), TOKEN)) == f"it answered {status}"
    assert receivers.webhook.headers == []


def test_a_refused_connection_is_reported_without_its_address(receivers: Receivers) -> None:
    [port] = free_ports(1)
    assert (
        refusal(SlackChannel(f"http://127.0.0.1:{port}{SLACK_PATH}"))
        == "it could not be reached (ConnectionRefusedError)"
    )
    assert refusal(to_mail(port, "127.0.0.1")) == "it could not be reached (ConnectionRefusedError)"


def test_a_receiver_that_does_not_respond_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.2)
    with hook() as silent:
        silent.hangs = True
        assert refusal(SlackChannel(silent.url(SLACK_PATH))) == "it did not answer within 0.2 s"
        assert refusal(to_mail(silent.port, "127.0.0.1")) == "it did not answer within 0.2 s"


def test_a_refused_login_is_reported_by_its_status(receivers: Receivers) -> None:
    wrong = to_mail(receivers.mail.port, "127.0.0.1")
    assert refusal(MailChannel(replace(wrong.address, password="wrong"))) == "the server refused (535)"


# Over a network: the host names resolve to this machine, which the channels cannot know.


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS from the start"])
def test_a_mail_is_sent_encrypted_to_a_server_with_a_trusted_certificate(
    authority: Authority, trusted: Path, monkeypatch: pytest.MonkeyPatch, starttls: bool
) -> None:
    resolve_to_loopback(monkeypatch)
    with mail_server(authority.server, starttls=starttls) as server:
        assert to_mail(server.port, tls=not starttls).send(message()) == ""
        assert server.logins == [(USER, PASSWORD)]
        assert len(server.mails) == 1


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS from the start"])
def test_no_login_is_sent_to_a_server_with_an_untrusted_certificate(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, starttls: bool
) -> None:
    resolve_to_loopback(monkeypatch)
    with mail_server(authority.server, starttls=starttls) as server:
        text = refusal(to_mail(server.port, tls=not starttls))
        assert text == "its certificate is not trusted, or was issued for another host name"
        assert server.logins == []


def test_no_login_is_sent_to_a_server_with_another_host_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path, OTHER_HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    resolve_to_loopback(monkeypatch)
    with mail_server(authority.server) as server:
        assert "certificate" in refusal(to_mail(server.port))
        assert server.logins == []


def test_no_login_is_sent_to_a_server_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to_loopback(monkeypatch)
    with plain_mail_server() as server:
        assert "does not offer STARTTLS" in refusal(to_mail(server.port))
        assert server.logins == []
        to_mail(server.port, "127.0.0.1").send(message())
        assert len(server.mails) == 1, "a server on this machine needs no encryption"


def test_a_webhook_must_have_a_trusted_certificate(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to_loopback(monkeypatch)
    with hook(authority.server) as receiver:
        channel = WebhookChannel(receiver.url("/alerts", HOST), TOKEN)
        assert refusal(channel) == "its certificate is not trusted, or was issued for another host name"
        assert receiver.headers == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        channel.send(message())
        assert receiver.headers[0]["Authorization"] == f"Bearer {TOKEN}"


def test_a_channel_shows_no_secret(receivers: Receivers) -> None:
    shown = repr(all_channels(receivers))
    assert not any(secret in shown for secret in ("pl4nted", PASSWORD, TOKEN))
    assert PASSWORD not in repr(parse_mail(receivers.settings()["alert_smtp_url"]))
