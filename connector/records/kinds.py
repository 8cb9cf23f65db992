"""The kinds of values a lead's fields hold: one row a kind, in `KINDS` and `FIELD_TYPES`.

Each kind knows its three forms. The *warehouse* form is whatever a column holds. The *normal*
form is what two values are compared by: None is unset, numbers are exact decimals, labels a
sorted tuple, dates ISO text. The *wire* form is what Pipedrive reads and writes, made of
plain JSON types, so that the body which is stored is the body which is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.records.options import NO_OPTIONS, Options
from connector.records.values import (
    from_json,
    parse_boolean,
    parse_currency,
    parse_date,
    parse_list,
    parse_number,
    parse_short_text,
    parse_text,
    parse_time,
    parse_title,
    parse_uuid,
    parse_visibility,
    parse_whole,
)
from connector.records.wire import (
    read_boolean,
    read_currency,
    read_date,
    read_id,
    read_ids,
    read_labels,
    read_number,
    read_text,
    read_time,
    write_number,
)

Normal = Any
Json = Any


@dataclass(frozen=True)
class Money:
    """An amount and its currency; None is a half that the row leaves to the lead."""

    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class LabelEdit:
    """Labels to add to a lead's own, and labels to take from them."""

    add: Any = None
    remove: Any = None


def same(value: Normal) -> Json:
    """The wire form of what travels as it is compared."""
    return value


@dataclass(frozen=True)
class Kind:
    """How values of one kind are read from a warehouse, compared and written.

    Attributes:
        parse: A warehouse value that is not NULL → normal form; ValueError says what is wrong
            and the way out.
        read: A wire value → normal form; lenient, as nothing is wrong with what the CRM holds.
        write: A normal form that is not None → wire value.
        cleared: The wire value that clears.
        show: A wire value that is set → what a person calls it.
        complete: Fills what the row leaves open from what the lead has; ValueError as above.
    """

    parse: Callable[[Any], Normal]
    read: Callable[[Json], Normal]
    write: Callable[[Normal], Json] = same
    cleared: Json = None
    show: Callable[[Json], str] = str
    complete: Callable[[Normal, Normal], Normal] = lambda wanted, _have: wanted


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


def complete_money(wanted: Money | None, have: Money | None) -> Money | None:
    """Takes the half that the row leaves out from the lead: both are sent, or none."""
    if wanted is None:
        return None
    have = have or Money(None, None)
    amount = have.amount if wanted.amount is None else wanted.amount
    currency = wanted.currency or have.currency
    if amount is None:
        raise ValueError("has a currency but no amount, and the lead has none; add value_amount")
    if math.isinf(float(amount)):
        raise ValueError(f"has no amount, and the lead's own, {amount}, is none; add value_amount")
    if not currency:
        raise ValueError("has no currency, and the lead has none; add value_currency")
    return Money(amount, currency)


def read_money(value: Json) -> Money | None:
    """Reads a lead's `value` object."""
    if not isinstance(value, dict) or value.get("amount") is None:
        return None
    amount = read_number(value["amount"])
    currency = read_currency(value.get("currency"))
    return Money(amount if isinstance(amount, Decimal) else None, currency)


def write_money(money: Money) -> Json:
    """Writes both halves, as the API requires (documented)."""
    return {"amount": write_number(money.amount or Decimal(0)), "currency": money.currency}


def show_money(value: Json) -> str:
    """Shows 50.5 EUR."""
    if not isinstance(value, dict):
        return str(value)
    return f"{value.get('amount')} {value.get('currency')}"


def show_boolean(value: Json) -> str:
    """Shows a truth value as SQL writes it."""
    return "true" if value else "false"


def option(options: Options) -> Kind:
    """One option, by id or by label; it may be read as text, number or object."""
    return Kind(
        parse=lambda value: read_id(options.id_of(_written(value))),
        read=read_id,
        show=lambda value: options.name_of(read_id(value)),
    )


