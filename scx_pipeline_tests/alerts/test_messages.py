"""How problems are worded, and the shapes that Slack, mails and webhooks want; the documents that name them are true.
That real receivers take them is tested in alerts/test_channels.py."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.alerts.address import parse_mail
from scx_pipeline.alerts.advice import GUIDE, OTHER, WHY, kind_of, sentence_of
from scx_pipeline.alerts.formats import mail, slack_json, webhook_json
from scx_pipeline.alerts.messages import Message, word
from scx_pipeline.alerts.problem import FoundCheck, Problem, merge
from scx_pipeline.alerts.problems import Limits
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month

ROOT = Path(__file__).parents[2]
UI = "https://dagster.example.com"
RUN = "0b6e1f4c-8f5e-4a52-9a55-3f4f6a1f2b3c"
FEB, MARCH, MAY = (Month(2021, number) for number in (2, 3, 5))
SPAN = frozenset({FEB, MARCH})
CHECKS = (FoundCheck("users", "unique_user_id"), FoundCheck("projects", "row_count"))


def of(kind: str, **values: object) -> Problem:
    return replace(Problem("run", (f"{kind}:unit",), "group", 1.6e9, ("scx",)), kind=kind, **values)  # type: ignore[arg-type]


PROBLEMS = {
    "scx 2021-02…2021-03: load failed": of("run", what="load", months=SPAN, failure="gate", checks=CHECKS, run_id=RUN),
    "scx tables without months: refresh failed": of("run", what="refresh", failure="bucket"),
    "scx lake 2021-05: build failed": of("run", what="lake_load", lake=True, months=frozenset({MAY}), failure="lake"),
    "scx: report failed": of("run", what="report", failure="warehouse"),
    "nightly failed": of("run", stars=(), what="nightly", failure="ZeroDivisionError"),
    "scx: unique_user_id on users warned": of("check", checks=CHECKS[:1]),
    "scx lake: 2 checks warned": of("check", checks=CHECKS, lake=True, run_id=RUN),
    "scx: 3 months are stale": of("stale", months=SPAN | {MAY}),
    "scx: 1 month is stale": of("stale", months=frozenset({MAY}), unpartitioned=True),
    "scx: tables without months are stale": of("stale", unpartitioned=True),
    "scx 2021-02…2021-03: rows were rejected": of("rejected", months=SPAN, counts={"rows_read": 5000, "rows_rejected": 124}),
    "scx, songplays cannot be looked at": of("unreachable", stars=("scx", "songplays"), failure="warehouse"),
    "a trial of the alerts": of("trial", stars=()),
}  # fmt: skip


def worded(title: str) -> Message:
    return word(PROBLEMS[title], Limits(), UI)


@pytest.mark.parametrize("title", PROBLEMS)
def test_a_problem_is_told_by_a_title_some_lines_and_advice(title: str) -> None:
    told = worded(title)
    assert told.title == title
    assert told.lines
    assert all(line.endswith(".") for line in told.lines)
    assert told.advice.startswith(f"{GUIDE}#")


def test_a_failed_run_names_its_checks_and_leads_to_its_page() -> None:
    told = worded("scx 2021-02…2021-03: load failed")
    assert told.lines[1] == "Failed checks: unique_user_id on users, row_count on projects."
    assert told.links == (("Run", f"{UI}/runs/{RUN}"),)


def test_stale_months_are_named_in_spans_and_rejected_rows_in_numbers() -> None:
    assert "hours: 2021-02…2021-03, 2021-05." in worded("scx: 3 months are stale").lines[0]
    told = worded("scx 2021-02…2021-03: rows were rejected").lines[0]
    assert told.startswith("124 of 5,000 rows that the load read were rejected (2.48%)")


def test_a_check_leads_to_its_page_of_the_lake_or_of_the_warehouse() -> None:
    pages = [url for _, url in worded("scx lake: 2 checks warned").links]
    assert f"{UI}/assets/scx/lake/users?view=checks&checkDetail=unique_user_id" in pages
    assert f"{UI}/assets/scx/users?view=checks&checkDetail=unique_user_id" in [
        url for _, url in worded("scx: unique_user_id on users warned").links
    ]


def test_very_many_checks_are_cut_short_for_slack_and_told_in_full_to_the_webhook() -> None:
    checks = tuple(FoundCheck("t" * 100, f"{'c' * 100}_{number}") for number in range(90))
    told = word(of("check", checks=checks, run_id=RUN), Limits(), UI)
    assert all(len(block["text"]["text"]) <= 3000 for block in slack_json(told)["blocks"][:2])
    assert len(slack_json(told)["blocks"][2]["elements"][0]["text"]) <= 3000 or told.links
    assert len(webhook_json(told)["checks"]) == 90


def test_slacks_own_signs_are_escaped() -> None:
    told = Message(of("run"), "a & b", ("<!channel> & <@U1>",), (("a|b>", "https://x/?a=1&b=2"),), "docs#<a>")
    body = slack_json(told)
    assert body["text"] == "[scx] a &amp; b"
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": "a & b"}
    assert body["blocks"][1]["text"]["text"] == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert body["blocks"][1]["text"]["verbatim"] is True


def test_a_mail_is_plain_text_with_a_subject_of_one_line() -> None:
    address = parse_mail("smtp://mail.example.com?from=scx@a.example&to=b@c.example,d@e.example")
    told = mail(worded("scx 2021-02…2021-03: load failed"), address)
    assert told["Subject"] == "[scx] scx 2021-02…2021-03: load failed"
    assert told["To"] == "b@c.example, d@e.example"
    assert told.get_content_type() == "text/plain"
    assert f"Run: {UI}/runs/{RUN}" in told.get_content()
    assert f"What to do: {GUIDE}#a-check-failed" in told.get_content()


def test_the_webhooks_json_has_the_same_fields_for_every_kind_and_the_document_names_them() -> None:
    document = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", document.split("## The webhook's JSON")[1], re.MULTILINE)
    for title in PROBLEMS:
        assert list(webhook_json(worded(title))) == documented


def test_the_document_names_every_kind_of_problem_and_of_failure() -> None:
    document = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    assert {problem.kind for problem in PROBLEMS.values()} <= set(re.findall(r"`(\w+)`", document))
    assert set(WHY) <= set(re.findall(r"`(\w+)`", document))


def test_every_advice_leads_to_a_heading_of_the_handbook() -> None:
    guide = ROOT / GUIDE
    if not guide.exists():
        pytest.skip(f"{GUIDE} is not written yet")
    text = guide.read_text("utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    anchors = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    wanted = {worded(title).advice for title in PROBLEMS} | {f"{GUIDE}#{why.anchor}" for why in WHY.values()}
    assert {advice.partition("#")[2] for advice in wanted} <= headings | anchors


def test_every_error_of_ours_has_a_kind_that_is_told_by_a_sentence() -> None:
    def kinds(error: type[PipelineError]) -> set[str]:
        return {error.kind}.union(*(kinds(child) for child in error.__subclasses__()))

    assert kinds(PipelineError) - {"alert"} <= set(WHY)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("gate", "gate"),
        ("ZeroDivisionError", "ZeroDivisionError"),
        ("cannot open s3://bucket", OTHER),
        ("a@b.example", OTHER),
        ("", OTHER),
    ],
)
def test_a_kind_is_one_of_ours_or_a_class(said: str, kind: str) -> None:
    assert kind_of(said) == kind
    assert sentence_of(kind)


def test_problems_of_a_group_are_brought_together_in_the_order_of_their_first_ones() -> None:
    first, other = (
        of("stale", months=frozenset({FEB}), units=("a",)),
        of("stale", group="other", units=("b",)),
    )
    second = of("stale", months=frozenset({MAY}), units=("c",), at=1.0)
    merged = merge([first, other, second])
    assert [problem.units for problem in merged] == [("a", "c"), ("b",)]
    assert (merged[0].months, merged[0].at) == ({FEB, MAY}, 1.0)
    assert merged[0].key == merge([second, first])[0].key
    assert merged[1].key == "b"
