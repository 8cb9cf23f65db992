"""What a run decided and what came of it, as rows of the tables it writes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pendulum

from connector.diff import Planned, Settled
from connector.outcome import Outcome
from connector.rows import digest
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
