"""What a run wrote × what is → the PATCH that brings back what was. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from connector.conflicts import Conflict
from connector.desired import RowRejected
from connector.diff import (
    Change,
    Decision,
    Lead,
    Settled,
    conflicting,
    field_of,
    keep_person_or_organization,
    planned,
)
from connector.fields import Field, base_key
from connector.kinds import Json
from connector.rows import Comparison

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
        return Settled(lead_id, "not_found", "no such lead any more; nothing to bring back")
    wrote, before = _written(found)
    sent = [field_of(key, fields) for key in wrote]
    chosen = [field for field in sent if not only or base_key(field.key) in only]
    conflicts = tuple(_conflicts(chosen, fields, wrote, before, current))
    kept = {base_key(one.field.key) for one in conflicts}
    restored = [field for field in chosen if base_key(field.key) not in kept]
    change = _change(restored, before, current)
    if conflicts and not change.body:
        return conflicting(lead_id, conflicts)
    try:
        keep_person_or_organization(change.body, current)
    except RowRejected as error:
        return Settled(lead_id, "rejected", str(error))
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
        have, was = field.read(current), field.read(before)
        values = wrote[field.key], current.get(field.key), before.get(field.key)
        if have == was:
            continue
        # Neither the account nor the lead shows it: sent, it would cost the lead its other fields.
        if field.key not in fields and current.get(field.key) is None:
            yield Conflict(field, *values, DELETED)
        elif have != field.read(wrote):
            yield Conflict(field, *values, SINCE)
        elif was is None and not field.clearable and field.amount_key is None:
            yield Conflict(field, *values, LASTING)


def _change(fields: list[Field], before: Mapping[str, Any], current: Lead) -> Change:
    differing = [field for field in fields if field.read(before) != field.read(current)]
    body = {field.key: _as_it_was(field, before.get(field.key)) for field in differing}
    cleared = {key for key, value in body.items() if value is None}
    # A currency goes with its amount: where that is cleared, it is not sent.
    gone = [field.key for field in differing if field.amount_key in cleared]
    return Change(body, {key: current.get(key) for key in body}).without(gone)


def _as_it_was(field: Field, value: Json) -> Json:
    """Returns the value itself where it can be sent, so that labels keep their order."""
    normal = field.read({field.key: value})
    written = field.write(normal)
    are_numbers = {type(value), type(written)} == {int, float}
    if normal is None or not (are_numbers or isinstance(value, type(written))):
        return written
    same_keys = not isinstance(value, dict) or value.keys() == written.keys()
    return value if same_keys else written
