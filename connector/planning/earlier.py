"""What becomes of patches that were planned or sent earlier, now that the lead is read. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.planning.columns import Columns
from connector.planning.diff import decide
from connector.planning.model import (
    DAMAGED,
    TIDIED,
    Change,
    Comparison,
    Conditions,
    Lead,
    NotSent,
    Outcome,
    Patch,
    Planned,
)
from connector.planning.truth import Effect, changed_since, effect_of
from connector.records.fields import Field, base_key
from connector.records.leads import LEADS

Fields = Mapping[str, Field]
StillWanted = Callable[[Comparison, Sequence[Patch]], Sequence[Patch] | str]
"""Returns a lead's patches as they are still to be sent, or tells why they are not any more."""
GONE = "no such lead any more"
UNREAD_SENT = "interrupted, and the lead cannot be read, so it may be in effect"
INTERRUPTED = "interrupted before it took effect"
NOT_WANTED = f"{INTERRUPTED}, and no longer what is wanted"
LEFT_OUT = f"{INTERRUPTED}, and it has fields that --fields leaves out"
UNREAD_UNSENT = "not sent by this run, as the lead cannot be read"


@dataclass(frozen=True)
class Resolved:
    """What becomes of a lead's patches.

    Attributes:
        outcomes: Of those that must not be sent any more.
        left: Those that are still to be sent, each with what is left of it.
    """

    outcomes: list[Outcome]
    left: list[Patch]


def resolve_interrupted(found: Comparison, fields: Fields, still: StillWanted) -> Resolved:
    """Settles a lead's patches that a run was sending when it was cut off.

    What is in effect is in effect through them. What is as it was goes out under the patch's own
    id where it is still to be sent, so that each patch ends with one outcome. What somebody has
    changed meanwhile is never sent over.

    Args:
        found: The patches, and the lead as it is.
        fields: The lead's fields by key.
        still: Tells whether what is not in effect is still to be sent.
    """
    if not _are_intact(found.patches):
        return _failed(found, f"interrupted; {DAMAGED}")
    if found.current is None:
        return _gone(found)
    done, overtaken, rest = _sort(found, found.current, fields)
    outcomes = [*done, *overtaken]
    wanted = "the lead was changed in Pipedrive" if overtaken else still(found, rest)
    if isinstance(wanted, str):
        return Resolved([*outcomes, *(_dropped(patch, wanted) for patch in rest)], [])
    return Resolved(outcomes, [*wanted])


def resolve_planned(found: Comparison, fields: Fields) -> Resolved:
    """Settles what of a stored plan must not be sent to its lead.

    A lead is sent its patches only where every field that they change is as planned, or is so
    already.

    Args:
        found: The lead's patches, and the lead as it is.
        fields: The lead's fields by key.
    """
    if not _are_intact(found.patches):
        return _failed(found, DAMAGED)
    if found.current is None:
        return _gone(found)
    done, overtaken, rest = _sort(found, found.current, fields)
    lead = dict(found.current)
    unarchives = any(patch.body.get(LEADS.archive_key) is False for patch in found.patches)
    if lead.get(LEADS.archive_key) is True and not unarchives:
        is_own = any(
            LEADS.archive_key in one.took for one in (*rest, *(o.patch for o in overtaken))
        )
        unsent = rest if is_own else [*(one.patch for one in overtaken), *rest]
        archived = [
            Outcome(patch, "archived", why_archived(patch.took), took=patch.took, lead=lead)
            for patch in unsent
        ]
        return Resolved([*done, *(overtaken if is_own else ()), *archived], [])
    if overtaken:
        told = "; ".join(str(one.reason) for one in overtaken)
        behind = (Outcome(one, "conflict", told, took=one.took, lead=lead) for one in rest)
        return Resolved([*done, *overtaken, *behind], [])
    return Resolved(done, rest)


def why_archived(took: Collection[str]) -> str:
    """Tells why the rest of a patch cannot be sent to an archived lead.

    Args:
        took: The keys of the patch that are in effect through it.
    """
    if LEADS.archive_key in took:
        return "archived by this patch itself, so what is left of it cannot be sent"
    return "archived in Pipedrive since it was planned; not sent"


def resolve_doubt(found: Comparison, fields: Fields) -> list[Outcome]:
    """Settles sends that earlier runs left without an answer: what of them took effect.

    Args:
        found: The patches as they were sent, and the lead as it is.
        fields: The lead's fields by key.
    """
    if found.current is None:
        return _gone(found).outcomes
    if not _are_intact(found.patches):
        return []  # what was sent is not known, so nobody can tell what took effect
    done, overtaken, rest = _sort(found, found.current, fields)
    absent, lead = "a later run found that it took no effect", dict(found.current)
    failed = (Outcome(patch, "failed", absent, took=patch.took, lead=lead) for patch in rest)
    return [*done, *overtaken, *failed]


