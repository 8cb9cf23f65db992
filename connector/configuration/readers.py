"""How a setting's value is read, whether Python, the environment or a file gives it. No I/O.

The environment gives text, files and Python give types: each reader takes both and returns one
type. A ValueError says what is wrong and the way out; the setting's name and value stand before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar
from zoneinfo import available_timezones

from connector.records.cells import from_json
from connector.records.fields import fold

Read = TypeVar("Read")
Reader = Callable[[Any], Read]
LARGEST = 10**18
PART_OF_NAME = r'(?:\w[\w$]*|"(?:[^"%\x00-\x1f]|"")+"|`[^`%\x00-\x1f]+`)'
"""A name in SQL, bare or in the quotes of any dialect; a % would be taken for a mark."""
TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


def text(value: Any) -> str:
    """Takes text."""
    if not isinstance(value, str):
        raise ValueError("is no text; put it in quotes")
    check_utf8(value)
    return value.strip()


def check_utf8(value: str) -> None:
    """Refuses text that neither a file nor a database can hold.

    A byte of the environment that is no UTF-8 comes as half a surrogate.
    """
    if re.search("[\ud800-\udfff]", value):
        raise ValueError("is no UTF-8; write it anew")


def limit(value: Any) -> Any:
    """Takes what a guard may be: text or a number; which of them, the guard knows."""
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"is no limit; give at most {LARGEST}")
    return value


def flag(value: Any) -> bool:
    """Takes true or false."""
    truth = TRUTHS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None
    if truth is None:
        raise ValueError("is neither true nor false; give one of them")
    return truth


def whole(low: int, high: int, must: str = "") -> Reader[int]:
    """Returns the reader of a whole number.

    Args:
        low: The least.
        high: The most.
        must: What it must be, in words; without them the bound that it breaks.
    """

    def read(value: Any) -> int:
        found = _number(value)
        if found is None or found != found.to_integral_value():
            raise ValueError(f"is no whole number; give {low} to {high}")
        if not low <= found <= high:
            raise ValueError(must or _bound(found, low, high))
        return int(found)

    return read


def whole_or_auto(low: int, high: int) -> Reader[int | Literal["auto"]]:
    """Returns the reader of a whole number, or of `auto` for one that is found as things go."""
    read_number = whole(low, high)

    def read(value: Any) -> int | Literal["auto"]:
        if _stripped(value) == "auto":
            return "auto"
        if _number(value) is None:
            raise ValueError(f"is no whole number; give {low} to {high}, or auto")
        return read_number(value)

    return read


def number(low: float, high: float, must: str = "") -> Reader[float]:
    """Returns the reader of a number.

    Args:
        low: The least that is allowed.
        high: The most.
        must: What it must be, in words; else its bounds are told.
    """

    def read(value: Any) -> float:
        found = _number(value)
        if found is None:
            raise ValueError(f"is no number; give {low} to {high}")
        if not low <= found <= high:
            raise ValueError(must or _bound(found, low, high))
        return float(found)

    return read


def _bound(found: Decimal, low: float, high: float) -> str:
    if found > high:
        return f"must be at most {high}"
    if found <= 0:
        return "must be more than 0" if low else "must not be negative"
    return f"must be at least {low}"


def names(value: Any) -> list[str]:
    """Takes a list of names: as such, as JSON, or as text with commas."""
    wrong = 'is no list of names; write it like ["title", "labels"]'
    given = _json(value) if isinstance(value, str) and value.strip()[:1] == "[" else value
    if isinstance(given, str):
        return [name.strip() for name in given.split(",") if name.strip()]
    if not isinstance(given, list | tuple | set | frozenset):
        raise ValueError(wrong)
    if not all(isinstance(name, str) and name.strip() for name in given):
        raise ValueError(wrong)
    return [name.strip() for name in given]


def chosen_names(allowed: Sequence[str]) -> Reader[list[str]]:
    """Returns the reader of a list of names, each of them among those that are allowed."""

    def read(value: Any) -> list[str]:
        found = names(value)
        if unknown := sorted(set(found) - set(allowed)):
            raise ValueError(f"names {', '.join(unknown)}; give {one_of(allowed)}")
        return found

    return read


def choice(allowed: Sequence[str]) -> Reader[str]:
    """Returns a reader of one of some words."""

    def read(value: Any) -> str:
        if _stripped(value) not in allowed:
            raise ValueError(f"must be {one_of(allowed)}")
        return str(_stripped(value))

    return read


def rules(allowed: Sequence[str]) -> Reader[str | dict[str, str]]:
    """Returns the reader of one rule for all fields, or of a table: field = rule."""

    def read(value: Any) -> str | dict[str, str]:
        given = _table(value) if _is_table(value) else _stripped(value)
        for rule in given.values() if isinstance(given, dict) else [given]:
            if rule not in allowed:
                of = f"has {rule!r}, which" if isinstance(given, dict) else ""
                raise ValueError(f"{of} is no rule; give {one_of(allowed)}".lstrip())
        return given if isinstance(given, dict) else str(given)

    return read


def mapping(value: Any) -> dict[str, str]:
    """Takes a table of names: column = field."""
    if isinstance(value, str) and not value.strip():
        return {}
    if not _is_table(value):
        raise ValueError("is no mapping; write it like {'score': 'Lead score'}")
    found: dict[str, str] = {}
    alike: dict[str, tuple[str, str]] = {}
    for name, target in _table(value).items():
        if not isinstance(target, str) or not target.strip():
            raise ValueError(f"maps {name} to {target!r}, which is no name; put it in quotes")
        if name.lower() in found:
            raise ValueError(f"maps {name.lower()} twice; keep one of them")
        other, same = alike.setdefault(fold(name), (name, target))
        if target != same:
            raise ValueError(
                f"maps {other!r} to {same!r} and {name!r} to {target!r}, which are one name "
                "but for case, spaces and punctuation; keep one of them"
            )
        found[name.lower()] = target
    return found


def databases(value: Any) -> dict[str, str]:
    """Takes a table of databases: alias = file or URL, which may hold a password."""
    if isinstance(value, str) and not value.strip():
        return {}
    if not _is_table(value):
        raise ValueError('is no table; write it like {"marts": "/data/marts.duckdb"}')
    found: dict[str, str] = {}
    for alias, place in _table(value).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", alias):
            raise ValueError(f"has {alias!r}, which is no plain name; use letters, digits and _")
        if not isinstance(place, str) or not re.fullmatch(r"[^\x00-\x1f]*[^\x00-\x20]", place):
            raise ValueError(f"has no file or URL for {alias}; give it on one line, in quotes")
        if alias.lower() in map(str.lower, found):
            raise ValueError(f"has {alias.lower()} twice; keep one of them")
        found[alias] = place.strip()
    return found


def table_name(value: Any) -> str:
    """Takes the name of a table, perhaps with those of its schema and database before it."""
    name = value if isinstance(value, str) else ""
    check_utf8(name)
    if not re.fullmatch(rf"{PART_OF_NAME}(\.{PART_OF_NAME}){{0,2}}", name):
        raise ValueError('is no table name; write schema.table, or "Schema"."Table"')
    return name


def table_parts(name: str) -> list[str]:
    """Returns the parts of a table's name without their quotes."""
    return [_bare(part) for part in re.findall(PART_OF_NAME, name)]


