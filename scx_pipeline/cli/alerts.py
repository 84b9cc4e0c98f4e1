"""The `scx alerts` commands: the problems that stand now, and a trial of the channels that tell of them.
What a problem is, and how it is sent, is in `alerts`; the sensor that tells of them is in `orchestration.alerting`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import typer

from scx_pipeline.cli import rendering
from scx_pipeline.cli.options import AsJson
from scx_pipeline.errors import AlertError, SettingsError
from scx_pipeline.settings import Settings, read_settings

if TYPE_CHECKING:
    from scx_pipeline.alerts.messages import Message
    from scx_pipeline.alerts.problems import Memory

app = typer.Typer(
    help="Show the problems that alerts tell of, and try the channels that they go out by.\n\n"
    "Settings: SCX_ALERT_SLACK_URL, SCX_ALERT_SMTP_URL, SCX_ALERT_WEBHOOK_URL and others that begin so; SCX_UI_URL for the links.",
    epilog="Example: scx alerts --json   Example: scx alerts try",
)


@app.callback(invoke_without_command=True)
def alerts(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the problems that stand now: failed runs, checks that warned, stale months, rejected rows; exit code 0.

    Since when a month is due, and which failures no run has made good, is what the sensor `alerts` has seen.
    """
    if context.invoked_subcommand is not None:
        return
    messages, remarks, told = _standing(read_settings())
    if as_json:
        from scx_pipeline.alerts.formats import webhook_json

        print(json.dumps([webhook_json(message) for message in messages], indent=2))
        return
    rows = [
        (item.problem.kind, item.title, _moment(item), _told(item, told), _link(item)) for item in messages
    ]
    columns = ["kind", "problem", "since (UTC)", "told", "more"]
    rendering.out.print(rendering.table(f"problems that stand: {len(messages)}", columns, rows))
    for remark in remarks:
        rendering.out.print(remark, style="yellow", markup=False, soft_wrap=True)


@app.command("try", epilog="Example: scx alerts try")
def try_channels(as_json: AsJson = False) -> None:
    """Send a trial message to every channel that is set, and say whether it arrived; exit code 1 if one did not."""
    outcomes = _tried(read_settings())
    if not outcomes:
        raise SettingsError(
            "there is no channel to try: set SCX_ALERT_SLACK_URL, SCX_ALERT_SMTP_URL or SCX_ALERT_WEBHOOK_URL; for example "
            "SCX_ALERT_SLACK_URL=https://hooks.slack.com/services/T000/B000/XXXX"
        )
    if as_json:
        names = ("channel", "arrived", "message")
        print(json.dumps([dict(zip(names, outcome, strict=True)) for outcome in outcomes], indent=2))
    else:
        rendering.out.print(rendering.table("a trial message", ["channel", "arrived", ""], outcomes))
    if not all(arrived for _, arrived, _ in outcomes):
        raise typer.Exit(1)


def _tried(settings: Settings) -> list[tuple[str, bool, str]]:
    """Each channel, whether a trial message arrived there, and what is to be said of it."""
    from scx_pipeline.alerts.channels import SETTINGS
    from scx_pipeline.alerts.messages import word
    from scx_pipeline.alerts.problem import Problem
    from scx_pipeline.alerts.problems import Limits
    from scx_pipeline.orchestration.automation.alerting import channels_of

    message = word(Problem("trial", ("trial",), "trial", time.time()), Limits(), settings.ui_url)
    outcomes = []
    for channel in channels_of(settings):
        try:
            remark = channel.send(message)
            outcomes.append((channel.name, not remark, remark or "it arrived"))
        except AlertError as error:
            outcomes.append((channel.name, False, f"{error} ({SETTINGS[channel.name]})"))
    return outcomes


def _standing(settings: Settings) -> tuple[list[Message], list[str], Memory]:
    """The problems that stand, what is to be said of the look, and what the sensor knows."""
    from scx_pipeline.alerts.messages import word
    from scx_pipeline.alerts.sensor_state import new_messages
    from scx_pipeline.orchestration.automation.alerting import alert_context, limits_of, look, remembered
    from scx_pipeline.orchestration.runs.instance import open_instance

    with open_instance(settings.dagster_home) as instance:
        memory = remembered(instance)
        found, _, remarks = look(alert_context(settings, instance), memory, limits_of(settings))
    problems = new_messages(found, frozenset())
    return [word(problem, limits_of(settings), settings.ui_url) for problem in problems], remarks, memory


def _moment(message: Message) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(message.problem.at))


def _told(message: Message, memory: Memory) -> str:
    """The channels that have been told all of it."""
    units = message.problem.units
    return ", ".join(channel for channel, known in memory.told.items() if known.issuperset(units))


def _link(message: Message) -> str:
    return message.links[0][1] if message.links else message.advice
