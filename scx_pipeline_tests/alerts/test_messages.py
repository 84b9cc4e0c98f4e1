"""The text of alerts, the formats of the channels, and their documentation.

Nothing is sent here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.alerts.address import parse_mail
from scx_pipeline.alerts.advice import FAILURE_KINDS, GUIDE, OTHER, describe_kind, public_kind
from scx_pipeline.alerts.formats import mail_message, slack_json, webhook_json
from scx_pipeline.alerts.messages import Message, compose_message
from scx_pipeline.alerts.problem import CheckReference, Problem, merge_groups
from scx_pipeline.alerts.problems import AlertThresholds
from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.model.calendar import Month

CHECK_FAILED = CheckFailedError.kind
ROOT = Path(__file__).parents[2]
UI = "https://dagster.example.com"
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"
FEB, MARCH, MAY = (Month(2021, number) for number in (2, 3, 5))
MONTHS = frozenset({FEB, MARCH})
CHECKS = (CheckReference("users", "unique_user_id"), CheckReference("projects", "row_count"))


def problem_of(kind: str, **values: object) -> Problem:
    return replace(Problem("run", (f"{kind}:unit",), "group", 1.6e9, ("scx",)), kind=kind, **values)  # type: ignore[arg-type]


PROBLEMS = {
    "scx 2021-02…2021-03: load failed": problem_of("run", work="load", months=MONTHS, failure=CHECK_FAILED, checks=CHECKS, run_id=RUN),
    "scx unpartitioned tables: refresh failed": problem_of("run", work="refresh", failure="bucket"),
    "scx lake 2021-05: build failed": problem_of("run", work="lake_load", lake=True, months=frozenset({MAY}), failure="lake"),
    "scx: report failed": problem_of("run", work="report", failure="warehouse"),
    "nightly failed": problem_of("run", stars=(), work="nightly", failure="ZeroDivisionError"),
    "scx: unique_user_id on users warned": problem_of("check", checks=CHECKS[:1]),
    "scx lake: 2 checks warned": problem_of("check", checks=CHECKS, lake=True, run_id=RUN),
    "scx: 3 months are overdue": problem_of("overdue", months=MONTHS | {MAY}),
    "scx: 1 month is overdue": problem_of("overdue", months=frozenset({MAY}), unpartitioned=True),
    "scx: unpartitioned tables are overdue": problem_of("overdue", unpartitioned=True),
    "scx 2021-02…2021-03: rows were rejected": problem_of("rejected", months=MONTHS, counts={"rows_read": 5000, "rows_rejected": 124}),
    "scx, songplays cannot be checked": problem_of("unreachable", stars=("scx", "songplays"), failure="warehouse"),
    "test alert": problem_of("trial", stars=()),
}  # fmt: skip


def composed(title: str) -> Message:
    return compose_message(PROBLEMS[title], AlertThresholds(), UI)


@pytest.mark.parametrize("title", PROBLEMS)
def test_a_message_has_a_title_lines_and_advice(title: str) -> None:
    message = composed(title)
    assert message.title == title
    assert message.lines
    assert all(line.endswith(".") for line in message.lines)
    assert message.advice.startswith(f"{GUIDE}#")


def test_a_failed_run_names_its_checks_and_links_to_its_page() -> None:
    message = composed("scx 2021-02…2021-03: load failed")
    assert message.lines[1] == "Failed checks: unique_user_id on users, row_count on projects."
    assert message.links == (("Run", f"{UI}/runs/{RUN}"),)


def test_overdue_months_are_formatted_as_ranges_and_rejected_rows_as_counts() -> None:
    assert "loaded since: 2021-02…2021-03, 2021-05." in composed("scx: 3 months are overdue").lines[0]
    message = composed("scx 2021-02…2021-03: rows were rejected").lines[0]
    assert message.startswith("The load rejected 124 of 5,000 rows (2.48%)")


def test_a_check_links_to_its_page_in_the_lake_or_the_warehouse() -> None:
    pages = [url for _, url in composed("scx lake: 2 checks warned").links]
    assert f"{UI}/assets/scx/lake/users?view=checks&checkDetail=unique_user_id" in pages
    assert f"{UI}/assets/scx/users?view=checks&checkDetail=unique_user_id" in [
        url for _, url in composed("scx: unique_user_id on users warned").links
    ]


def test_very_many_checks_are_shortened_for_slack_and_complete_for_the_webhook() -> None:
    checks = tuple(CheckReference("t" * 100, f"{'c' * 100}_{number}") for number in range(90))
    message = compose_message(problem_of("check", checks=checks, run_id=RUN), AlertThresholds(), UI)
    assert all(len(block["text"]["text"]) <= 3000 for block in slack_json(message)["blocks"][:2])
    assert len(slack_json(message)["blocks"][2]["elements"][0]["text"]) <= 3000 or message.links
    assert len(webhook_json(message)["checks"]) == 90


def test_slack_markup_is_escaped() -> None:
    message = Message(
        problem_of("run"), "a & b", ("<!channel> & <@U1>",), (("a|b>", "https://x/?a=1&b=2"),), "docs#<a>"
    )
    body = slack_json(message)
    assert body["text"] == "[scx] a &amp; b"
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": "a & b"}
    assert body["blocks"][1]["text"]["text"] == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert body["blocks"][1]["text"]["verbatim"] is True


def test_a_mail_is_plain_text_with_a_subject_of_one_line() -> None:
    address = parse_mail("smtp://mail.example.com?from=scx@a.example&to=b@c.example,d@e.example")
    message = mail_message(composed("scx 2021-02…2021-03: load failed"), address)
    assert message["Subject"] == "[scx] scx 2021-02…2021-03: load failed"
    assert message["To"] == "b@c.example, d@e.example"
    assert message.get_content_type() == "text/plain"
    assert f"Run: {UI}/runs/{RUN}" in message.get_content()
    assert f"What to do: {GUIDE}#a-check-failed" in message.get_content()


def test_the_webhooks_json_has_the_same_fields_for_every_kind_and_the_document_names_them() -> None:
    document = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", document.split("## The webhook's JSON")[1], re.MULTILINE)
    for title in PROBLEMS:
        assert list(webhook_json(composed(title))) == documented


def test_the_document_names_every_kind_of_problem_and_of_failure() -> None:
    document = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    assert {problem.kind for problem in PROBLEMS.values()} <= set(re.findall(r"`(\w+)`", document))
    assert set(FAILURE_KINDS) <= set(re.findall(r"`(\w+)`", document))


def test_every_advice_links_to_a_heading_of_the_handbook() -> None:
    guide = ROOT / GUIDE
    if not guide.exists():
        pytest.skip(f"{GUIDE} is not written yet")
    text = guide.read_text("utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    anchors = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    wanted = {composed(title).advice for title in PROBLEMS} | {
        f"{GUIDE}#{why.anchor}" for why in FAILURE_KINDS.values()
    }
    assert {advice.partition("#")[2] for advice in wanted} <= headings | anchors


def test_every_error_class_has_a_kind_with_a_sentence() -> None:
    def kinds(error: type[PipelineError]) -> set[str]:
        return {error.kind}.union(*(kinds(child) for child in error.__subclasses__()))

    assert kinds(PipelineError) - {"alert"} <= set(FAILURE_KINDS)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CHECK_FAILED, CHECK_FAILED),
        ("ZeroDivisionError", "ZeroDivisionError"),
        ("cannot open s3://bucket", OTHER),
        ("a@b.example", OTHER),
        ("", OTHER),
    ],
)
def test_a_public_kind_is_a_known_kind_or_a_class(text: str, kind: str) -> None:
    assert public_kind(text) == kind
    assert describe_kind(kind)


def test_problems_of_a_group_are_merged_in_the_order_of_their_first_members() -> None:
    first, other = (
        problem_of("overdue", months=frozenset({FEB}), units=("a",)),
        problem_of("overdue", group="other", units=("b",)),
    )
    second = problem_of("overdue", months=frozenset({MAY}), units=("c",), at=1.0)
    merged = merge_groups([first, other, second])
    assert [problem.units for problem in merged] == [("a", "c"), ("b",)]
    assert (merged[0].months, merged[0].at) == ({FEB, MAY}, 1.0)
    assert merged[0].key == merge_groups([second, first])[0].key
    assert merged[1].key == "b"
