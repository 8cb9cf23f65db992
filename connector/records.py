"""What a run decided and what came of it, as rows of the tables it writes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import pendulum

from connector.conflicts import Conflict
from connector.diff import Planned, Settled
from connector.outcome import Outcome
from connector.rows import digest
from connector.summary import Summary
from connector.tables import Row


def new_id() -> str:
    """Returns an id that sorts by time, such as 20261231-235959-1a2b3c."""
    return f"{pendulum.now('UTC').format('YYYYMMDD-HHmmss')}-{secrets.token_hex(3)}"


def patch_rows(plan_id: str, number: int, decision: Planned) -> Iterator[Row]:
    """Yields the rows of `lead_patches` for a plan's lead; ids sort in the order of sending."""
    for step, change in enumerate(decision.changes, 1):
        yield {
            "patch_id": f"{plan_id}-{number:08d}-{step}",
            "plan_id": plan_id,
            "lead_id": decision.lead_id,
            "body": change.body,
            "before": change.before,
            "digest": digest(change.body),
            "planned_at": pendulum.now("UTC"),
        }


def settled_rows(run_id: str, plan_id: str, number: int, settled: Settled) -> Iterator[Row]:
    """Yields an outcome for each row of the desired table that gets no patch for a reason."""
    for row in range(1, settled.rows + 1):
        yield {
            **_empty_outcome(run_id, plan_id),
            **_in_conflict(settled.conflicts),
            "outcome_id": f"{run_id}-row-{number:08d}-{row}",
            "lead_id": settled.lead_id,
            "status": settled.status,
            "reason": settled.reason,
            "finished_at": pendulum.now("UTC"),
        }


def outcome_row(run_id: str, outcome: Outcome) -> Row:
    """Returns the outcome of a patch; its id is the patch's, so that there is never a second."""
    patch, answer = outcome.patch, outcome.error and outcome.error.answer
    lead = outcome.lead
    return {
        **_empty_outcome(run_id, patch.plan_id),
        "outcome_id": patch.patch_id,
        "patch_id": patch.patch_id,
        "lead_id": patch.lead_id,
        "status": outcome.status,
        "reason": outcome.reason,
        "body": outcome.body or patch.body,
        "before": patch.before,
        "after": None if lead is None else {key: lead.get(key) for key in patch.body},
        "http_status": _http_status(outcome),
        "error": outcome.error and ((answer and answer.text("error")) or str(outcome.error)),
        "error_info": answer and (answer.text("error_info") or None),
        "attempts": outcome.attempts,
        "tokens": outcome.tokens,
        "waited_seconds": outcome.waited_seconds,
        "sent_at": outcome.sent_at,
        "finished_at": outcome.finished_at,
    }


def run_row(summary: Summary, desired_table: str | None) -> Row:
    """Returns the row of `sync_runs` of a run.

    Args:
        summary: What it has come to so far.
        desired_table: The desired table, where all of it was held against the guards.
    """
    return {
        "run_id": summary.run_id,
        "plan_id": summary.plan_id,
        "command": summary.command,
        "desired_table": desired_table,
        "reverts": summary.reverts,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "state": summary.state,
        "desired_rows": summary.desired_rows,
        "leads_read": summary.leads_read,
        **summary.statuses,
        "unchanged": summary.unchanged,
        "kept_nulls": summary.kept_nulls,
        "requests": summary.requests,
        "retries": summary.retries,
        "tokens": summary.tokens,
        "tripped": list(summary.tripped) or None,
        "overridden": list(summary.overridden) or None,
        "message": summary.message or None,
        "version": package_version(),
    }


def _in_conflict(conflicts: Sequence[Conflict]) -> dict[str, Any]:
    """The three values of each field that is kept: wanted, expected, and as it is."""
    if not conflicts:
        return {}
    return {
        "body": {one.field.key: one.wanted for one in conflicts},
        "before": {one.field.key: one.expected for one in conflicts},
        "after": {one.field.key: one.current for one in conflicts},
    }


def _http_status(outcome: Outcome) -> int | None:
    if outcome.error is not None:
        return outcome.error.answer.status if outcome.error.answer else None
    return 200 if outcome.status in ("applied", "ignored") else None


def _empty_outcome(run_id: str, plan_id: str) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("patch_id", "body", "before", "after", "http_status", "error", "error_info", "sent_at")
    )
    return {
        **nothing,
        "run_id": run_id,
        "plan_id": plan_id,
        "attempts": 0,
        "tokens": 0,
        "waited_seconds": 0.0,
    }


def package_version() -> str:
    """Returns the installed version of lead-sync."""
    return version("lead-sync")
