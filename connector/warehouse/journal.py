"""What runs have written down, found and read again for people; nothing here asks Pipedrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal

from connector.errors import PlanError
from connector.planning.model import DONE, STATUSES, Patch, Status
from connector.records.fields import Field
from connector.warehouse import history, lease, noted
from connector.warehouse.rows import document_of, is_settling, object_of
from connector.warehouse.schema import TableRow
from connector.warehouse.store import FETCH, Warehouse

LATEST = "latest"
Kind = Literal["run", "plan", "sent"]
"""Any run; one that made a plan; one that has sent something."""
NAMED = 5
"""So many runs are named where a beginning of an id fits several."""
SHOWN = 10
"""So many leads are named at the end of a run that missed some."""
NOUNS: Mapping[Kind, str] = {"run": "run", "plan": "plan", "sent": "run that has sent anything"}
ID_CHARACTERS = frozenset("0123456789abcdef-")


def find(warehouse: Warehouse, text: str, kind: Kind = "run") -> str:
    """Returns the id that is meant by `latest`, by an id, or by a beginning that only one has.

    What is no beginning of any is returned as it is: whoever needs it says that there is none.

    Args:
        warehouse: Where the runs are.
        text: What somebody has given.
        kind: What it may be.

    Raises:
        PlanError: Several begin like that; the message names the latest of them. Or there is
            none yet.
    """
    if text == LATEST:
        return _latest(warehouse, kind)
    if not text or not set(text) <= ID_CHARACTERS:
        return text
    if any(history.runs(warehouse, text)):
        return text
    rows = history.read_runs(warehouse, newest=True)
    found = [row["run_id"] for row in rows if row["run_id"].startswith(text) and _is(row, kind)]
    if len(found) > 1:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        named = ", ".join(found[:NAMED])
        raise PlanError(f"{text} may be any of {len(found)}: {named}{more}; give more of its id")
    return found[0] if found else text


def _latest(warehouse: Warehouse, kind: Kind) -> str:
    """A revert that was planned and declined is never `latest`: it must be named to be applied."""
    for row in history.read_runs(warehouse, newest=True):
        by_plan = row["command"] == "plan" and not row["reverts"]
        fits = {"run": True, "plan": by_plan, "sent": row["command"] != "plan"}[kind]
        if fits and (kind != "sent" or _has_sent(warehouse, row)):
            return str(row["run_id"])
    raise PlanError(f"no {NOUNS[kind]} yet; `lead-sync runs` lists what there is")


def _is(row: TableRow, kind: Kind) -> bool:
    if kind == "plan":
        return bool(row["run_id"] == row["plan_id"])
    return kind == "run" or row["command"] != "plan"


def _has_sent(warehouse: Warehouse, row: TableRow) -> bool:
    if not row["sends_from"]:
        return False
    run_id = row["run_id"]
    ids = {run_id, row["plan_id"], *str(row["sends_plans"] or "").split()}
    return any(history.taken(warehouse, run_id, None)) or any(
        history.pending_lead_ids(warehouse, None, one) for one in ids
    )


def list_runs(
    warehouse: Warehouse, since: datetime | None = None, *, failed: bool = False, most: int = 20
) -> list[TableRow]:
    """Returns runs, newest first, each with the leads of its plan.

    Args:
        warehouse: Where they are.
        since: All that began since then, instead of the last ones.
        failed: Only those that ended with another exit code than 0, or were cut off.
        most: So many of them, unless there is a `since`.
    """
    where, args = ("WHERE started_at >= %s", [since]) if since else ("", [])
    found = history.read_runs(warehouse, where, *args, newest=True)
    wanted = (row for row in found if not failed or has_failed(row))
    return history.with_planned(warehouse, list(wanted if since else islice(wanted, most)))


def has_failed(run: TableRow) -> bool:
    """Tells whether a run ended with another exit code than 0; older versions noted none."""
    if run["exit_code"] is None:
        return run["state"] in ("failed", "stopped")
    return bool(run["exit_code"])


def holder_of(warehouse: Warehouse) -> str | None:
    """Returns the run that has its turn now, as far as can be told; None for none."""
    found = lease.held(warehouse.client)
    return None if found is None else found.holder


def domain_of(warehouse: Warehouse) -> str | None:
    """Returns the part of the company's address that is its own, once a run has noted it."""
    return next((domain for _, domain in history.owners(warehouse)), None)


@dataclass(frozen=True)
class Written:
    """A PATCH that was planned or sent, and what is known of it.

    Attributes:
        patch: Its body is what was planned; of one that was sent, what took effect.
        title: The lead's.
        status: Of what was sent; None for what is only planned.
        reason: Why it is so.
    """

    patch: Patch
    title: str
    status: str | None = None
    reason: str | None = None


def planned(warehouse: Warehouse, plan_id: str) -> Iterator[Written]:
    """Yields what a plan would send, lead by lead."""
    found = history.planned(warehouse, plan_id)
    return (Written(patch, _titled(patch, title)) for patch, title in found)


