"""Wire values → normal forms, lenient: nothing is wrong with what the CRM holds. No I/O.

Where Pipedrive's documentation leaves a form open (an id as number, text or object; null or
no key at all), every form reads the same.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any


def read_text(value: Any) -> str | None:
    """Reads text; "" is unset."""
    return str(value) if value not in (None, "") else None


def read_number(value: Any) -> Decimal | str | None:
    """Reads a number that may have come as text."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return str(value)
    return number if number.is_finite() else str(value)


def read_id(value: Any) -> int | str | None:
    """Reads an id that may come as a number, as text or inside an object (unknown which)."""
    if isinstance(value, dict):
        value = value.get("id") or value.get("value")
    if value is None or value == "":
        return None
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def read_ids(value: Any) -> tuple[int | str, ...] | None:
    """Reads ids joined by commas, or in a list, without their order."""
    given = value.split(",") if isinstance(value, str) else value or []
    items = given if isinstance(given, list) else [given]
    found = {item for one in items if (item := read_id(one)) is not None}
    return tuple(sorted(found, key=str)) or None


def read_labels(value: Any) -> tuple[str, ...] | None:
    """Reads label ids without their order, however they come; none is unset."""
    given = value if isinstance(value, list) else [value]
    found = {str(label).lower() for one in given if (label := read_id(one)) is not None}
    return tuple(sorted(found)) or None


def read_boolean(value: Any) -> bool | None:
    """Reads true or false, also as text."""
    return None if value is None else str(value).lower() not in ("false", "0", "0.0", "")


def read_date(value: Any) -> str | None:
    """Reads a date, also out of a timestamp."""
    return str(value)[:10] if value else None


def read_time(value: Any) -> str | None:
    """Reads a time of day, with seconds or without."""
    text = str(value) if value else None
    return f"{text}:00" if text and len(text) == 5 else text


def read_currency(value: Any) -> str | None:
    """Reads a currency code in any case."""
    return str(value).upper() if value else None


def write_number(number: Decimal) -> int | float:
    """Writes a number so that JSON shows its digits: 50.50 as 50.5, 3.0 as 3."""
    is_whole = abs(number) < 2**63 and number == number.to_integral_value()
    return int(number) if is_whole else float(number)
