"""What both sides last agreed on of a lead's fields, and what moves it. No I/O.

A base has, by wire key, what the warehouse and the CRM both said when they last said the same:
found equal, or written and taken. A null is agreed on as any value is; a key that is not there
was never agreed on. No clock has a say in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal

from connector.planning.model import Lead, Outcome
from connector.planning.truth import as_kept, is_tidied
from connector.records.definitions import companions_of_cleared, currencies_given
from connector.records.fields import Field, Values, base_key
from connector.records.kinds import ID_KEYS, Json, read_id

Standing = Literal["unagreed", "agreed", "edited"]


def standing_of(field: Field, base: Values, current: Lead) -> Standing:
    """Tells how a field of the CRM stands to what was last agreed on.

    Of a field of two keys the whole counts: one that differs makes it edited.

    Args:
        field: The field.
        base: What both sides last agreed on, by key.
        current: The lead as it is.

    Returns:
        "unagreed" where nothing ever was, "agreed" where it is still so, and "edited" where it
        was changed in the CRM since.
    """
    known = [key for key in field.keys if key in base]
    if not known:
        return "unagreed"
    if len(known) == len(field.keys):
        return "agreed" if field.read(base) == field.read(current) else "edited"
    return "agreed" if field.agrees(base, current, known) else "edited"


def agree(base: Values, fields: Iterable[Field], body: Values, current: Lead) -> dict[str, Any]:
    """Returns a base moved to what a row and a lead were found to say alike.

    Args:
        base: What was agreed on before.
        fields: The fields that were compared.
        body: What differs; its keys wait until they are taken.
        current: The lead.
    """
    moved = dict(base)
    waiting = {*body, *companions_of_cleared(body)}
    for field in fields:
        for key in field.keys:
            known = key in base and field.agrees(base, current, (key,))
            if key not in waiting and not known:
                moved[key] = field.as_it_was(key, current)
    return moved


def moves(outcome: Outcome) -> bool:
    """Tells whether an outcome can say anything about what is agreed on."""
    return bool(outcome.took) or outcome.lead is not None or "conflict" in outcome.statuses


def settle(base: Values, outcome: Outcome) -> dict[str, Any]:
    """Returns a base moved by what became of a patch."""
    patch, lead = outcome.patch, outcome.lead
    expected = {key: value for one in outcome.kept for key, value in one.expected.items()}
    moved = moved_by(
        base,
        outcome.status,
        outcome.took or (),
        body=patch.body,
        before=patch.before,
        shown={} if lead is None else {key: lead.get(key) for key in patch.body},
    )
    return {**expected, **moved}


def moved_by(
    base: Values,
    status: str,
    took: Collection[str],
    *,
    body: Values,
    before: Values,
    shown: Values,
) -> dict[str, Any]:
    """Returns a base moved by a patch: to what it brought about, or to what it met.

    A patch that met an edit and had no base to tell it by leaves what it had expected, so that
    the next run keeps the edit as well; whatever the status, as a refusal may hide an edit.

    Args:
        base: What was agreed on before.
        status: The outcome's status.
        took: The keys of the body that are in effect through the patch.
        body: What was to be written.
        before: What was there when it was planned.
        shown: What the lead had under the body's keys afterwards; nothing where that is not known.
    """
    says = is_tidied if status == "ignored" else _is_same
    agreed = {
        key: as_kept(value, shown.get(key, value))
        for key, value in body.items()
        if key in took or (key in shown and (shown[key] == value or says(value, shown[key])))
    }
    gone = {*companions_of_cleared(agreed), *currencies_given(agreed, base)}
    moved = {key: value for key, value in base.items() if key not in gone} | agreed
    unlike = (key for key in shown if key not in agreed)
    edited = {base_key(key) for key in unlike if _is_edited(key, before, shown)}
    expected = {
        key: value
        for key, value in before.items()
        if status == "conflict" or base_key(key) in edited
    }
    return {**expected, **moved}


def _is_edited(key: str, before: Values, shown: Values) -> bool:
    """Tells whether a key that is not as it was to be is not as it was before either."""
    return key in before and not _is_same(before[key], shown[key])


def _is_same(one: Json, other: Json) -> bool:
    """Tells whether two wire values differ in their spelling alone."""
    return bool(_spelled(one) == _spelled(other))


def _spelled(value: Json) -> Json:
    if isinstance(value, list):
        return sorted(map(str, value))
    if isinstance(value, dict) and not value.keys().isdisjoint(ID_KEYS):
        value = read_id(value)
    return str(value) if isinstance(value, int) else value
