"""What a run comes to: its exit code, and the lines that a person reads."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from connector.planning.model import STATUSES, NotSent, Patch
from connector.report.documents import plan_document
from connector.report.endings import print_summary
from connector.report.plans import PlanReport, change_lines
from connector.sync.summary import Entry, Summary
from connector.warehouse.record import every_status
from tests.support.account import BY_KEY, COLD, HOT, LEAD_ID, NOTE, SCORE, Row

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def summary_of(**given: Any) -> Summary:
    statuses = every_status(given.pop("statuses", {}))
    usual: dict[str, Any] = {
        "run_id": "R",
        "plan_id": "P",
        "command": "run",
        "state": "done",
        "started_at": BEGUN,
        "finished_at": BEGUN + timedelta(seconds=12.5),
        **dict.fromkeys(("desired_rows", "leads_read", "planned", "unchanged", "kept_nulls"), 0),
        **dict.fromkeys(("requests", "retries", "tokens"), 0),
        "message": "",
    }
    return Summary(**{**usual, **given, "statuses": statuses})


REACHED = {"applied", "confirmed", "deferred"}


@pytest.mark.parametrize("status", STATUSES)
def test_the_exit_code_of_each_status(status: str) -> None:
    one = {status: 1}
    assert summary_of(statuses=one).exit_code == (0 if status in REACHED else 3)
    assert summary_of(statuses={**one, "applied": 9}).exit_code == (0 if status in REACHED else 3)
    assert summary_of(statuses=one, tolerate=[status]).exit_code == 0
    assert summary_of(statuses={status: 0}).exit_code == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 0),
        ({"statuses": {"failed": 1, "archived": 1}, "tolerate": ["archived"]}, 3),
        ({"statuses": {"failed": 1, "archived": 1}, "tolerate": ["archived", "failed"]}, 0),
        ({"state": "failed"}, 1),
        ({"state": "failed", "statuses": {"applied": 3}}, 1),
        ({"state": "stopped", "statuses": {"deferred": 3}}, 5),
        ({"state": "stopped", "statuses": {"failed": 3}}, 5),
        ({"command": "plan", "planned": 3}, 0),
        ({"command": "plan", "statuses": {"rejected": 3}}, 0),
        ({"command": "plan", "state": "failed"}, 1),
        ({"command": "plan", "state": "stopped"}, 5),
    ],
)
def test_exit_codes(given: dict[str, Any], code: int) -> None:
    assert summary_of(**given).exit_code == code


def test_a_summary_is_json_with_every_status() -> None:
    document = json.loads(json.dumps(summary_of(statuses={"failed": 2}).as_dict()))
    assert document["outcomes"] == {**dict.fromkeys(STATUSES, 0), "failed": 2}
    assert (document["exit_code"], document["seconds"], document["state"]) == (3, 12.5, "done")


def test_a_run_that_has_not_ended_took_no_time() -> None:
    assert summary_of(finished_at=None).seconds == 0


def entry_of(before: Row, body: Row, title: str = "Pilot", lead_id: str = LEAD_ID) -> Entry:
    patch = Patch("p-1", "P", lead_id, body, before)
    return Entry(lead_id, title, patch, fields=[BY_KEY[key] for key in body])


def plain(entry: Entry) -> list[str]:
    """The lines of an entry's changes as they look on paper, single spaced."""
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        for line, _ in change_lines(entry):
            console.print(line)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


@pytest.mark.parametrize(
    ("before", "body", "line"),
    [
        ({"title": "Old"}, {"title": "New"}, "Title Old → New"),
        ({"title": "[b]x[/b]"}, {"title": "[red]y"}, "Title [b]x[/b] → [red]y"),
        ({"channel": None}, {"channel": 5}, "Channel — → 5"),
        ({"channel": 5}, {"channel": None}, "Channel 5 → clear"),
        ({"label_ids": [HOT]}, {"label_ids": []}, f"Labels {HOT} → clear"),
        ({"label_ids": []}, {"label_ids": [HOT, COLD]}, f"Labels — → {HOT}, {COLD}"),
        (
            {"value": None},
            {"value": {"amount": 50.5, "currency": "EUR"}},
            "Value — → 50.5 EUR",
        ),
        ({"value": {"amount": 0, "currency": "EUR"}}, {"value": None}, "Value 0 EUR → clear"),
        ({"was_seen": False}, {"was_seen": True}, "Seen false → true"),
        ({"was_seen": True}, {"was_seen": False}, "Seen true → false"),
        ({SCORE: 7.5}, {SCORE: 0}, "My double 7.5 → 0"),
        ({NOTE: "a"}, {NOTE: None}, "My text a → clear"),
    ],
)
def test_a_change_is_a_line(before: Row, body: Row, line: str) -> None:
    assert plain(entry_of(before, body)) == [line]


