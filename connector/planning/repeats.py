"""What Pipedrive refused or did not take before, and would not take again. No I/O.

Pipedrive keeps some values tidied (trimmed, rounded), and refuses some bodies. As long as the
wish and the lead stay as they are, sending them again costs tokens and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from connector.planning.diff import conflicting
from connector.planning.model import Change, Decision, Lead, NotSent, Planned, Tried, Unchanged
from connector.records.fields import Field, fields_of
from connector.records.leads import LEADS


def without_repeats(
    decision: Decision, current: Lead | None, tried: Sequence[Tried], fields: Mapping[str, Field]
) -> Decision:
    """Takes out of a decision what was tried before, on the same lead as it is now.

    Args:
        decision: What is to be sent.
        current: The lead as it is.
        tried: What was sent to it before, and not taken.
        fields: The lead's fields by key.
    """
    if not tried or not isinstance(decision, Planned) or current is None:
        return decision
    for one in tried:
        if one.status != "ignored" and _is_refused_again(decision.changes, one, current, fields):
            reason = f"refused before: {one.error}; nothing of it has changed since, so it is not "
            hint = "sent again; `--retry-failed` sends it"
            refused = NotSent(decision.lead_id, one.status, f"{reason}{hint}")
            return replace(refused, base=decision.base)
    ignored = [one for one in tried if one.status == "ignored"]
    shorter = (_without_ignored(change, ignored, current, fields) for change in decision.changes)
    # What is behind a change that would be ignored, such as bringing a lead back, is in vain too.
    changes = tuple(takewhile(lambda change: change.body, shorter))
    if changes:
        return replace(decision, changes=changes)
    if decision.conflicts:
        return replace(conflicting(decision.lead_id, decision.conflicts), base=decision.base)
    return Unchanged(decision.lead_id, decision.kept_nulls, decision.base)


def _is_refused_again(
    changes: Iterable[Change], tried: Tried, current: Lead, fields: Mapping[str, Field]
) -> bool:
    """Tells whether one of the bodies was refused, of a lead that has not changed since."""
    if tried.lead_updated is None or current.get("update_time") != tried.lead_updated:
        return False
    if tried.status == "archived" and LEADS.archive_key not in tried.body:
        return False  # it is refused as long as the lead is archived, not as what it is
    return any(
        change.body.keys() == tried.body.keys()
        and all(
            field.agrees(change.body, tried.body)
            and field.agrees(current, tried.after, change.body.keys())  # the time may stand still
            for field in fields_of(change.body, fields)
        )
        for change in changes
    )


def _without_ignored(
    change: Change, ignored: Iterable[Tried], current: Lead, fields: Mapping[str, Field]
) -> Change:
    again = [
        field
        for one in ignored
        for field in fields_of(change.body, fields)
        if {key for key in field.keys if key in change.body} <= one.body.keys()
        and field.agrees(change.body, one.body, change.body.keys())
        and field.agrees(current, one.after, change.body.keys())
    ]
    return change.without(again)
