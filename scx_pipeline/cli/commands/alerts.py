"""`scx alerts`: the problems that are open now, and a test message to the channels that alerts are sent to.

Which problems there are, and how they are sent, is not decided here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import AsJson
from scx_pipeline.errors import AlertError, SettingsError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.alerts.messages import Message
    from scx_pipeline.alerts.problems import SensorState

app = typer.Typer(
    help="Show the open problems that alerts report, and test the channels that alerts are sent to.\n\n"
    "Settings: SCX_ALERT_SLACK_URL, SCX_ALERT_SMTP_URL, SCX_ALERT_WEBHOOK_URL and the other settings with that prefix; SCX_UI_URL for links.",
    epilog="Example: scx alerts --json   Example: scx alerts try",
)


@app.callback(invoke_without_command=True)
def alerts(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the open problems: failed runs, checks that warned, overdue months, rejected rows. The exit code is 0.

    Since when a month has been due, and which failures no later run has resolved, is read from the state of the sensor `alerts`.
    """
    if context.invoked_subcommand is not None:
        return
    messages, remarks, memory = _find_problems(read_settings())
    if as_json:
        from scx_pipeline.alerts.formats import webhook_json

        rendering.print_json([webhook_json(message) for message in messages])
        return
    rows = [_message_row(item, memory) for item in messages]
    columns = ["kind", "problem", "since (UTC)", "sent to", "more"]
    rendering.print_table(f"open problems: {len(messages)}", columns, rows)
    for remark in remarks:
        rendering.print_line(remark, "yellow")


@app.command("try", epilog="Example: scx alerts try")
def try_channels(as_json: AsJson = False) -> None:
    """Send a test message to every configured channel, and report whether it was delivered; the exit code is 1 if one was not."""
    outcomes = _send_test_messages(read_settings())
    if not outcomes:
        raise SettingsError(
            "there is no channel to test: set SCX_ALERT_SLACK_URL, SCX_ALERT_SMTP_URL or SCX_ALERT_WEBHOOK_URL; for example, "
            "SCX_ALERT_SLACK_URL=https://hooks.slack.com/services/T000/B000/XXXX"
        )
    if as_json:
        names = ("channel", "delivered", "message")
        rendering.print_json([dict(zip(names, outcome, strict=True)) for outcome in outcomes])
    else:
        rendering.print_table("a test message", ["channel", "delivered", ""], outcomes)
    if not all(delivered for _, delivered, _ in outcomes):
        raise typer.Exit(1)


def _send_test_messages(settings: Settings) -> list[tuple[str, bool, str]]:
    """Return each channel, whether a test message was delivered, and the channel's answer."""
    from scx_pipeline.alerts.channels import CHANNEL_SETTINGS
    from scx_pipeline.alerts.messages import compose_message
    from scx_pipeline.alerts.problem import Problem
    from scx_pipeline.alerts.problems import AlertThresholds
    from scx_pipeline.orchestration.automation.alerting import configured_channels

    message = compose_message(
        Problem("trial", ("trial",), "trial", time.time()), AlertThresholds(), settings.ui_url
    )
    outcomes = []
    for channel in configured_channels(settings):
        try:
            remark = channel.send(message)
            outcomes.append((channel.name, not remark, remark or "it was delivered"))
        except AlertError as error:
            outcomes.append((channel.name, False, f"{error} ({CHANNEL_SETTINGS[channel.name]})"))
    return outcomes


def _find_problems(settings: Settings) -> tuple[list[Message], list[str], SensorState]:
    """Return the open problems, remarks about how they were found, and the state of the sensor."""
    from scx_pipeline.alerts.messages import compose_message
    from scx_pipeline.alerts.sensor_state import unsent_problems
    from scx_pipeline.orchestration.automation.alerting import (
        alert_context,
        alert_thresholds,
        find_open_problems,
        read_sensor_state,
    )
    from scx_pipeline.orchestration.runs.instance import open_instance

    with open_instance(settings.dagster_home) as instance:
        memory = read_sensor_state(instance)
        found, _, remarks = find_open_problems(
            alert_context(settings, instance), memory, alert_thresholds(settings)
        )
    problems = unsent_problems(found, frozenset())
    return (
        [compose_message(problem, alert_thresholds(settings), settings.ui_url) for problem in problems],
        remarks,
        memory,
    )


def _message_row(message: Message, memory: SensorState) -> tuple[str, ...]:
    """Return kind, title, start, the channels that were sent all parts of the problem, and a link or advice."""
    problem = message.problem
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(problem.at))
    channels = ", ".join(name for name, known in memory.sent.items() if known.issuperset(problem.units))
    return (
        problem.kind,
        message.title,
        since,
        channels,
        message.links[0][1] if message.links else message.advice,
    )
