"""The channels at real receivers: what arrives, what is refused, and that nothing goes to whom it is not for.
What the messages say is tested in alerts/test_messages.py; who is told what, in test_alerting.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.alerts import channels
from scx_pipeline.alerts.address import MailAddress, parse_mail
from scx_pipeline.alerts.channels import Channel, Mail, Slack, Webhook, open_channels
from scx_pipeline.alerts.messages import Message, word
from scx_pipeline.alerts.problem import FoundCheck, Problem
from scx_pipeline.alerts.problems import Limits
from scx_pipeline.errors import AlertError
from scx_pipeline.model.calendar import Month
from scx_pipeline_tests.alerts.conftest import Receivers
from scx_pipeline_tests.support.servers.authority import (
    HOST,
    OTHER_HOST,
    Authority,
    lead_here,
    make_authority,
)
from scx_pipeline_tests.support.servers.ports import free_ports
from scx_pipeline_tests.support.servers.receivers import (
    PASSWORD,
    SLACK_PATH,
    TOKEN,
    USER,
    hook,
    mail_server,
    plain_mail_server,
)

# what the receiver says of TLS from the start, which it does not know of
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"


def message() -> Message:
    problem = Problem(
        "run", ("run:scx:load:2021-03:gate",), "run", 1.6e9, ("scx",), "load", months=frozenset({Month(2021, 3)}),
        checks=(FoundCheck("users", "unique_user_id"),), failure="gate", run_id=RUN,
    )  # fmt: skip
    return word(problem, Limits(), "https://dagster.example.com")


def all_channels(receivers: Receivers) -> list[Channel]:
    given = receivers.settings()
    return open_channels(
        *(given[f"alert_{name}"] for name in ("slack_url", "smtp_url", "webhook_url", "webhook_token"))
    )


def to_mail(port: int, host: str = HOST, tls: bool = False) -> Mail:
    to = MailAddress(host, port, "scx@ours.example", ("data@ours.example",), tls, USER, PASSWORD)
    return Mail(to)


def refusal(channel: Channel) -> str:
    """Why a channel does not take a message; nothing that is secret stands there."""
    with pytest.raises(AlertError) as caught:
        channel.send(message())
    said = str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not any(secret in said for secret in ("pl4nted", PASSWORD, TOKEN, SLACK_PATH, "://"))
    return said


def test_a_message_arrives_at_all_three(receivers: Receivers) -> None:
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
    Webhook(receivers.webhook.url("/alerts")).send(message())
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


def test_a_recipient_that_is_refused_is_told_and_the_others_get_the_mail(receivers: Receivers) -> None:
    receivers.mail.refuses = frozenset({"data@ours.example"})
    assert all_channels(receivers)[1].send(message()) == "1 of 2 recipients were refused"
    assert receivers.mail.recipients == [("ops+scx@ours.example",)]
    receivers.mail.refuses = frozenset({"data@ours.example", "ops+scx@ours.example"})
    assert refusal(all_channels(receivers)[1]) == "the server refused every recipient"


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_an_answer_that_is_none_of_success_is_told_by_its_number(receivers: Receivers, status: int) -> None:
    receivers.slack.status = status
    assert refusal(all_channels(receivers)[0]) == f"it answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_the_token(receivers: Receivers, status: int) -> None:
    with hook() as crossroads:
        crossroads.status, crossroads.location = status, receivers.webhook.url("/elsewhere")
        assert refusal(Webhook(crossroads.url("/alerts"), TOKEN)) == f"it answered {status}"
    assert receivers.webhook.headers == []


def test_where_nobody_listens_is_told_without_where(receivers: Receivers) -> None:
    [port] = free_ports(1)
    assert (
        refusal(Slack(f"http://127.0.0.1:{port}{SLACK_PATH}"))
        == "it could not be reached (ConnectionRefusedError)"
    )
    assert refusal(to_mail(port, "127.0.0.1")) == "it could not be reached (ConnectionRefusedError)"


def test_a_receiver_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.2)
    with hook() as silent:
        silent.hangs = True
        assert refusal(Slack(silent.url(SLACK_PATH))) == "it did not answer within 0.2 s"
        assert refusal(to_mail(silent.port, "127.0.0.1")) == "it did not answer within 0.2 s"


def test_a_login_that_is_refused_is_told_by_its_number(receivers: Receivers) -> None:
    wrong = to_mail(receivers.mail.port, "127.0.0.1")
    assert refusal(Mail(replace(wrong.address, password="wrong"))) == "the server refused (535)"


# Over a network: the names lead to this machine, which the channels cannot know.


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS from the start"])
def test_a_mail_goes_encrypted_to_a_server_whose_certificate_is_trusted(
    authority: Authority, trusted: Path, monkeypatch: pytest.MonkeyPatch, starttls: bool
) -> None:
    lead_here(monkeypatch)
    with mail_server(authority.server, starttls=starttls) as server:
        assert to_mail(server.port, tls=not starttls).send(message()) == ""
        assert server.logins == [(USER, PASSWORD)]
        assert len(server.mails) == 1


@pytest.mark.parametrize("starttls", [True, False], ids=["STARTTLS", "TLS from the start"])
def test_no_login_goes_to_a_server_whose_certificate_is_not_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, starttls: bool
) -> None:
    lead_here(monkeypatch)
    with mail_server(authority.server, starttls=starttls) as server:
        said = refusal(to_mail(server.port, tls=not starttls))
        assert said == "its certificate is not one that this machine trusts for its name"
        assert server.logins == []


def test_no_login_goes_to_a_server_of_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path, OTHER_HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    lead_here(monkeypatch)
    with mail_server(authority.server) as server:
        assert "certificate" in refusal(to_mail(server.port))
        assert server.logins == []


def test_no_login_goes_to_a_server_that_offers_no_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_here(monkeypatch)
    with plain_mail_server() as server:
        assert "offers no STARTTLS" in refusal(to_mail(server.port))
        assert server.logins == []
        to_mail(server.port, "127.0.0.1").send(message())
        assert len(server.mails) == 1, "of this machine's own server none is asked for"


def test_a_hook_is_asked_by_https_and_its_certificate_must_be_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_here(monkeypatch)
    with hook(authority.server) as receiver:
        channel = Webhook(receiver.url("/alerts", HOST), TOKEN)
        assert refusal(channel) == "its certificate is not one that this machine trusts for its name"
        assert receiver.headers == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        channel.send(message())
        assert receiver.headers[0]["Authorization"] == f"Bearer {TOKEN}"


def test_a_channel_shows_no_secret(receivers: Receivers) -> None:
    shown = repr(all_channels(receivers))
    assert not any(secret in shown for secret in ("pl4nted", PASSWORD, TOKEN))
    assert PASSWORD not in repr(parse_mail(receivers.settings()["alert_smtp_url"]))
