"""What a cell of a warehouse may hold that no kind of field can take, and its JSON. No I/O."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connector.pipedrive.documents import DEEPEST, is_too_deep


@dataclass(frozen=True)
class Unreadable:
    """A value that the warehouse holds and nobody can use; it costs its row alone.

    Attributes:
        text: The value as the driver gave it.
        trouble: What is wrong with it and the way out, as a ValueError says it.
    """

    text: str
    trouble: str

    def __str__(self) -> str:
        """Returns the value, for messages."""
        return self.text


def check_usable(value: Any) -> None:
    """Refuses what no kind of field can take: an unreadable value, a time without end.

    Drivers give infinity as the first or last moment that Python knows, with a zone or without,
    and a zone may have moved it by some hours.
    """
    if isinstance(value, Unreadable):
        raise ValueError(value.trouble)
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=None)
        reach = timedelta(days=1 if value.tzinfo else 0)
        endless = moment - datetime.min <= reach or datetime.max - moment <= reach
        if endless or moment.date() in (date.min, date.max):
            raise ValueError("is infinite; use NULL for none")
    elif isinstance(value, date) and value in (date.min, date.max):
        raise ValueError("is infinite; use NULL for none")


def from_json(text: str) -> Any:
    """Reads JSON text out of a warehouse column; no number goes through a float."""
    try:
        value = json.loads(text, parse_float=Decimal, object_pairs_hook=_each_key_once)
    except _TwiceError as error:
        raise ValueError(f"names {str(error)[:80]!r} twice; keep one") from None
    except (ValueError, RecursionError):
        raise ValueError("is not valid JSON; mend it, or give NULL") from None
    if is_too_deep(value):
        raise ValueError(f"is nested more than {DEEPEST} deep; make it flatter")
    return value


class _TwiceError(Exception):
    """A key that an object has twice, so that nobody knows which is meant."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found