def plain_name(name: str) -> str:
    """Returns a table's name with that of its schema, the same however somebody spells them."""
    whole = ".".join(table_parts(name)).lower()  # `project.schema.table` may be one part
    return ".".join(whole.split(".")[-2:])


def _bare(part: str) -> str:
    return part[1:-1].replace('""', '"') if part[0] == '"' else part.strip("`")


def folder_name(value: Any) -> str:
    """Takes what can name a folder."""
    name = text(value)
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError("cannot name a folder; use letters and _")
    return name


def zone(value: Any) -> str:
    """Takes the name of a time zone."""
    name = value if isinstance(value, str) else ""
    if name not in available_timezones():
        raise ValueError("is unknown; write it like Europe/Berlin")
    return name


def token(value: Any) -> str:
    """Takes an API token; a line break at its end may go."""
    found = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"[!-~]+", found):
        raise ValueError("is empty or holds what no token holds; copy it again from Pipedrive")
    return found


def named_run(value: Any) -> str:
    """Takes what names a run or a plan: an id, the beginning of one, or `latest`."""
    if not isinstance(value, str):
        raise ValueError("names no run or plan; give its id, the beginning of it, or 'latest'")
    return value


def event(value: Any) -> Any:
    """Takes an event that another thread may set."""
    if isinstance(value, type) or not callable(getattr(value, "is_set", None)):
        raise ValueError("is no event; give a threading.Event(), or leave it out")
    return value


def function(value: Any) -> Any:
    """Takes what can be called."""
    if not callable(value):
        raise ValueError("is no function; give one, or leave it out")
    return value


def one_of(allowed: Sequence[str]) -> str:
    """Returns what is allowed, in words."""
    return f"{', '.join(allowed[:-1])} or {allowed[-1]}"


def _number(value: Any) -> Decimal | None:
    """Returns the finite number that a value is or spells; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        found = Decimal(value.strip() if isinstance(value, str) else value)
    except (ArithmeticError, ValueError):
        return None
    return found if found.is_finite() else None


def _json(text: str) -> Any:
    check_utf8(text)
    try:
        return from_json(text)
    except ValueError:
        raise ValueError("is not valid JSON; mend it") from None


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, str) and "{" in value)


def _table(value: Any) -> dict[str, Any]:
    given = _json(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ValueError('is no table of names; write it like {"title": "crm"}')
    return dict(given)


def parse_since(text: str, now: datetime) -> datetime:
    """Takes a date, a moment or a time span before now; what has no zone is in UTC."""
    with suppress(ValueError, OverflowError):
        return now - parse_age(text)
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"since {text!r} is no time; write it like 24h, 7d, 2026-11-30 or 2026-11-30T08:00"
        ) from None


def parse_age(text: Any) -> timedelta:
    """Takes a time span such as 90m, 24h or 7d; a bare number is hours."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhd]?)", str(text).strip().lower())
    if found is None:
        raise ValueError(f"max_age {text!r} is no time span; write it like 90m, 24h or 7d")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2] or "h"]
    return timedelta(**{unit: float(found[1])})
