"""Rows as the warehouse gives them, and rows for the tables written. No I/O."""

from __future__ import annotations

import hashlib
import math
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import orjson
import pendulum

from connector.pipedrive.escapes import escape
from connector.planning.diff import conflicting
from connector.planning.model import Conflict, NotSent, Outcome, Patch, Planned, Tried
from connector.planning.truth import as_kept
from connector.records.cells import Unreadable, from_json
from connector.records.fields import base_key
from connector.records.kinds import parse_uuid
from connector.warehouse.schema import ChangeRow, LeftOutRow, OutcomeRow, PatchRow, TableRow

Reader = Callable[[Any], Any]
SETTLING = "-settled"
"""The end of the id of a row that tells only what took effect of an outcome that is there."""
KEPT = "-kept"
"""The end of the id of a row that tells which fields a look at the lead took off a patch."""


def digest(body: Mapping[str, Any]) -> str:
    """Returns what tells a body from one that its way through the warehouse has changed."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def patch_of(row: Mapping[str, Any]) -> Patch:
    """Returns the patch of a row of `lead_patches`; of one that is damaged nothing is sent."""
    body, before = object_of(row["body"]), object_of(row["before"])
    conditions = object_of(row["conditions"], null={})
    is_whole = None not in (body, before, conditions) and is_lead_id(row["lead_id"])
    intact = is_whole and digest(body or {}) == row["digest"]
    known = {"conditions": conditions or {}, "planned_at": row["planned_at"]}
    return _patch(row, body=body or {}, before=before or {}, intact=intact, **known)


def taken_patch_of(row: Mapping[str, Any]) -> Patch:
    """Returns what of a row of `lead_outcomes` took effect, as a patch.

    What was there before includes what went with a value that was cleared.
    """
    body, before = object_of(row["body"]) or {}, object_of(row["before"]) or {}
    took = [key for key in document_of(row["took"]) or [] if key in body]
    fields = {base_key(key) for key in took}
    was = {
        key: value
        for key, value in before.items()
        if key in took or (key not in body and base_key(key) in fields)
    }
    after = object_of(row["after"]) or {}
    return _patch(row, body={key: as_kept(body[key], after.get(key)) for key in took}, before=was)


def doubtful_patch_of(row: Mapping[str, Any]) -> Patch:
    """Returns the patch of a row of `lead_outcomes` that does not say what took effect.

    What its run has seen in effect before the send that is in doubt is so for certain.
    """
    body, before = object_of(row["body"]), object_of(row["before"])
    after, was = object_of(row["after"]) or {}, before or {}
    took = tuple(key for key in after if after[key] == (body or {}).get(key) != was.get(key))
    sent = {"sent_by": row["run_id"], "sent_at": row["sent_at"]}
    known = {**sent, "conditions": object_of(row["conditions"]) or {}}
    intact = None not in (body, before)
    return _patch(row, body=body or {}, before=was, intact=intact, took=took, **known)


def _patch(row: Mapping[str, Any], **known: Any) -> Patch:
    return Patch(row["patch_id"], row["plan_id"], row["lead_id"], **known)


def document_of(value: Any) -> Any:
    """Reads a JSON document of the tables written, which some warehouses give as text."""
    return orjson.loads(value) if isinstance(value, str) else value


def object_of(value: Any, null: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Reads a JSON object of the tables written; None where somebody made it something else."""
    try:
        document = document_of(value)
    except ValueError:
        return None
    if document is None:
        return null
    return document if isinstance(document, dict) else None


def is_lead_id(value: Any) -> bool:
    """Tells whether an id is one of a lead; it becomes a part of a URL."""
    try:
        return bool(parse_uuid(value) == value)
    except ValueError:
        return False


def readers_for(description: Sequence[Sequence[Any]]) -> list[tuple[str, Reader]]:
    """Returns each column's name, in lower case, and how its values are to be read."""
    return [(name.lower(), _reader(str(kind))) for name, kind, *_ in description]


def read_row(values: Sequence[Any], readers: Sequence[tuple[str, Reader]]) -> dict[str, Any]:
    """Returns a row by column name."""
    return {name: read(value) for (name, read), value in zip(readers, values, strict=True)}


def patches_by_lead(patches: Iterable[Patch]) -> Iterator[list[Patch]]:
    """Groups patches that come in the order of sending."""
    return (list(group) for _, group in groupby(patches, lambda patch: patch.lead_id))


