"""Formats of a message: Slack's blocks, an e-mail, and the webhook's JSON, which docs/alerts.md documents.

Nothing is sent here.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from scx_pipeline.alerts.address import MailAddress
from scx_pipeline.alerts.messages import Message
from scx_pipeline.alerts.observations import format_months

VERSION = 1  # of the webhook's JSON; a field may be added without a new one
_HEADER, _SECTION = 150, 3000  # characters that Slack accepts
_SUBJECT = 200  # characters of an e-mail's subject


def slack_json(message: Message) -> dict[str, Any]:
    """Return the body for Slack's incoming webhooks: a text for notifications, and blocks for the channel."""
    links = [f"<{_escape(url)}|{_escape(name)}>" for name, url in message.links]
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(message.title, _HEADER)}},
        {"type": "section", "text": _markdown("\n".join(map(_escape, message.lines)))},
        {"type": "context", "elements": [_markdown(" · ".join([*links, _escape(message.advice)]))]},
    ]
    return {"text": _cut(_escape(f"[scx] {message.title}"), _SECTION), "blocks": blocks}


def _markdown(text: str) -> dict[str, Any]:
    # verbatim: Slack must not turn similar text into links or mentions
    return {"type": "mrkdwn", "text": _cut(text, _SECTION), "verbatim": True}


def _escape(text: str) -> str:
    """Escape the three characters of Slack's own markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail_message(message: Message, address: MailAddress) -> EmailMessage:
    """Return the e-mail of a message. Its Message-ID is the same if it is sent twice, so that mailboxes can drop the duplicate."""
    email = EmailMessage()
    email["Subject"] = _cut(f"[scx] {message.title}", _SUBJECT)
    email["From"] = address.sender
    email["To"] = ", ".join(address.recipients)
    email["Date"] = format_datetime(datetime.now(UTC))
    identity = f"{message.problem.key} {message.problem.at}"
    domain = address.sender.rpartition("@")[2]
    email["Message-ID"] = f"<{hashlib.sha256(identity.encode()).hexdigest()[:32]}.scx@{domain}>"
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(f"{message.title}\n\n{message.text}\n")
    return email


def webhook_json(message: Message) -> dict[str, Any]:
    """Return the webhook's JSON. It always has all fields; those that do not apply to a kind of problem are empty."""
    problem = message.problem
    return {
        "version": VERSION,
        "kind": problem.kind,
        "key": problem.key,
        "time": datetime.fromtimestamp(problem.at, UTC).isoformat(timespec="seconds"),
        "star": problem.star or None,
        "stars": problem.stars,
        "what": problem.work or None,
        "lake": problem.lake,
        "months": sorted(map(str, problem.months)),
        "month_ranges": format_months(problem.months).split(", ") if problem.months else [],
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


def _cut(text: str, max_length: int) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"