def sent(warehouse: Warehouse, run_id: str) -> Iterator[Written]:
    """Yields what a run has changed: of each PATCH the part that took effect, lead by lead."""
    found = _outcomes(warehouse, run_id)
    rows = (row for row in found if row["patch_id"] and document_of(row["took"]))
    while some := list(islice(rows, FETCH)):
        titles = history.titles(warehouse, [row["lead_id"] for row in some])
        for row in some:
            took = document_of(row["took"])
            sent_body, before = object_of(row["body"]) or {}, object_of(row["before"]) or {}
            body = {key: value for key, value in sent_body.items() if key in took}
            patch = Patch(row["patch_id"], row["plan_id"], row["lead_id"], body, before)
            title = _titled(patch, titles.get(patch.lead_id, ""))
            yield Written(patch, title, row["status"], row["reason"])


def _titled(patch: Patch, now: str) -> str:
    """Returns the title that the lead had then, where the PATCH tells it."""
    return str(patch.before.get("title") or now)


def _outcomes(warehouse: Warehouse, run_id: str, which: str = "run_id = %s") -> Iterator[TableRow]:
    table = warehouse.table("lead_outcomes")
    return warehouse.stream(f"SELECT * FROM {table} WHERE {which} ORDER BY outcome_id", run_id)


@dataclass(frozen=True)
class Miss:
    """An outcome that left a lead in another state than it should have.

    Attributes:
        lead_id: None for a row that names none.
        title: The lead's, where it is known.
        keys: What was not brought there, where a PATCH was made for it.
    """

    lead_id: str | None
    title: str
    status: Status
    reason: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missed:
    """What a run has missed, for a look.

    Attributes:
        counts: How many outcomes have each status for each reason, the most frequent first.
        first: Some of them, but none that is only put off.
        fields: The fields of their keys.
    """

    counts: Mapping[tuple[Status, str], int]
    first: Sequence[Miss]
    fields: Mapping[str, Field]


NOTHING_MISSED = Missed({}, (), {})


def first_misses(warehouse: Warehouse, run_id: str) -> Missed:
    """Counts a run's misses by their reason, and returns some of each: the rare ones as well."""
    counts: Counter[tuple[Status, str]] = Counter()
    some: list[tuple[int, TableRow]] = []
    for row in _missed(warehouse, run_id):
        reason = row["status"], row["reason"] or ""
        counts[reason] += 1
        if counts[reason] <= SHOWN and row["status"] != "deferred":
            some.append((counts[reason], row))
    if not counts:
        return NOTHING_MISSED
    ranked = sorted(counts, key=lambda one: (-counts[one], STATUSES.index(one[0]), one[1]))
    first = [row for _, row in sorted(some, key=lambda one: (one[0], str(one[1]["reason"])))]
    shown = _misses(warehouse, first[:SHOWN])
    return Missed({one: counts[one] for one in ranked}, shown, noted.known_fields(warehouse))


def misses(warehouse: Warehouse, run_id: str) -> list[Miss]:
    """Returns the outcomes that a run sent, or found out, and that are not as wanted."""
    return _misses(warehouse, list(_missed(warehouse, run_id)))


def left_out(warehouse: Warehouse, plan_id: str) -> list[Miss]:
    """Returns the leads that a plan has left out for a reason, by their status."""
    sql = f"SELECT * FROM {warehouse.table('plan_left_out')} WHERE plan_id = %s"
    found = list(warehouse.query(f"{sql} ORDER BY left_out_id", plan_id))
    misses = _misses(warehouse, found, lambda row: document_of(row["keys"]) or ())
    return sorted(misses, key=lambda one: STATUSES.index(one.status))


def _missed(warehouse: Warehouse, run_id: str) -> Iterator[TableRow]:
    """Yields a run's outcomes that are not as wanted; of one that was settled, what that found."""
    statuses = ", ".join(f"'{one}'" for one in STATUSES if one not in DONE)
    found_out = _outcomes(warehouse, run_id, "run_id = %s AND settled_by IS NOT NULL")
    settled = {row["patch_id"] for row in found_out if is_settling(row)}
    for column in ("run_id", "settled_by"):
        for row in _outcomes(warehouse, run_id, f"{column} = %s AND status IN ({statuses})"):
            if row["patch_id"] not in settled or is_settling(row):
                yield row


def _missed_keys(row: TableRow) -> Iterable[str]:
    """Returns the keys of an outcome's body that are not in effect."""
    took = document_of(row["took"]) or ()
    return (key for key in document_of(row["body"]) or () if key not in took)


def _misses(
    warehouse: Warehouse,
    rows: Sequence[TableRow],
    keys_of: Callable[[TableRow], Iterable[str]] = _missed_keys,
) -> list[Miss]:
    """Returns leads with their titles.

    Args:
        warehouse: Where the titles are.
        rows: What became of the leads.
        keys_of: Tells the keys that a row is about.
    """
    titles = history.titles(warehouse, [row["lead_id"] for row in rows if row["lead_id"]])
    return [
        Miss(
            row["lead_id"],
            titles.get(row["lead_id"] or "", ""),
            row["status"],
            row["reason"] or "",
            tuple(keys_of(row)),
        )
        for row in rows
    ]
