"""What is true of a field that was sent, or was to be: ours, untouched or theirs. No I/O.

Whatever is in doubt, interrupted, refused, planned earlier or taken back asks this one question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from connector.planning.model import Conditions, Conflict, Lead, Patch
from connector.records.fields import Field, Values, fields_of, pick
from connector.records.kinds import Json

Truth = Literal["ours", "untouched", "theirs"]
DECIMALS = range(7)
"""Digits behind the point to which a number may be rounded in the answer to its own PATCH."""
CENTS = DECIMALS[2:]
"""Those where nothing shows that it was taken: a whole number may be a person's, or of before."""


def truth_of(
    field: Field,
    before: Values,
    body: Values,
    now: Values,
    wish: Mapping[str, Json] | None = None,
) -> Truth:
    """Tells what became of one field.

    Args:
        field: The field; one of several keys is one.
        before: What was there, under the body's keys and under those that go with them.
        body: What was sent, or is to be.
        now: The record as it is.
        wish: What is wanted of it relative to what is there, such as a label to add. A record to
            which somebody has added another label as well still says it.

    Returns:
        "ours" where the record says what the body says, "untouched" where it still says what was
        there, and "theirs" where it says something third.
    """
    if field.agrees(now, body, [key for key in field.keys if key in body]):
        return "ours"
    if wish is not None and _is_granted(field, wish, now) and not _is_granted(field, wish, before):
        return "ours"
    touched = [key for key in field.keys if key in body or key in before]
    return "untouched" if field.agrees(now, before, touched) else "theirs"


def _is_granted(field: Field, wish: Mapping[str, Json], values: Values) -> bool:
    have = field.read(values)
    try:
        return bool(field.complete(field.read_wish(wish), have) == have)
    except ValueError:  # what the wish leaves open is not there
        return False


@dataclass(frozen=True)
class Effect:
    """What of a body is in effect: its keys, by what is true of their fields.

    Attributes:
        tidied: Those not of `ours` that have what the CRM makes of the body's value.
    """

    ours: tuple[str, ...]
    untouched: tuple[str, ...]
    theirs: tuple[str, ...]
    tidied: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is in effect."""
        return not self.untouched and not self.theirs

    @property
    def edited(self) -> tuple[str, ...]:
        """Those of `theirs` that are not just tidied."""
        return tuple(key for key in self.theirs if key not in self.tidied)

    @property
    def lost(self) -> tuple[str, ...]:
        """The keys that the CRM did not take, not even tidied."""
        return tuple(key for key in self.untouched if key not in self.tidied) + self.edited

    @property
    def took(self) -> tuple[str, ...]:
        """The keys that are as they are through the body."""
        return (*self.ours, *(key for key in self.theirs if key in self.tidied))


def effect_of(
    before: Values,
    body: Values,
    now: Values,
    fields: Mapping[str, Field],
    conditions: Conditions | None = None,
    decimals: Sequence[int] = CENTS,
) -> Effect:
    """Tells of each key of a body what is true of its field; see `truth_of`.

    Args:
        before: What was there.
        body: What was sent, or is to be.
        now: The record as it is.
        fields: The fields by key.
        conditions: What of the record the body was made from, by field.
        decimals: Digits behind the point to which a number that is new may be rounded.
    """
    truths = {
        key: truth_of(field, before, body, now, (conditions or {}).get(field.key, {}).get("wish"))
        for field in fields_of(body, fields)
        for key in field.keys
    }

    def keys(truth: Truth) -> tuple[str, ...]:
        return tuple(key for key in body if truths[key] == truth)

    untouched, theirs = keys("untouched"), keys("theirs")
    tidied = [key for key in untouched if is_tidied(body[key], now.get(key), CENTS)]
    tidied += [key for key in theirs if is_tidied(body[key], now.get(key), decimals)]
    return Effect(keys("ours"), untouched, theirs, tuple(tidied))


def is_tidied(sent: Json, shown: Json, decimals: Sequence[int] = DECIMALS) -> bool:
    """Tells whether a value is what the CRM makes of one that it keeps trimmed or rounded.

    Args:
        sent: What was sent.
        shown: What the record has.
        decimals: Digits behind the point to which it may be rounded.
    """
    if isinstance(sent, str) and (shown is None or isinstance(shown, str)):
        return sent.split() == (shown or "").split()
    if isinstance(sent, dict) and isinstance(shown, dict):
        return sent.keys() == shown.keys() and all(
            sent[key] == shown[key] or is_tidied(sent[key], shown[key], decimals) for key in sent
        )
    numbers = isinstance(sent, int | float) and isinstance(shown, int | float)
    return numbers and any(
        round(shown, digits) == shown and abs(sent - shown) < 0.500001 * 10.0**-digits
        for digits in decimals
    )


def as_kept(sent: Json, shown: Json) -> Json:
    """Returns a value that took effect as the CRM keeps it: tidied, where it shows it so."""
    return shown if is_tidied(sent, shown) else sent


def changed_since(
    patch: Patch, keys: Iterable[str], current: Lead, fields: Mapping[str, Field]
) -> Iterator[Conflict]:
    """Yields what somebody else has changed of a patch: what was, what is and what was wanted.

    Args:
        patch: The patch.
        keys: Keys of its body whose fields were changed.
        current: The lead as it is.
        fields: The lead's fields by key.
    """
    for field in fields_of(keys, fields):
        yield conflict_of(field, patch, current, "changed in Pipedrive since it was planned")


def conflict_of(field: Field, patch: Patch, current: Lead, why: str) -> Conflict:
    """Returns a field of a patch that is not sent: what was there, what is and what was wanted.

    Args:
        field: The field.
        patch: The patch.
        current: The lead as it is.
        why: What keeps it.
    """
    keys = [key for key in field.keys if key in patch.before]
    expected, have, wanted = (pick(of, keys) for of in (patch.before, current, patch.body))
    return Conflict(field, expected, have, wanted, why)