def option_set(options: Options) -> Kind:
    """Several options without order, by id or by label; they travel as ids joined by commas."""

    def parse(value: Any) -> tuple[int | str, ...] | None:
        given = value.split(",") if isinstance(value, str) and value[:1] != "[" else value
        named = [one for one in parse_list(given) if str(one).strip()]
        return read_ids([options.id_of(_written(one)) for one in named])

    return Kind(
        parse=parse,
        read=read_ids,
        write=lambda ids: ",".join(map(str, ids)),
        show=lambda value: ", ".join(map(options.name_of, read_ids(value) or ())),
    )


def reference(options: Options) -> Kind:
    """The id of a user, person or organization; of a user also by e-mail address."""

    def parse(value: Any) -> int:
        by_name = bool(options.names) and isinstance(value, str) and "@" in value
        return parse_whole(options.id_of(value) if by_name else value)

    return Kind(parse, read_id, show=lambda value: options.name_of(read_id(value)))


def label_set(options: Options) -> Kind:
    """Lead labels without order, by id or by name; `[]` clears."""

    def ids(value: Any) -> tuple[str, ...]:
        return tuple(sorted({_label_id(one, options) for one in parse_list(value)}))

    def parse(value: Any) -> Normal:
        if isinstance(value, LabelEdit):
            return LabelEdit(ids(value.add or []), ids(value.remove or []))
        return ids(value) or None

    return Kind(
        parse=parse,
        read=read_labels,
        write=list,
        cleared=[],
        show=lambda value: ", ".join(map(options.name_of, read_labels(value) or ())),
        complete=_edit_labels,
    )


def _label_id(value: Any, options: Options) -> str:
    try:
        return parse_uuid(value)
    except ValueError:
        if not options.names:
            raise
        return options.id_of(value)


def _edit_labels(wanted: Normal, have: Normal) -> Normal:
    if not isinstance(wanted, LabelEdit):
        return wanted
    return tuple(sorted({*(have or ()), *wanted.add} - {*wanted.remove})) or None


def _written(value: Any) -> str:
    """Writes an option's id or label as text: a DOUBLE that holds 3.0 is 3."""
    if isinstance(value, float | Decimal):
        return str(parse_whole(value))
    if isinstance(value, bool | dict | list):
        raise ValueError("is neither the id nor the label of an option; give one of them as text")
    return str(value)


KINDS = {
    "title": Kind(parse_title, read_text),
    "varchar": Kind(parse_short_text, read_text),
    "text": Kind(parse_text, read_text),
    "number": Kind(parse_number, read_number, write_number),
    "currency": Kind(parse_currency, read_currency),
    "boolean": Kind(parse_boolean, read_boolean, show=show_boolean),
    "date": Kind(parse_date, read_date),
    "time": Kind(parse_time, read_time),
    "visibility": Kind(parse_visibility, read_text),
    "money": Kind(parse_money, read_money, write_money, show=show_money, complete=complete_money),
    "id": reference(NO_OPTIONS),
}
"""Kinds that need to know nothing of the account."""
FIELD_TYPES: dict[str, Callable[[Options], Kind]] = {
    "varchar": lambda _: KINDS["varchar"],
    "varchar_auto": lambda _: KINDS["varchar"],
    "phone": lambda _: KINDS["varchar"],
    "text": lambda _: KINDS["text"],
    "address": lambda _: KINDS["text"],
    "double": lambda _: KINDS["number"],
    "monetary": lambda _: KINDS["number"],
    "enum": option,
    "set": option_set,
    "user": reference,
    "org": reference,
    "people": reference,
    "date": lambda _: KINDS["date"],
    "daterange": lambda _: KINDS["date"],
    "time": lambda _: KINDS["time"],
    "timerange": lambda _: KINDS["time"],
}
"""The kind of each `field_type` of a custom field, given its options or the account's users."""
COMPANIONS: dict[str, tuple[str, str, Kind]] = {
    "monetary": ("currency", "amount", KINDS["currency"]),
    "daterange": ("until", "from", KINDS["date"]),
    "timerange": ("until", "from", KINDS["time"]),
}
"""Types of two keys: the second key's suffix, what a struct calls the first, the second's kind."""
