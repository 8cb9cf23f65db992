"""Warehouse values → normal forms. A ValueError says what is wrong and the way out. No I/O."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

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


_NO_DATE = "is not a date from the years 1 to 9999; write it like 2026-12-31"
SPELLED = (str, int, float, Decimal, UUID, date, time)
"""Types with one obvious spelling (a datetime is a date)."""


def parse_text(value: Any) -> str | None:
    """Takes text, and whatever has one obvious spelling; "" is unset, as in Pipedrive."""
    if isinstance(value, bool) or not isinstance(value, SPELLED):
        raise ValueError("is not text; cast it to VARCHAR")
    text = _digits(_finite(value)) if isinstance(value, float | Decimal) else str(value)
    if re.search("[\ud800-\udfff]", text):
        raise ValueError("has half an emoji in it; mend the text")
    if "\0" in text:
        raise ValueError("has a NUL character in it; take it out, as with replace(x, chr(0), '')")
    return text or None


def parse_short_text(value: Any) -> str | None:
    """Takes text of at most 255 characters (documented for varchar and phone)."""
    text = parse_text(value)
    if text is not None and len(text) > 255:
        raise ValueError(f"has {len(text)} characters; shorten it to 255")
    return text


def parse_title(value: Any) -> str:
    """Takes text that shows something: a lead cannot be without a title."""
    text = parse_text(value)
    if text is None or not text.strip():
        raise ValueError("is empty; give the lead a title, or NULL to leave it alone")
    return text


def parse_number(value: Any) -> Decimal:
    """Takes a number, or text that is one, exactly.

    A JSON number is read as a double at the other end, so one that a double would change is
    refused rather than rounded here.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("is not a number; write it like 1234.5")
    number = _finite(value)
    if (number and number.adjusted() < -16) or len(_digits(number).partition(".")[2]) > 16:
        raise ValueError("has more than the 16 decimals that Pipedrive keeps; round it")
    if number.adjusted() > 17 or number != Decimal(repr(float(number))):
        raise ValueError("has more digits than a JSON number keeps; round it")
    return number


def _finite(value: float | Decimal | str) -> Decimal:
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise ValueError("is not a number; write it like 1234.5") from None
    if not number.is_finite():
        raise ValueError("is not a finite number; use NULL for none")
    if abs(number.adjusted()) > 400:
        raise ValueError("has more digits than a JSON number keeps; round it")
    return number


def _digits(number: Decimal) -> str:
    """Spells a number without exponent and without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_whole(value: Any) -> int:
    """Takes a positive whole number in any of its types, such as 3, 3.0 or "3"."""
    wrong = "is not an id; give a positive whole number"
    try:
        number = parse_number(value)
    except ValueError:
        raise ValueError(wrong) from None
    if number != number.to_integral_value() or number < 1:
        raise ValueError(wrong)
    return int(number)


def parse_boolean(value: Any) -> bool:
    """Takes true and false, also as 1 and 0 or as text."""
    known = {"true": True, "1": True, "false": False, "0": False}
    truth = known.get(str(value).strip().lower())
    if truth is None:
        raise ValueError("is neither true nor false; give one of them")
    return truth


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


def parse_date(value: Any) -> str:
    """Takes a date, a timestamp (its date) or ISO 8601 text."""
    check_usable(value)
    text = str(value).strip()
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(text)
    except ValueError:
        endless = re.fullmatch(r"[+-]?inf(inity)?", text.lower())
        wrong = "is infinite; use NULL for none" if endless else _NO_DATE
        raise ValueError(wrong) from None
    if isinstance(value, str) and isinstance(moment, datetime) and moment.tzinfo is not None:
        raise ValueError("is text with a time zone; cast it to TIMESTAMPTZ, or give a date")
    return moment.isoformat()[:10]


def parse_visibility(value: Any) -> str:
    """Takes one of Pipedrive's four visibility levels, which travel as text."""
    try:
        level = parse_whole(value)
    except ValueError:
        level = 0
    if level not in {1, 3, 5, 7}:
        raise ValueError("is not a visibility; give 1, 3, 5 or 7")
    return str(level)


def parse_uuid(value: Any) -> str:
    """Takes a UUID as such or as text, in its usual spelling with hyphens."""
    text = str(value).strip(" ").lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError("is not a UUID; it looks like adf21080-0e10-11eb-879b-05d71fb426ec")
    return text


def parse_list(value: Any) -> list[Any]:
    """Takes a list as such or as JSON; a single value is a list of one."""
    given = from_json(value) if isinstance(value, str) and value.strip()[:1] == "[" else value
    if isinstance(given, dict):
        raise ValueError('is not a list; write it like ["Hot", "Warm"]')
    return list(given) if isinstance(given, list | tuple | set) else [given]


def parse_time(value: Any) -> str:
    """Takes a time of day, a timestamp (its time) or text such as 09:30."""
    if isinstance(value, datetime):
        value = value.time()
    try:
        moment = value if isinstance(value, time) else time.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("is not a time of day; write it like 09:30:00") from None
    return moment.strftime("%H:%M:%S")


def parse_currency(value: Any) -> str:
    """Takes a three-letter currency code in any case."""
    code = str(value).strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError("is no three-letter currency code; write it like EUR")
    return code


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


def parse_age(text: Any) -> timedelta:
    """Takes a time span such as 90m, 24h or 7d; a bare number is hours."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhd]?)", str(text).strip().lower())
    if found is None:
        raise ValueError(f"max_age {text!r} is no time span; write it like 90m, 24h or 7d")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2] or "h"]
    return timedelta(**{unit: float(found[1])})