def unreadable(found: Comparison, trouble: str) -> list[Outcome]:
    """Returns the outcomes where the lead cannot be read: it is never written blindly."""
    return [
        Outcome(patch, "failed", f"{UNREAD_SENT}: {trouble}", took=None)
        if patch.sent_by
        else Outcome(patch, "failed", f"{UNREAD_UNSENT}: {trouble}")
        for patch in found.patches
    ]


def as_wanted(columns: Columns, *, unarchive: bool) -> StillWanted:
    """Returns what tells whether patches are still what the desired table asks for.

    They are sent under the rules of now: those may have changed since the patches were planned.
    """

    def tell(found: Comparison, rest: Sequence[Patch]) -> Sequence[Patch] | str:
        changes: Sequence[Change] = ()
        why = NOT_WANTED
        if found.rows:
            decision = decide(
                found.rows, found.current, columns, unarchive=unarchive, base=found.base
            )
            changes = decision.changes if isinstance(decision, Planned) else ()
            if isinstance(decision, NotSent):
                why = f"{INTERRUPTED}, and not sent now: {decision.reason}"
        wanted = [_besides_took(*pair) for pair in zip(rest, changes, strict=False)]
        if len(changes) != len(rest) or wanted != [patch.body_left for patch in rest]:
            left = {base_key(key) for patch in rest for key in patch.body_left}
            is_left_out = found.rows and columns.only and not left <= columns.only
            return LEFT_OUT if is_left_out else why
        pairs = zip(rest, changes, strict=True)
        return [_under(patch, change.conditions) for patch, change in pairs]

    return tell


def _besides_took(patch: Patch, change: Change) -> dict[str, Any]:
    """Returns a body without what the patch has brought about, though the CRM shows it tidied."""
    took = {key: patch.body[key] for key in patch.took}
    return {key: value for key, value in change.body.items() if took.get(key, ...) != value}


def _under(patch: Patch, conditions: Conditions) -> Patch:
    """Returns a patch with these conditions for what is left of it.

    What is in effect already keeps those that it was sent under.
    """
    left = {base_key(key) for key in patch.body_left}
    sent = {key: one for key, one in patch.conditions.items() if key not in left}
    return replace(patch, conditions={**sent, **conditions})


def _sort(
    found: Comparison, current: Lead, fields: Fields
) -> tuple[list[Outcome], list[Outcome], list[Patch]]:
    """Sorts patches into those in effect, those that somebody has overtaken, and the rest.

    Of a patch that was never sent nothing is in effect through it, whatever the lead says.
    """
    done: list[Outcome] = []
    overtaken: list[Outcome] = []
    rest: list[Patch] = []
    lead = dict(current)
    for patch in found.patches:
        unsure = {key: value for key, value in patch.body.items() if key not in patch.took}
        effect = effect_of(patch.before, unsure, current, fields, patch.conditions)
        took = (*patch.took, *effect.took) if patch.sent_by else ()
        theirs = effect.edited if patch.sent_by else effect.theirs
        if theirs:
            changed = "; ".join(map(str, changed_since(patch, theirs, current, fields)))
            reason = f"{changed}; lead updated {current.get('update_time')}"
            seen = replace(patch, took=took)
            overtaken.append(Outcome(seen, "conflict", reason, took=took, lead=lead))
        elif effect.untouched:
            rest.append(replace(patch, left=effect.untouched, took=took))
        elif effect.tidied:
            done.append(Outcome(patch, "ignored", told_tidied(effect), took=took, lead=lead))
        else:
            reason = FOUND_LATER if patch.sent_by else ALREADY_SO
            done.append(Outcome(patch, "confirmed", reason, took=took, lead=lead))
    return done, overtaken, rest


def told_tidied(effect: Effect) -> str:
    """Returns the reason of a patch that is in effect, but for what the CRM has tidied."""
    return f"{TIDIED}: {', '.join(effect.tidied)}"


ALREADY_SO = "already so in Pipedrive; not sent"
FOUND_LATER = "found in effect by a later run"


def _failed(found: Comparison, reason: str) -> Resolved:
    return Resolved([Outcome(patch, "failed", reason) for patch in found.patches], [])


def _gone(found: Comparison) -> Resolved:
    """Nothing is in effect on a lead that is not there, whatever was sent to it before."""
    unknown, unsent = f"{GONE}; whether the patch took effect is not known", f"{GONE}; not sent"
    outcomes = [
        Outcome(patch, "not_found", unknown if patch.sent_by else unsent) for patch in found.patches
    ]
    return Resolved(outcomes, [])


def _are_intact(patches: Iterable[Patch]) -> bool:
    return all(patch.intact for patch in patches)


def _dropped(patch: Patch, reason: str) -> Outcome:
    if not patch.took:
        return Outcome(patch, "deferred", reason)
    part = f"in effect in part ({', '.join(patch.took)}); the rest was not sent: {reason}"
    return Outcome(patch, "confirmed", part, took=patch.took)
