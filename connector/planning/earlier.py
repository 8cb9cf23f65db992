"""What becomes of what was planned or sent earlier: settled, or taken back. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from connector.planning.columns import Columns
from connector.planning.desired import RowRejected
from connector.planning.diff import (
    conflicting,
    decide,
    keep_one_of,
    planned,
    shows,
)
from connector.planning.model import (
    DAMAGED,
    Change,
    Comparison,
    Conflict,
    Decision,
    Lead,
    NotSent,
    Outcome,
    Patch,
    Planned,
)
from connector.records.fields import Field, fields_of, pick


def resolve_interrupted(
    found: Comparison, columns: Columns, fields: Mapping[str, Field], *, unarchive: bool = False
) -> list[Outcome]:
    """Returns an outcome for each patch of a lead that must not be sent any more.

    A patch that is not in effect and still is what the desired table asks for gets none: it
    stays released and is sent under its own id, so that it ends with exactly one outcome.
    """
    current = found.current
    if current is None:
        reason = "no such lead any more; whether the patch took effect is not known"
        return [Outcome(patch, "not_found", reason) for patch in found.patches]
    if any(not patch.intact for patch in found.patches):
        return [Outcome(patch, "failed", f"interrupted; {DAMAGED}") for patch in found.patches]
    in_effect = [patch for patch in found.patches if shows(patch.body, current, fields)]
    outcomes = [_confirmed(patch, found) for patch in in_effect]
    rest = [patch for patch in found.patches if patch not in in_effect]
    edited = "; ".join(str(one) for patch in rest for one in _edited(patch, found, columns, fields))
    if edited:
        lead = dict(current)
        outcomes += [Outcome(patch, "conflict", edited, lead=lead) for patch in rest]
    elif not _still_wanted(rest, found, columns, unarchive=unarchive):
        reason = "interrupted before it took effect, and no longer what is wanted"
        outcomes += [Outcome(patch, "deferred", reason) for patch in rest]
    return outcomes


def _edited(
    patch: Patch, found: Comparison, columns: Columns, fields: Mapping[str, Field]
) -> Iterator[Conflict]:
    """Yields what was edited in the CRM since it was planned, where such an edit is to be kept."""
    current = found.current or {}
    for one in _changed_since(patch, current, fields):
        is_ours = one.field.agrees(current, patch.body, patch.body.keys())
        if columns.conflict_rule(one.field) in ("crm", "fail") and not is_ours:
            yield one


def resolve_planned(
    found: Comparison, fields: Mapping[str, Field], *, interrupted: bool = False
) -> list[Outcome]:
    """Returns an outcome for each patch of a stored plan that must not be sent to its lead.

    A lead is sent its patches only where every field that they change is still as planned.

    Args:
        found: The lead's patches, and the lead as it is.
        fields: The lead's fields by key.
        interrupted: Whether the plan was being sent before, so that what is in effect is its own.
    """
    current = found.current
    if current is None:
        reason = "no such lead any more; not sent"
        return [Outcome(patch, "not_found", reason) for patch in found.patches]
    if any(not patch.intact for patch in found.patches):
        return [Outcome(patch, "failed", DAMAGED) for patch in found.patches]
    in_effect = [patch for patch in found.patches if shows(patch.body, current, fields)]
    rest = [patch for patch in found.patches if patch not in in_effect]
    settle = _confirmed if interrupted else _already_so
    return [*(settle(patch, found) for patch in in_effect), *_overtaken(rest, current, fields)]


def _overtaken(
    patches: list[Patch], current: Lead, fields: Mapping[str, Field]
) -> Iterator[Outcome]:
    unarchives = any(patch.body.get("is_archived") is False for patch in patches)
    changed = [str(one) for patch in patches for one in _changed_since(patch, current, fields)]
    for patch in patches:
        if current.get("is_archived") is True and not unarchives:
            yield Outcome(patch, "archived", "archived in Pipedrive since it was planned")
        elif changed:
            reason = f"{'; '.join(changed)}; lead updated {current.get('update_time')}"
            yield Outcome(patch, "conflict", reason, lead=dict(current))


def unreadable(found: Comparison, reason: str) -> list[Outcome]:
    """Returns the outcomes where the lead cannot be read: it is never written blindly."""
    return [Outcome(patch, "failed", reason) for patch in found.patches]


def _confirmed(patch: Patch, found: Comparison) -> Outcome:
    reason = "found in effect after an interruption"
    return Outcome(patch, "confirmed", reason, lead=dict(found.current or {}))


def _already_so(patch: Patch, found: Comparison) -> Outcome:
    """Somebody else has made the change: nothing here has a before to go back to."""
    lead = dict(found.current or {})
    as_found = replace(patch, before={key: lead.get(key) for key in patch.body})
    return Outcome(as_found, "confirmed", "already so in Pipedrive; not sent", lead=lead)


def _changed_since(patch: Patch, current: Lead, fields: Mapping[str, Field]) -> Iterator[Conflict]:
    for field in fields_of(patch.before, fields):
        keys = [key for key in field.keys if key in patch.before]
        if not field.agrees(current, patch.before, keys):
            expected, have = pick(patch.before, keys), pick(current, keys)
            why = "changed in Pipedrive since it was planned"
            yield Conflict(field, expected, have, pick(patch.body, keys), why)


def _still_wanted(
    patches: list[Patch], found: Comparison, columns: Columns, *, unarchive: bool
) -> bool:
    if not patches or not found.rows:
        return False
    decision = decide(found.rows, found.current, columns, unarchive=unarchive, base=found.base)
    bodies = [change.body for change in decision.changes] if isinstance(decision, Planned) else []
    return bodies == [patch.body for patch in patches]


SINCE = "changed in Pipedrive since the run"
LASTING = "Pipedrive cannot clear it"
DELETED = "the field was deleted in Pipedrive since the run"


def undo(
    found: Comparison, fields: Mapping[str, Field], only: Collection[str] = frozenset()
) -> Decision:
    """Decides how one lead gets back what a run took from it.

    A field whose value is no longer the one that the run wrote is left alone.

    Args:
        found: What the run sent to the lead, in order, and the lead as it is.
        fields: The lead's fields by key.
        only: Keys of the only fields to bring back; empty for all.
    """
    lead_id, current = str(found.lead_id), found.current
    if current is None:
        return NotSent(lead_id, "not_found", "no such lead any more; nothing to bring back")
    wrote, before = _written(found)
    chosen = [one for one in fields_of(wrote, fields) if not only or one.key in only]
    conflicts = tuple(_conflicts(chosen, fields, wrote, before, current))
    kept = {one.field for one in conflicts}
    restored = [field for field in chosen if field not in kept]
    change = _change(restored, wrote, before, current)
    if conflicts and not change.body:
        return conflicting(lead_id, conflicts)
    try:
        keep_one_of(change.body, current)
    except RowRejected as error:
        return NotSent(lead_id, "rejected", str(error))
    return planned(lead_id, change, current, conflicts, restored, unarchive=True)


def _written(found: Comparison) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what all patches of the run wrote together, and what was there before them."""
    wrote: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for patch in found.patches:
        # What was there and was not written went with a value that was cleared.
        wrote = {**wrote, **dict.fromkeys(patch.before), **patch.body}
        before = {**patch.before, **before}
    return wrote, before


