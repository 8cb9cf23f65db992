"""What becomes of patches that were planned earlier, seen beside their leads. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.columns import Columns
from connector.conflicts import Conflict
from connector.diff import Lead, Planned, decide, shows, unknown_field
from connector.fields import Field
from connector.outcome import Outcome
from connector.rows import Comparison, Patch

DAMAGED = "interrupted, and the warehouse does not give its body back as it was planned"


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
    damaged = [patch for patch in found.patches if not patch.intact]
    if damaged:
        return [Outcome(patch, "failed", DAMAGED) for patch in found.patches]
    in_effect = [patch for patch in found.patches if shows(patch.body, current, fields)]
    outcomes = [_confirmed(patch, found) for patch in in_effect]
    rest = [patch for patch in found.patches if patch not in in_effect]
    if not _still_wanted(rest, found, columns, unarchive=unarchive):
        reason = "interrupted before it took effect, and no longer what is wanted"
        outcomes += [Outcome(patch, "deferred", reason) for patch in rest]
    return outcomes


def settle_planned(found: Comparison, fields: Mapping[str, Field]) -> list[Outcome]:
    """Returns an outcome for each patch of a stored plan that must not be sent to its lead.

    A lead is sent its patches only where every field that they change is still as planned.
    """
    current = found.current
    if current is None:
        reason = "no such lead any more; not sent"
        return [Outcome(patch, "not_found", reason) for patch in found.patches]
    in_effect = [patch for patch in found.patches if shows(patch.body, current, fields)]
    outcomes = [_confirmed(patch, found) for patch in in_effect]
    rest = [patch for patch in found.patches if patch not in in_effect]
    changed = [str(one) for patch in rest for one in _changed_since(patch, current, fields)]
    if changed:
        reason = f"{'; '.join(changed)}; lead updated {current.get('update_time')}"
        lead = dict(current)
        outcomes += [Outcome(patch, "conflict", reason, lead=lead) for patch in rest]
    return outcomes


def unreadable(found: Comparison, trouble: str) -> list[Outcome]:
    """Returns the outcomes where the lead cannot be read: it is never written blindly."""
    reason = f"interrupted, and the lead cannot be read, so it may be in effect: {trouble}"
    return [Outcome(patch, "failed", reason) for patch in found.patches]


def _confirmed(patch: Patch, found: Comparison) -> Outcome:
    lead = dict(found.current or {})
    return Outcome(patch, "confirmed", "found in effect after an interruption", lead=lead)


def _changed_since(patch: Patch, current: Lead, fields: Mapping[str, Field]) -> Iterator[Conflict]:
    for key, planned in patch.before.items():
        field = fields.get(key) or unknown_field(key)
        if field.read(current) != field.read(patch.before):
            why = "changed in Pipedrive since it was planned"
            yield Conflict(field, planned, current.get(key), patch.body.get(key), why)


def _still_wanted(
    patches: list[Patch], found: Comparison, columns: Columns, *, unarchive: bool
) -> bool:
    if not patches or not found.rows:
        return False
    decision = decide(found.rows, found.current, columns, unarchive=unarchive)
    bodies = [change.body for change in decision.changes] if isinstance(decision, Planned) else []
    return bodies == [patch.body for patch in patches]
