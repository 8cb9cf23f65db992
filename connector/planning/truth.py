"""What is true of a field that was sent, or was to be: ours, untouched or theirs. No I/O.

Whatever is in doubt, interrupted, refused, planned earlier or taken back asks this one question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from connector.records.fields import Field, Values, fields_of

Truth = Literal["ours", "untouched", "theirs"]


def truth_of(field: Field, before: Values, body: Values, now: Values) -> Truth:
    """Tells what became of one field.

    Args:
        field: The field; one of several keys is one.
        before: What was there, under the body's keys and under those that go with them.
        body: What was sent, or is to be.
        now: The record as it is.

    Returns:
        "ours" where the record says what the body says, "untouched" where it still says what was
        there, and "theirs" where it says something third.
    """
    if field.agrees(now, body, [key for key in field.keys if key in body]):
        return "ours"
    touched = [key for key in field.keys if key in body or key in before]
    return "untouched" if field.agrees(now, before, touched) else "theirs"


@dataclass(frozen=True)
class Effect:
    """What of a body is in effect: its keys, by what is true of their fields."""

    ours: tuple[str, ...]
    untouched: tuple[str, ...]
    theirs: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is in effect."""
        return not self.untouched and not self.theirs


def effect_of(before: Values, body: Values, now: Values, fields: Mapping[str, Field]) -> Effect:
    """Tells of each key of a body what is true of its field; see `truth_of`."""
    truths = {
        key: truth_of(field, before, body, now)
        for field in fields_of(body, fields)
        for key in field.keys
    }

    def keys(truth: Truth) -> tuple[str, ...]:
        return tuple(key for key in body if truths[key] == truth)

    return Effect(keys("ours"), keys("untouched"), keys("theirs"))