def _conflicts(
    chosen: list[Field],
    fields: Mapping[str, Field],
    wrote: Mapping[str, Any],
    before: Mapping[str, Any],
    current: Lead,
) -> Iterator[Conflict]:
    for field in chosen:
        keys = [key for key in field.keys if key in wrote]
        differing = [key for key in keys if not field.agrees(current, before, (key,))]
        if not differing:
            continue
        why = ""
        # Neither the account nor the lead shows it: sent, it would cost the lead its other fields.
        if field.key not in fields and all(current.get(key) is None for key in keys):
            why = DELETED
        elif not field.agrees(current, wrote, differing):
            why = SINCE
        elif not field.clearable and field.is_blank(before):
            why = LASTING
        if why:
            values = pick(wrote, keys), pick(current, keys), pick(before, keys)
            yield Conflict(field, *values, why)


def _change(
    fields: list[Field], wrote: Mapping[str, Any], before: Mapping[str, Any], current: Lead
) -> Change:
    body: dict[str, Any] = {}
    was: dict[str, Any] = {}
    for field in fields:
        keys = [key for key in field.keys if key in wrote]
        back = {
            key: field.as_it_was(key, before)
            for key in keys
            if not field.agrees(current, before, (key,))
        }
        back = field.with_companions(back, current)
        body |= back
        was |= field.before(back, current)
    return Change(body, was)
