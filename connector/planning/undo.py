"""How a lead gets back what a run took from it. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from connector.planning.desired import RowRejected, keep_one_of
from connector.planning.diff import conflicting, planned
from connector.planning.model import Change, Comparison, Conflict, Decision, Lead, NotSent
from connector.records.definitions import companions_of_cleared, currencies_given
from connector.records.fields import Field, fields_of, pick

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
        gone = patch.before.keys() & {*companions_of_cleared(patch.body)}
        wrote = {**wrote, **dict.fromkeys(gone), **patch.body}
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
        elif not field.agrees(current, wrote, differing) or not field.agrees(
            current, before, _left_alone(field, wrote, before)
        ):
            why = SINCE
        elif not field.clearable and field.is_blank(before):
            why = LASTING
        if why:
            values = pick(wrote, keys), pick(current, keys), pick(before, keys)
            yield Conflict(field, *values, why)


def _left_alone(field: Field, wrote: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Returns the keys of a field that the run left as they were.

    A currency that was not there came with the amount.
    """
    changed = {*wrote, *currencies_given(wrote, before)}
    return [key for key in field.keys if key in before and key not in changed]


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