def report(*entries: Entry, **given: Any) -> str:
    out = io.StringIO()
    told = PlanReport(Console(file=out, width=60))
    for entry in entries:
        told.show(entry)
    told.finish(summary_of(command="plan", **given))
    return " ".join(out.getvalue().split())


def test_a_plan_is_told_lead_by_lead_with_its_counts() -> None:
    text = report(
        entry_of(
            {"title": "Old", "channel": 5}, {"title": "New", "channel": None}, title="[x] Old"
        ),
        entry_of({"channel": 5}, {"channel": 6}, title="Other", lead_id="x"),
        Entry(None, "", settled=NotSent(None, "rejected", "lead_id is NULL [a]")),
        planned=2,
        patches=2,
        burst=20,
        day_left=900,
        unchanged=7,
        statuses={"rejected": 1},
    )
    assert f"[x] Old {LEAD_ID} Title Old → New Channel 5 → clear Other x Channel 5 → 6" in text
    assert "rejected — lead_id is NULL [a]" in text
    assert "Plan P: 2 leads to change, 7 unchanged, 1 rejected." in text
    assert "Values: 2 changed, 1 cleared." in text
    assert (
        "By field: Channel 1 changed, 1 cleared 5 → 6; 5 → clear Title 1 changed Old → New" in text
    )
    assert text.index("Plan P:") < text.index("By field:") < text.index("[x] Old")
    assert "Applying takes 20 tokens of 900 left today." in text


def test_a_plan_as_a_document() -> None:
    entries = [
        entry_of({"title": "Old"}, {"title": "New"}),
        Entry(LEAD_ID, "", settled=NotSent(LEAD_ID, "archived", "why")),
    ]
    document = json.loads(json.dumps(plan_document(summary_of(), entries)))
    [patch], [settled] = document["patches"], document["settled"]
    assert (patch["body"], patch["before"]) == ({"title": "New"}, {"title": "Old"})
    assert settled == {"lead_id": LEAD_ID, "status": "archived", "reason": "why"}
    assert document["format"] == 1


def test_a_summary_is_told() -> None:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        given = {"desired_rows": 9, "planned": 3, "unchanged": 6, "kept_nulls": 2, "tokens": 30}
        statuses = {"applied": 2, "not_found": 1}
        told = summary_of(statuses=statuses, message="why [x]", plan_id="R", **given)
        print_summary(console, told)
    text = captured.get()
    for part in (
        "12.5 s",
        "9 desired rows",
        "2 applied, 1 not found",
        "30 tokens",
        "2 NULLs",
        "why [x]",
    ):
        assert part in text


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    entry = entry_of({"title": "Old"}, {"title": "New"})
    counts = {"planned": 1, "patches": 1, "kept_nulls": 1, "unagreed": 1}
    text = report(entry, **counts, burst=2, statuses={"conflict": 1})
    assert "Plan P: 1 lead to change, 0 unchanged, 1 conflict." in text
    assert "Applying takes 10 tokens and at least 1 second." in text
    assert "Left alone: 1 NULL, by" in text
    assert "1 field on which nothing was agreed yet is written by this plan" in text


def test_the_patches_of_one_lead_stand_under_one_heading() -> None:
    first = entry_of({"is_archived": True}, {"is_archived": False}, title="Pilot")
    text = report(first, entry_of({"title": "Old"}, {"title": "New"}), planned=1, patches=2)
    assert f"Pilot {LEAD_ID} Archived true → false Title Old → New next:" in text
