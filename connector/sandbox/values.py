"""Which values a field takes: each check says what is wrong with a value, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from datetime import date, time
from decimal import Decimal
from typing import Final

from connector.sandbox.directory import CURRENCY_CODES, LABEL_IDS

Check = Callable[[object], str | None]

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{2}:\d{2}:\d{2}")
_OPTION_LIST: Final = re.compile(r"\d+(,\d+)*")
MAX_DECIMALS: Final = 16


def boolean(value: object) -> str | None:
    """Take true and false only."""
    return None if isinstance(value, bool) else "must be a boolean"


def integer(value: object) -> str | None:
    """Take a whole number written as one: neither a boolean nor 5.0 (assumed)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a number" if not isinstance(value, float) else "must be an integer"
    return None


def number(value: object) -> str | None:
    """Take any JSON number, which a boolean is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    return None if math.isfinite(value) else "must be a finite number"


def decimal(value: object) -> str | None:
    """Take a number of at most 16 decimals (documented)."""
    if complaint := number(value):
        return complaint
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        return f"must have at most {MAX_DECIMALS} decimals"
    return None


def text(longest: int | None = None) -> Check:
    """Return a check that takes a string of at most `longest` characters."""

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        if longest is not None and len(value) > longest:
            return f"length must be less than or equal to {longest} characters long"
        return None

    return check


def day(value: object) -> str | None:
    """Take a date that exists, as YYYY-MM-DD."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError:
            return "must be a valid date"
        return None
    return "must be a date in YYYY-MM-DD format"


def clock(value: object) -> str | None:
    """Take a time of day that exists, as HH:MM:SS."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            time.fromisoformat(value)
        except ValueError:
            return "must be a valid time"
        return None
    return "must be a time in HH:MM:SS format"


def currency(value: object) -> str | None:
    """Take the code of a currency that exists, in capitals."""
    known = isinstance(value, str) and value in CURRENCY_CODES
    return None if known else "must be a currency code"


def money(value: object) -> str | None:
    """Take {amount, currency}, both required (documented), and nothing more (assumed)."""
    if not isinstance(value, dict):
        return "must be of type object"
    for part, check in (("amount", number), ("currency", currency)):
        if part not in value:
            return f"must contain {part}"
        if complaint := check(value[part]):
            return f"{part} {complaint}"
    return None if len(value) == 2 else "must contain nothing but amount and currency"


def labels(value: object) -> str | None:
    """Take a list of uuids of labels that exist."""
    if not isinstance(value, list):
        return "must be an array"
    for label in value:
        if not isinstance(label, str) or not UUID.fullmatch(label):
            return "must contain valid uuids"
        if LABEL_IDS is not None and label not in LABEL_IDS:
            return "must contain existing labels"
    return None


def one_of(allowed: Collection[str]) -> Check:
    """Return a check that takes one of some strings, and no number that looks like one."""

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        return None if value in allowed else f"must be one of [{', '.join(sorted(allowed))}]"

    return check


def known_id(allowed: Collection[int] | None, what: str) -> Check:
    """Return a check that takes the integer id of a thing that exists; of any where None is."""

    def check(value: object) -> str | None:
        if complaint := integer(value):
            return complaint
        known = allowed is None or value in allowed
        return None if known else f"must be an existing {what}"

    return check


def option(allowed: Collection[int] | None, form: str) -> Check:
    """Return a check that takes an option id in the forms `form` allows, never a label.

    Where the options are not known (None), it takes any id.
    """

    def check(value: object) -> str | None:
        taken = {"any": (int, str), "int": (int,), "string": (str,)}[form]
        if isinstance(value, bool) or not isinstance(value, taken):
            return "must be an option id"
        known = str(value) in map(str, allowed) if allowed is not None else str(value).isdigit()
        return None if known else "must be an existing option id"

    return check


def option_list(allowed: Collection[int] | None) -> Check:
    """Return a check that takes option ids joined by commas in one string; any ids for None."""

    def check(value: object) -> str | None:
        if not isinstance(value, str) or not _OPTION_LIST.fullmatch(value):
            return "must be option ids joined by commas"
        picked = set(value.split(","))
        known = allowed is None or picked.issubset(map(str, allowed))
        return None if known else "must be existing option ids"

    return check


def optional(check: Check) -> Check:
    """Return a check that also takes null."""
    return lambda value: None if value is None else check(value)