def _reader(kind: str) -> Reader:
    """Returns how values of a type are read: DuckDB has words for types, PostgreSQL numbers."""
    if kind in ("DATE", "1082", "1114", "1184") or kind.startswith("TIMESTAMP"):
        return _from_moment
    if kind in ("JSON", "114", "3802"):
        return _from_json
    return {"FLOAT": _from_single, "790": _from_money}.get(kind, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def _from_json(value: Any) -> Any:
    """Reads a JSON column, whose null is NULL and whose text is text without quotes."""
    try:
        return from_json(value) if isinstance(value, str) else value
    except ValueError as error:
        return Unreadable(value, str(error))


def _from_moment(value: Any) -> Any:
    """Reads a date or a timestamp; one that Python has no date for comes as text."""
    if isinstance(value, str):
        return Unreadable(value, "is not in the years 1 to 9999; mend it, or use NULL for none")
    return value


def _from_money(value: Any) -> Any:
    """Refuses what PostgreSQL spells as the language of its server does."""
    return value and Unreadable(str(value), "is of the type money; cast it to numeric")


def _from_single(value: float | None) -> float | None:
    """Reads a single-precision number by its own digits: 50.1, not 50.099998474121094."""
    if value is None or not math.isfinite(value):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((one for one in shorter if _single(one) == value), value)


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


class IdMaker:
    """Makes ids that sort by the time at which they were made, such as 20261231-235959-1a2b3c.

    Of the last six digits, three are milliseconds and three are random. Within a process each id
    is larger than the one before, even when the clock was set back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> str:
        """Returns the next id."""
        with self._lock:
            self._last = max(time.time_ns() // 1_000_000, self._last + 1)
            seconds, milliseconds = divmod(self._last, 1000)
        second = datetime.fromtimestamp(seconds, UTC)
        return f"{second:%Y%m%d-%H%M%S}-{milliseconds:03x}{secrets.randbelow(16**3):03x}"


new_id = IdMaker()


def patch_rows(plan_id: str, number: int, decision: Planned) -> Iterator[TableRow]:
    """Yields the rows of `lead_patches` for a plan's lead; ids sort in the order of sending.

    Args:
        plan_id: The plan.
        number: The lead's place in it, from 1 on.
        decision: What is to be changed.
    """
    for step, change in enumerate(decision.changes, 1):
        yield vars(
            PatchRow(
                patch_id=f"{plan_id}-{number:08d}-{step}",
                plan_id=plan_id,
                lead_id=decision.lead_id,
                body=change.body,
                before=change.before,
                digest=digest(change.body),
                conditions=dict(change.conditions) or None,
                planned_at=pendulum.now("UTC"),
            )
        )


def rewritten_row(patch: Patch) -> TableRow:
    """Returns the row of a patch that was sent otherwise than it was planned."""
    return vars(
        PatchRow(
            patch_id=patch.patch_id,
            plan_id=patch.plan_id,
            lead_id=patch.lead_id,
            body=patch.body,
            before=patch.before,
            digest=digest(patch.body),
            conditions=dict(patch.conditions) or None,
            planned_at=patch.planned_at or pendulum.now("UTC"),
        )
    )


def settled_rows(run_id: str, plan_id: str, number: int, settled: NotSent) -> Iterator[TableRow]:
    """Yields an outcome for each row of the desired table that gets no patch for a reason.

    Args:
        run_id: The run that settles it.
        plan_id: Its plan.
        number: The lead's place in it, from 1 on.
        settled: The reason, and how many rows there are.
    """
    for row in range(1, settled.rows + 1):
        outcome_id = f"{run_id}-row-{number:08d}-{row}"
        yield _not_sent_row(outcome_id, run_id, plan_id, settled, pendulum.now("UTC"))


def _not_sent_row(
    outcome_id: str, run_id: str, plan_id: str, settled: NotSent, at: datetime
) -> TableRow:
    return vars(
        OutcomeRow(
            outcome_id=outcome_id,
            run_id=run_id,
            plan_id=plan_id,
            lead_id=settled.lead_id,
            status=settled.status,
            reason=settled.reason,
            took=[],
            finished_at=at,
            **_in_conflict(settled.conflicts),
        )
    )


def left_out_row(plan_id: str, number: int, settled: NotSent) -> TableRow:
    """Returns a lead that a plan leaves out for a reason, all of it or a part.

    Args:
        plan_id: The plan.
        number: The lead's place in it, from 1 on.
        settled: The reason, and what of the lead is left out.
    """
    keys = [key for one in settled.conflicts for key in one.wanted]
    told = settled.lead_id, settled.status, settled.reason, keys or None
    row = LeftOutRow(f"{plan_id}-row-{number:08d}", plan_id, *told, pendulum.now("UTC"))
    return vars(row)


def outcome_rows(run_id: str, outcome: Outcome) -> Iterator[TableRow]:
    """Yields the outcome of a patch, and that of the fields that were kept from it."""
    yield outcome_row(run_id, outcome)
    if outcome.kept:
        patch, at = outcome.patch, outcome.finished_at
        kept = conflicting(patch.lead_id, outcome.kept)
        yield _not_sent_row(f"{patch.patch_id}{KEPT}", run_id, patch.plan_id, kept, at)


def outcome_row(run_id: str, outcome: Outcome) -> TableRow:
    """Returns the outcome of a patch; its id is the patch's, so that there is never a second."""
    patch, lead, error = outcome.patch, outcome.lead, outcome.error
    answer = error.answer if error else None
    return vars(
        OutcomeRow(
            outcome_id=patch.patch_id,
            run_id=patch.sent_by or run_id,
            settled_by=run_id if patch.sent_by else None,
            plan_id=patch.plan_id,
            patch_id=patch.patch_id,
            lead_id=patch.lead_id,
            status=outcome.status,
            reason=outcome.reason,
            body=patch.body,
            before=patch.before,
            after=None if lead is None else {key: lead.get(key) for key in patch.body},
            took=None if outcome.took is None else list(outcome.took),
            lead_updated=_update_time(lead),
            http_status=_http_status(outcome),
            error=(answer and answer.text("error")) or str(error) if error else None,
            error_info=(answer and answer.text("error_info")) or None,
            attempts=outcome.attempts,
            tokens=outcome.tokens,
            waited_seconds=outcome.waited_seconds,
            sent_at=outcome.sent_at or (None if outcome.took == () else patch.sent_at),
            finished_at=outcome.finished_at,
        )
    )


def change_rows(outcome: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[TableRow]:
    """Yields a row of `lead_field_changes` for each field that an outcome's patch has changed.

    Args:
        outcome: The row of `lead_outcomes`.
        names: What people call each field, by its key.
    """
    took = document_of(outcome["took"]) or ()
    if outcome["patch_id"] is None or not took:
        return
    body, before, after = (document_of(outcome[name]) or {} for name in ("body", "before", "after"))
    for key in took:
        old, new = _told(before.get(key)), _told(as_kept(body.get(key), after.get(key)))
        if old != new:
            yield vars(
                ChangeRow(
                    change_id=f"{outcome['patch_id']}-{key}",
                    changed_at=outcome["sent_at"] or outcome["finished_at"],
                    run_id=outcome["run_id"],
                    lead_id=outcome["lead_id"],
                    field=names.get(key, key),
                    old=old,
                    new=new,
                    status=outcome["status"],
                    key=key,
                    patch_id=outcome["patch_id"],
                )
            )


def _told(value: Any) -> str | None:
    """Returns a value as the audit tells it; an empty list is nothing."""
    if value is None or value == []:
        return None
    return value if isinstance(value, str) else orjson.dumps(escape(value)).decode()


def _update_time(lead: Mapping[str, Any] | None) -> str | None:
    found = (lead or {}).get("update_time")
    return None if found is None else str(found)


def tried_of(row: Mapping[str, Any]) -> Tried:
    """Returns what a row of `lead_outcomes` says of a PATCH that was not taken."""
    return Tried(
        row["status"],
        document_of(row["body"]) or {},
        document_of(row["after"]) or {},
        row["lead_updated"],
        str(row["error"] or row["reason"]),
    )


def settling_row(run_id: str, outcome: Outcome) -> TableRow:
    """Returns the further row that tells what took effect of a patch that was left in doubt."""
    patch = outcome.patch
    own = {"outcome_id": f"{patch.patch_id}{SETTLING}", "sent_at": patch.sent_at}
    return outcome_row(run_id, outcome) | own


def is_settling(row: Mapping[str, Any]) -> bool:
    """Tells whether a row of `lead_outcomes` is the further one that settles a patch."""
    return str(row["outcome_id"]).endswith(SETTLING)


def _in_conflict(conflicts: Sequence[Conflict]) -> dict[str, Any]:
    """The three values of each field that is kept: wanted, expected, and as it is."""
    if not conflicts:
        return {}
    return {
        "body": {key: value for one in conflicts for key, value in one.wanted.items()},
        "before": {key: value for one in conflicts for key, value in one.expected.items()},
        "after": {key: value for one in conflicts for key, value in one.current.items()},
    }


def _http_status(outcome: Outcome) -> int | None:
    if outcome.error is not None:
        return outcome.error.answer.status if outcome.error.answer else None
    return 200 if outcome.status in ("applied", "ignored") else None
