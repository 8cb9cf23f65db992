"""The kinds of values a lead's fields hold: one row a kind, in `KINDS`.

Each kind knows its three forms. The *warehouse* form is whatever a column holds. The *normal*
form is what two values are compared by: None is unset, numbers are exact decimals, labels a
sorted tuple, dates ISO text. The *wire* form is what Pipedrive reads and writes, made of
plain JSON types, so that the body which is stored is the body which is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import orjson

Normal = Any
Json = Any


@dataclass(frozen=True)
class Money:
    """An amount and its currency; None is a half that the row leaves to the lead."""

    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class Kind:
    """How values of one kind are read from a warehouse, compared and written.

    Attributes:
        parse: A warehouse value that is not NULL → normal form; ValueError says what is wrong
            and the way out.
        read: A wire value → normal form; lenient, as nothing is wrong with what the CRM holds.
        write: A normal form that is not None → wire value.
        cleared: The wire value that clears.
        complete: Fills what the row leaves open from what the lead has; ValueError as above.
    """

    parse: Callable[[Any], Normal]
    read: Callable[[Json], Normal]
    write: Callable[[Normal], Json]
    cleared: Json = None
    complete: Callable[[Normal, Normal], Normal] = lambda wanted, _have: wanted


def parse_text(value: Any) -> str | None:
    """Takes text, and whatever has one obvious spelling; "" is unset, as in Pipedrive."""
    if isinstance(value, bool | list | dict):
        raise ValueError("is not text; cast it to VARCHAR")
    if isinstance(value, float | Decimal):
        return format(parse_number(value).normalize(), "f")
    return str(value) or None


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
        raise ValueError("is not a number")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise ValueError("is not a number; write it like 1234.5") from None
    if not number.is_finite():
        raise ValueError("is not a finite number; use NULL for none")
    if number != Decimal(repr(float(number))):
        raise ValueError("has more digits than a JSON number keeps; round it")
    return number


def parse_whole(value: Any) -> int:
    """Takes a positive whole number in any of its types, such as 3, 3.0 or "3"."""
    number = parse_number(value)
    if number != number.to_integral_value() or number < 1:
        raise ValueError("is not an id; give a positive whole number")
    return int(number)


def parse_boolean(value: Any) -> bool:
    """Takes true and false, also as 1 and 0 or as text."""
    known = {"true": True, "1": True, "false": False, "0": False}
    truth = known.get(str(value).strip().lower())
    if truth is None:
        raise ValueError("is neither true nor false")
    return truth


def parse_date(value: Any) -> str:
    """Takes a date, a timestamp (its date) or ISO 8601 text."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    try:
        return datetime.fromisoformat(str(value).strip()).date().isoformat()
    except ValueError:
        raise ValueError("is not a date; write it like 2026-12-31") from None


def parse_visibility(value: Any) -> str:
    """Takes one of Pipedrive's four visibility levels, which travel as text."""
    level = str(parse_whole(value))
    if level not in {"1", "3", "5", "7"}:
        raise ValueError("is not a visibility; give 1, 3, 5 or 7")
    return level


def parse_uuid(value: Any) -> str:
    """Takes a UUID as such or as text, in its usual spelling with hyphens."""
    text = str(value).strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError("is not a UUID; it looks like adf21080-0e10-11eb-879b-05d71fb426ec")
    return text


def parse_labels(value: Any) -> tuple[str, ...] | None:
    """Takes a list of label ids, as such or as JSON; an empty list clears."""
    items = from_json(value) if isinstance(value, str) and value.strip()[:1] == "[" else value
    if isinstance(items, str | UUID):
        items = [items]
    if not isinstance(items, list | tuple):
        raise ValueError("is not a list of label ids")
    return tuple(sorted({parse_uuid(item) for item in items})) or None


def parse_money(value: Any) -> Money | None:
    """Takes amount and currency as a struct, a mapping or JSON; either may be left out."""
    halves = from_json(value) if isinstance(value, str) else value
    if not isinstance(halves, dict) or not halves.keys() <= {"amount", "currency"}:
        raise ValueError('is not a value; write it like {"amount": 100, "currency": "EUR"}')
    if "amount" in halves and halves["amount"] is None:
        return None
    amount, currency = halves.get("amount"), halves.get("currency")
    return Money(
        amount=None if amount is None else parse_number(amount),
        currency=None if currency is None else parse_currency(currency),
    )


def parse_currency(value: Any) -> str:
    """Takes a three-letter currency code in any case."""
    code = str(value).strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError("has no currency code; write it like EUR")
    return code


def from_json(text: str) -> Json:
    """Reads JSON text out of a warehouse column."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("is not valid JSON") from None


def complete_money(wanted: Money | None, have: Money | None) -> Money | None:
    """Takes the half that the row leaves out from the lead: both are sent, or none."""
    if wanted is None:
        return None
    have = have or Money(None, None)
    amount = have.amount if wanted.amount is None else wanted.amount
    currency = wanted.currency or have.currency
    if amount is None:
        raise ValueError("has a currency but no amount, and the lead has none; add value_amount")
    if not currency:
        raise ValueError("has no currency, and the lead has none; add value_currency")
    return Money(amount, currency)


def read_number(value: Json) -> Decimal | str | None:
    """Reads a number that may have come as text."""
    if value is None or value == "":
        return None
    try:
        return Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return str(value)


def read_id(value: Json) -> int | str | None:
    """Reads an id that may come as a number, as text or inside an object (unknown which)."""
    if isinstance(value, dict):
        value = value.get("id") or value.get("value")
    if value is None or value == "":
        return None
    return int(value) if str(value).isdigit() else str(value)


def read_money(value: Json) -> Money | None:
    """Reads a lead's `value` object."""
    if not isinstance(value, dict) or value.get("amount") is None:
        return None
    amount = read_number(value["amount"])
    currency = str(value.get("currency") or "").upper() or None
    return Money(amount if isinstance(amount, Decimal) else None, currency)


def write_number(number: Decimal) -> int | float:
    """Writes a number so that JSON shows its digits: 50.50 as 50.5, 3.0 as 3."""
    return int(number) if number == number.to_integral_value() else float(number)


def _read_text(value: Json) -> str | None:
    return str(value) if value not in (None, "") else None


def _read_boolean(value: Json) -> bool | None:
    return None if value is None else bool(value)


def _read_date(value: Json) -> str | None:
    return str(value)[:10] if value else None


def _read_labels(value: Json) -> tuple[str, ...] | None:
    return tuple(sorted({str(label).lower() for label in value or []})) or None


def _write_money(money: Money) -> Json:
    return {"amount": write_number(money.amount or Decimal(0)), "currency": money.currency}


def _same(value: Normal) -> Json:
    return value


KINDS = {
    "title": Kind(parse_title, _read_text, _same),
    "varchar": Kind(parse_short_text, _read_text, _same),
    "text": Kind(parse_text, _read_text, _same),
    "number": Kind(parse_number, read_number, write_number),
    "id": Kind(parse_whole, read_id, _same),
    "boolean": Kind(parse_boolean, _read_boolean, _same),
    "date": Kind(parse_date, _read_date, _same),
    "visibility": Kind(parse_visibility, _read_text, _same),
    "labels": Kind(parse_labels, _read_labels, list, cleared=[]),
    "money": Kind(parse_money, read_money, _write_money, complete=complete_money),
}
