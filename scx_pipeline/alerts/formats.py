"""A message in the shape that its channel wants: Slack's blocks, a mail, and the webhook's own JSON.
Pure; `channels` sends them, and docs/alerts.md documents the JSON."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from scx_pipeline.alerts.address import MailAddress
from scx_pipeline.alerts.facts import months_text
from scx_pipeline.alerts.messages import Message

VERSION = 1  # of the webhook's JSON; a field may be added without a new one
_HEADER, _SECTION, _SUBJECT = 150, 3000, 200  # characters that Slack takes, and that a subject should have


def slack_json(message: Message) -> dict[str, Any]:
    """What Slack's incoming webhooks take: a text for notifications, and blocks to be read."""
    links = [f"<{_escape(url)}|{_escape(name)}>" for name, url in message.links]
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(message.title, _HEADER)}},
        {"type": "section", "text": _markdown("\n".join(map(_escape, message.lines)))},
        {"type": "context", "elements": [_markdown(" · ".join([*links, _escape(message.advice)]))]},
    ]
    return {"text": _cut(_escape(f"[scx] {message.title}"), _SECTION), "blocks": blocks}


def _markdown(text: str) -> dict[str, Any]:
    # verbatim: Slack makes neither links nor mentions of what merely looks like one
    return {"type": "mrkdwn", "text": _cut(text, _SECTION), "verbatim": True}


def _escape(text: str) -> str:
    """The three characters by which Slack tells its own marks."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail(message: Message, address: MailAddress) -> EmailMessage:
    """The mail of a message; sent twice, it has the same id, by which a mailbox may know it again."""
    told = EmailMessage()
    told["Subject"] = _cut(f"[scx] {message.title}", _SUBJECT)
    told["From"] = address.sender
    told["To"] = ", ".join(address.recipients)
    told["Date"] = format_datetime(datetime.now(UTC))
    named = f"{message.problem.key} {message.problem.at}"
    domain = address.sender.rpartition("@")[2]
    told["Message-ID"] = f"<{hashlib.sha256(named.encode()).hexdigest()[:32]}.scx@{domain}>"
    told["Auto-Submitted"] = "auto-generated"
    told.set_content(f"{message.title}\n\n{message.text}\n")
    return told


def webhook_json(message: Message) -> dict[str, Any]:
    """What a webhook is sent: always all fields, empty where a kind of problem has nothing to say."""
    problem = message.problem
    return {
        "version": VERSION,
        "kind": problem.kind,
        "key": problem.key,
        "time": datetime.fromtimestamp(problem.at, UTC).isoformat(timespec="seconds"),
        "star": problem.star or None,
        "stars": problem.stars,
        "what": problem.what or None,
        "lake": problem.lake,
        "months": sorted(map(str, problem.months)),
        "spans": months_text(problem.months).split(", ") if problem.months else [],
        "without_months": problem.unpartitioned,
        "tables": problem.tables,
        "checks": [{"table": check.table, "check": check.name} for check in problem.checks],
        "failure": problem.failure or None,
        "counts": dict(problem.counts),
        "run_id": problem.run_id or None,
        "title": message.title,
        "text": message.text,
        "links": [{"name": name, "url": url} for name, url in message.links],
        "advice": message.advice,
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
