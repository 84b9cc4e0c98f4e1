"""The alert settings: which addresses are valid, and that an invalid one is named but never shown.

Nothing is connected here.
"""

from __future__ import annotations

import pytest

from scx_pipeline.alerts.address import MailAddress, is_loopback, parse_mail
from scx_pipeline.errors import SettingsError
from scx_pipeline.settings import read_settings

TO = "from=scx@ours.example&to=data@ours.example"
GOOD = {
    "SCX_ALERT_SLACK_URL": [
        "https://hooks.slack.com/services/T000/B000/XXXX",
        "http://127.0.0.1:8080/hook",
        "http://localhost/hook",
        "http://[::1]:80/",
    ],
    "SCX_ALERT_WEBHOOK_URL": ["https://alerts.example.com/scx?key=1"],
    "SCX_ALERT_WEBHOOK_TOKEN": ["a.b-c_d~e+f/g=="],
    "SCX_ALERT_SMTP_URL": [f"smtp://mail.example.com?{TO}", f"smtps://u:p%40w@mail.example.com:465?{TO},b@c.example"],
    "SCX_UI_URL": ["https://dagster.example.com", "http://10.0.0.1:3000/dagster/"],
    "SCX_ALERT_OVERDUE_HOURS": ["0.5", "48"],
    "SCX_ALERT_REJECTED": ["0", "1"],
}  # fmt: skip
BAD = {
    "SCX_ALERT_SLACK_URL": [
        "hooks.slack.com/pl4nted",
        "http://hooks.slack.com/pl4nted",
        "ftp://hooks.slack.com/pl4nted",
        "https://user:pl4nted@hooks.slack.com/",
        "https://:443/pl4nted",
        "https://host:pl4nted/",
        "https://host/pl4nted with space",
        "http://127.0.0.1.pl4nted.example/",
    ],
    "SCX_ALERT_WEBHOOK_URL": ["http://alerts.example.com/pl4nted"],
    "SCX_ALERT_WEBHOOK_TOKEN": ["pl4nted token", "pl4nted\ntoken", "pl4ntedü"],
    "SCX_ALERT_SMTP_URL": [
        "smtp://user:pl4nted@mail.example.com",
        "smtp://user:pl4nted@mail.example.com?from=scx@ours.example",
        "smtp://user:pl4nted@mail.example.com?from=pl4nted&to=data@ours.example",
        f"smtp://user:pl4nted@mail.example.com?{TO}&cc=pl4nted@ours.example",
        f"smtp://user:pl4@nted@mail.example.com?{TO}",
        f"smtp://user:pl4/nted@mail.example.com?{TO}",
        f"smtp://user:12?pl4nted@mail.example.com?{TO}",
        f"smtp://user:12#pl4nted@mail.example.com?{TO}",
        f"smtp://pl4nted@mail.example.com?{TO}",
        f"https://user:pl4nted@mail.example.com?{TO}",
        f"smtp://user:pl4nted@mail.example.com?{TO}%0ABcc:%20x@y.example",
    ],
    "SCX_UI_URL": ["dagster", "https://user:pl4nted@dagster.example.com", "https://dagster.example.com?token=pl4nted"],
    "SCX_ALERT_OVERDUE_HOURS": ["0", "-1", "soon"],
    "SCX_ALERT_REJECTED": ["-0.1", "1.5", "1%"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in GOOD.items() for value in values]
)
def test_a_valid_setting_is_accepted(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    shown = repr(read_settings())
    assert "URL" not in name or name == "SCX_UI_URL" or value not in shown
    assert "TOKEN" not in name or value not in shown


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_malformed_setting_is_named_with_an_example_and_never_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert "such as" in text
    assert "pl4nted" not in text
    assert "nted" not in text
    assert "\n" not in text


def test_a_mail_server_url_has_host_login_sender_and_recipients() -> None:
    url = "smtps://scx%40ours:p%3A%2F%40@mail.example.com?from=scx+alerts@ours.example&to=a@b.example,%20c@d.example"
    assert parse_mail(url) == MailAddress(
        "mail.example.com", 465, "scx+alerts@ours.example", ("a@b.example", "c@d.example"), True, "scx@ours", "p:/@"
    )  # fmt: skip
    assert parse_mail(f"smtp://mail.example.com?{TO}").port == 587


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_is_loopback_recognizes_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
