"""The decision made anew on a lead that is looked at directly before its PATCH. No I/O.

A body that was made from the lead's other state is only as true as that state: labels that a row
adds to, the half of a value that it leaves to the lead, a blank that it fills, a value that
nobody in the CRM has edited. All of it may have changed since the list was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.planning.columns import Columns
from connector.planning.desired import Desired, keep_one_of
from connector.planning.model import Change, Condition, Conflict, Lead, Patch
from connector.planning.truth import Truth, changed_since, conflict_of, effect_of, truth_of
from connector.records.fields import Field, Values, fields_of
from connector.records.kinds import Normal
from connector.records.leads import LEADS


def conditions_of(body: Values, desired: Desired, columns: Columns) -> dict[str, Condition]:
    """Returns what of the lead each field of a body was made from; nothing for most.

    Args:
        body: The body of a PATCH.
        desired: What it was made for.
        columns: The rules.
    """
    found = {
        field.key: _condition(field, body, desired, columns)
        for field in desired.fields
        if not body.keys().isdisjoint(field.keys)
    }
    return {key: condition for key, condition in found.items() if condition}


def _condition(field: Field, body: Values, desired: Desired, columns: Columns) -> Condition:
    condition: Condition = {}
    wish = field.write_wish(desired.fields[field])
    if wish is not None and _takes_from_lead(field, wish, body):
        condition["wish"] = wish
    if field.key in columns.only_if_blank:
        condition["only_if_blank"] = True
    if (rule := columns.conflict_rule(field)) != "warehouse":
        condition["on_conflict"] = rule
    if field.key in LEADS.one_of and all(body.get(key) is None for key in LEADS.one_of):
        condition["one_of"] = True
    return condition


def _takes_from_lead(field: Field, wish: Values, body: Values) -> bool:
    """Tells whether a body has more of a field than its row gives."""
    keys = {part.key for part in field.parts if part.name not in wish}
    return not field.parts or not keys.isdisjoint(body)


@dataclass(frozen=True)
class Anew:
    """What is to be sent to a lead as it is now.

    Attributes:
        change: The body, maybe empty, and what is there now.
        conflicts: Fields that are not sent any more, as somebody has changed them.
        stops: Whether one of them keeps the whole lead from being written.
    """

    change: Change
    conflicts: tuple[Conflict, ...] = ()
    stops: bool = False


def decide_anew(patch: Patch, now: Lead, fields: Mapping[str, Field]) -> Anew:
    """Decides again what of a patch is to be sent.

    Args:
        patch: The patch as it was planned.
        now: The lead as it is.
        fields: The lead's fields by key.

    Raises:
        RowRejected: It cannot be sent to the lead as it is.
    """
    body: dict[str, Any] = {}
    before: dict[str, Any] = {}
    conflicts: list[Conflict] = []
    stops = False
    left = patch.body_left
    for field in fields_of(left, fields):
        condition = patch.conditions.get(field.key, {})
        truth = truth_of(field, patch.before, left, now, condition.get("wish"))
        if truth == "ours":
            continue
        if why := _why_not(field, condition, truth, now):
            conflicts.append(conflict_of(field, patch, now, why))
            stops = stops or condition.get("on_conflict") == "fail"
        else:
            sent = _body_of(field, condition, left, now)
            body |= sent
            before |= field.before(sent, now)
    if not stops:
        keep_one_of(body, now)
    return Anew(Change(body, before, patch.conditions), tuple(conflicts), stops)


def decide_exactly(patch: Patch, now: Lead, fields: Mapping[str, Field]) -> Anew:
    """Decides again what of a stored plan's patch is to be sent: nothing that it did not foresee.

    Args:
        patch: The patch as it was planned.
        now: The lead as it is.
        fields: The lead's fields by key.

    Raises:
        RowRejected: It cannot be sent to the lead as it is.
    """
    left = patch.body_left
    effect = effect_of(patch.before, left, now, fields)
    conflicts = tuple(changed_since(patch, effect.theirs, now, fields))
    body = {key: left[key] for key in effect.untouched}
    if not conflicts:
        keep_one_of(body, now)
    return Anew(Change(body, dict(patch.before)), conflicts, stops=bool(conflicts))


def _why_not(field: Field, condition: Condition, truth: Truth, now: Lead) -> str:
    """Tells why a field is not sent any more, or nothing where it is."""
    if truth == "untouched":
        return ""
    if condition.get("only_if_blank") and not field.is_blank(now):
        return "filled in Pipedrive since it was planned (only_if_blank)"
    if rule := condition.get("on_conflict"):
        return f"changed in Pipedrive since it was planned (on_conflict {rule})"
    try:
        _wanted(field, condition, now)
    except ValueError as error:
        return f"changed in Pipedrive since it was planned; it {error}"
    return ""


def _body_of(field: Field, condition: Condition, left: Values, now: Lead) -> dict[str, Any]:
    """Returns what a field is sent, to a lead as it is now."""
    if "wish" not in condition:
        return {key: left[key] for key in field.keys if key in left}
    return field.with_companions(field.write(_wanted(field, condition, now), field.read(now)), now)


def _wanted(field: Field, condition: Condition, now: Lead) -> Normal:
    """Returns what is wanted of a field in full.

    Raises:
        ValueError: What the row leaves to the lead is not there.
    """
    wish = condition.get("wish")
    return None if wish is None else field.complete(field.read_wish(wish), field.read(now))
