"""What becomes of patches that were planned earlier, seen beside their leads. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from connector.columns import Columns
from connector.conflicts import Conflict
from connector.diff import Lead, Planned, decide, field_of, shows
from connector.fields import Field
from connector.outcome import DAMAGED, Outcome
from connector.rows import Comparison, Patch


def settle_interrupted(
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
        is_ours = one.field.read(current) == one.field.read(patch.body)
        if columns.conflict_rule(one.field) in ("crm", "fail") and not is_ours:
            yield one


def settle_planned(
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
    for key, planned in patch.before.items():
        field = field_of(key, fields)
        if field.read(current) != field.read(patch.before):
            why = "changed in Pipedrive since it was planned"
            yield Conflict(field, planned, current.get(key), patch.body.get(key), why)


def _still_wanted(
    patches: list[Patch], found: Comparison, columns: Columns, *, unarchive: bool
) -> bool:
    if not patches or not found.rows:
        return False
    decision = decide(
        found.rows, found.current, columns, unarchive=unarchive, written=found.written
    )
    bodies = [change.body for change in decision.changes] if isinstance(decision, Planned) else []
    return bodies == [patch.body for patch in patches]
