"""Times as the API writes them: UTC, to the millisecond, ending in Z."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MILLISECOND = timedelta(milliseconds=1)


def stamp(moment: datetime) -> str:
    """Return a moment as `2026-06-30T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parsed(text: str) -> datetime:
    """Return the moment an ISO 8601 text names; without an offset it is UTC (assumed).

    Raises:
        ValueError: The text is no such moment.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def later_than(previous: str) -> str:
    """Return the present as a stamp, pushed on where needed to be later than `previous`."""
    now = stamp(datetime.now(UTC))
    return now if now > previous else stamp(parsed(previous) + _MILLISECOND)


def first_stamp_since(moment: datetime) -> str:
    """Return the earliest stamp that is not before `moment`."""
    below = stamp(moment)
    return below if parsed(below) >= moment else stamp(parsed(below) + _MILLISECOND)
