"""Words that several reports share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.planning.model import (
    KINDS,
    STATUSES,
    ChangeKind,
    Patch,
    kind_of_change,
)
from connector.records.fields import Field

__all__ = ["KINDS", "ChangeKind", "counted", "kind_of", "statuses_told"]


def kind_of(patch: Patch, field: Field) -> ChangeKind:
    """Tells whether a patch sets a field that was unset, changes it or clears it."""
    return kind_of_change(field, patch.before, patch.body)


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun in the right number, such as "1 lead"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def spent(tokens: int, requests: int, retries: int) -> str:
    """Returns what a run has spent.

    Args:
        tokens: How many tokens.
        requests: In how many requests.
        retries: How many of these were sent again.
    """
    return f"{counted(tokens, 'token')} in {counted(requests, 'request')}, {retries} retried"


def duration(seconds: float) -> str:
    """Returns a time as people say it, such as "40 seconds" or "3 minutes"."""
    if seconds < 90:
        return counted(round(seconds), "second")
    if seconds < 5400:
        return counted(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


def took(seconds: float) -> str:
    """Returns how long something took, in few characters."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def statuses_told(counts: Mapping[str, Any]) -> str:
    """Returns how many outcomes there are of each status, each with a comma before it."""
    found = [(status, counts[status]) for status in STATUSES if counts.get(status)]
    return "".join(f", {_outcomes(status, count)}" for status, count in found)


def _outcomes(status: str, count: int) -> str:
    return counted(count, status) if status == "conflict" else f"{count} {status.replace('_', ' ')}"
