"""The kinds of values that a record's fields hold: one class a kind. No I/O.

A value has three forms. The *warehouse* form is whatever a column holds; `parse` takes it, and
its ValueError says what is wrong and the way out. The *wire* form is what Pipedrive reads and
writes; `read` is lenient, as nothing is wrong with what the CRM holds, and where Pipedrive's
documentation leaves a form open (an id as number, text or object) every form reads the same.
Two values are compared by their *normal* form: None is unset, numbers are exact decimals, labels
a sorted tuple, dates ISO text. `write` makes plain JSON types of it, so that the body that is
stored is the body that is sent.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from uuid import UUID

from connector.records.cells import check_usable, from_json
from connector.records.numerals import decimal_of, finite, spell_number
from connector.records.options import NO_OPTIONS, Options

Normal = Any
Json = Any

SPELLED = (str, int, float, Decimal, UUID, date, time)
"""Types with one obvious spelling (a datetime is a date)."""
NO_DATE = "is not a date from the years 1 to 9999; write it like 2026-12-31"


class Kind(ABC):
    """How values of one kind are taken from a warehouse, compared, written and shown."""

    cleared: ClassVar[Json] = None
    """The wire value that clears."""

    @abstractmethod
    def parse(self, value: Any) -> Normal:
        """Returns the normal form of a warehouse value that is not NULL.

        Raises:
            ValueError: What is wrong with it, and the way out.
        """

    @abstractmethod
    def read(self, value: Json) -> Normal:
        """Returns the normal form of a wire value; absent, null and empty are None."""

    def write(self, value: Normal) -> Json:
        """Returns the wire form that sets a normal form that is not None."""
        return value

    def can_write(self, _value: Normal) -> bool:
        """Tells whether a normal form, as it was read, can be sent back."""
        return True

    def show(self, value: Json) -> str:
        """Returns what a person calls a wire value that is set."""
        return str(value)

    def complete(self, wanted: Normal, _have: Normal) -> Normal:
        """Returns what is wanted in full, where a row says it relative to what a lead has."""
        return wanted


@dataclass(frozen=True)
class Text(Kind):
    """Text, and whatever has one obvious spelling; "" is unset, as in Pipedrive, and so are blanks.

    Attributes:
        longest: Most characters; None for no limit (documented: 255 for varchar and phone).
    """

    longest: int | None = None

    def parse(self, value: Any) -> str | None:
        """Takes text within the limit."""
        if isinstance(value, bool) or not isinstance(value, SPELLED):
            raise ValueError("is not text; cast it to VARCHAR")
        if isinstance(value, float | Decimal):
            value = spell_number(finite(value))
        text = str(value)
        if re.search("[\ud800-\udfff]", text):
            raise ValueError("has half an emoji in it; mend the text")
        if "\0" in text:
            raise ValueError(
                "has a NUL character in it; take it out, as with replace(x, chr(0), '')"
            )
        if self.longest is not None and len(text) > self.longest:
            raise ValueError(f"has {len(text)} characters; shorten it to {self.longest}")
        return text if text.strip() else None

    def read(self, value: Json) -> str | None:
        """Reads text."""
        return str(value) if value is not None and str(value).strip() else None


@dataclass(frozen=True)
class Title(Text):
    """Text that shows something: a lead cannot be without a title."""

    longest: int | None = 255

    def parse(self, value: Any) -> str:
        """Takes text that is more than blanks."""
        text = super().parse(value)
        if text is None:
            raise ValueError("is empty; give the lead a title, or NULL to leave it alone")
        return text


class Number(Kind):
    """A number, exactly.

    A JSON number is read as a double at the other end, so one that a double would change is
    refused rather than rounded here.
    """

    def parse(self, value: Any) -> Decimal:
        """Takes a number, or text that is one."""
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise ValueError("is not a number; write it like 1234.5")
        number = finite(value)
        decimals = len(spell_number(number).partition(".")[2])
        if (number and number.adjusted() < -16) or decimals > 16:
            raise ValueError("has more than the 16 decimals that Pipedrive keeps; round it")
        if number.adjusted() > 17 or number != Decimal(repr(float(number))):
            raise ValueError("has more digits than a JSON number keeps; round it")
        return number

    def read(self, value: Json) -> Decimal | str | None:
        """Reads a number that may have come as text."""
        if value is None or value == "":
            return None
        try:
            number = decimal_of(value)
        except InvalidOperation:
            return str(value)
        return number if number.is_finite() else str(value)

    def can_write(self, value: Normal) -> bool:
        """Tells whether it is a number that JSON holds."""
        return isinstance(value, Decimal) and not math.isinf(float(value))

    def write(self, value: Decimal) -> int | float:
        """Writes a number so that JSON shows its digits: 50.50 as 50.5, 3.0 as 3."""
        is_whole = abs(value) < 2**63 and value == value.to_integral_value()
        return int(value) if is_whole else float(value)


class Currency(Kind):
    """A three-letter currency code in any case."""

    def parse(self, value: Any) -> str:
        """Takes a code."""
        code = str(value).strip()
        if not re.fullmatch(r"[A-Za-z]{3}", code):
            raise ValueError("is no three-letter currency code; write it like EUR")
        return code.upper()

    def read(self, value: Json) -> str | None:
        """Reads a code."""
        return str(value).upper() if value else None


class Boolean(Kind):
    """True or false."""

    def parse(self, value: Any) -> bool:
        """Takes true and false, also as 1 and 0 or as text."""
        known = {"true": True, "1": True, "false": False, "0": False}
        truth = known.get(str(value).strip().lower())
        if truth is None:
            raise ValueError("is neither true nor false; give one of them")
        return truth

    def read(self, value: Json) -> bool | None:
        """Reads a truth value, also as text."""
        return None if value is None else str(value).lower() not in ("false", "0", "0.0", "")

    def show(self, value: Json) -> str:
        """Shows a truth value as SQL writes it."""
        return "true" if value else "false"


class Date(Kind):
    """A day."""

    def parse(self, value: Any) -> str:
        """Takes a date, a timestamp (its date), ISO 8601 text or a number such as 20261231."""
        check_usable(value)
        try:
            moment = value if isinstance(value, date) else parse_moment(str(value))
        except ValueError:
            endless = re.fullmatch(r"[+-]?inf(inity)?", str(value).strip().lower())
            wrong = "is infinite; use NULL for none" if endless else NO_DATE
            raise ValueError(wrong) from None
        if isinstance(value, str) and isinstance(moment, datetime) and moment.tzinfo is not None:
            raise ValueError("is text with a time zone; cast it to TIMESTAMPTZ, or give a date")
        return str(moment.isoformat()[:10])

    def read(self, value: Json) -> str | None:
        """Reads a date, also out of a timestamp."""
        return str(value)[:10] if value else None


class Time(Kind):
    """A time of day."""

    def parse(self, value: Any) -> str:
        """Takes a time, a timestamp (its time) or text such as 09:30."""
        if isinstance(value, datetime):
            value = value.time()
        try:
            moment = value if isinstance(value, time) else _parse_clock(str(value).strip())
        except ValueError:
            raise ValueError("is not a time of day; write it like 09:30:00") from None
        if moment.tzinfo is not None:
            raise ValueError("is a time with a zone, which Pipedrive does not keep; give 09:30:00")
        return moment.strftime("%H:%M:%S")

    def read(self, value: Json) -> str | None:
        """Reads a time, with seconds or without."""
        text = str(value) if value else None
        return f"{text}:00" if text and len(text) == 5 else text


class Visibility(Kind):
    """One of Pipedrive's four visibility levels, which travel as text."""

    def parse(self, value: Any) -> str:
        """Takes a level as number or text."""
        try:
            level = parse_whole(value)
        except ValueError:
            level = 0
        if level not in {1, 3, 5, 7}:
            raise ValueError("is not a visibility; give 1, 3, 5 or 7")
        return str(level)

    def read(self, value: Json) -> str | None:
        """Reads a level."""
        return TEXT.read(value)


@dataclass(frozen=True)
class Reference(Kind):
    """The id of a user, person or organization; of a user also by e-mail address.

    Attributes:
        options: The account's users by e-mail address, where they can be given by it.
    """

    options: Options = NO_OPTIONS

    def parse(self, value: Any) -> int:
        """Takes an id, or an e-mail address."""
        if not self.options.names or not isinstance(value, str):
            return parse_whole(value)
        if "@" in value:
            return parse_whole(self.options.id_of(value))
        try:
            return parse_whole(value)
        except ValueError:
            hint = self.options.address_for(value)
            raise ValueError(f"is no e-mail address; {hint}") from None

    def read(self, value: Json) -> int | str | None:
        """Reads an id."""
        return read_id(value)

    def show(self, value: Json) -> str:
        """Shows a user's address, or an id."""
        return self.options.name_of(read_id(value))


@dataclass(frozen=True)
class Option(Kind):
    """One option, by id or by label.

    Attributes:
        options: The account's options.
        as_text: Whether the account takes the id as text.
    """

    options: Options
    as_text: bool = False

    def parse(self, value: Any) -> int | str | None:
        """Takes an id or a label."""
        return read_id(_option_id(self.options, value))

    def read(self, value: Json) -> int | str | None:
        """Reads an id."""
        return read_id(value)

    def write(self, value: Normal) -> Json:
        """Writes an id in the spelling that the account takes."""
        return spell_id(value, as_text=self.as_text)

    def show(self, value: Json) -> str:
        """Shows a label."""
        return self.options.name_of(read_id(value))


@dataclass(frozen=True)
class OptionSet(Kind):
    """Several options without order, by id or by label; they travel as ids joined by commas."""

    options: Options

    def parse(self, value: Any) -> tuple[int | str, ...] | None:
        """Takes a list, JSON, or text with commas."""
        given = value.split(",") if isinstance(value, str) and value[:1] != "[" else value
        named = [one for one in parse_list(given) if str(one).strip()]
        return self.read([_option_id(self.options, one) for one in named])

    def read(self, value: Json) -> tuple[int | str, ...] | None:
        """Reads ids joined by commas, or in a list, without their order."""
        given = value.split(",") if isinstance(value, str) else value or []
        items = given if isinstance(given, list) else [given]
        found = {item for one in items if (item := read_id(one)) is not None}
        return tuple(sorted(found, key=str)) or None

    def write(self, value: tuple[int | str, ...]) -> str:
        """Writes ids joined by commas."""
        return ",".join(map(str, value))

    def show(self, value: Json) -> str:
        """Shows labels."""
        return ", ".join(map(self.options.name_of, self.read(value) or ()))


@dataclass(frozen=True)
class LabelEdit:
    """Labels to add to a lead's own, and labels to take from them."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labels(Kind):
    """Lead labels without order, by id or by name; `[]` clears (inferred)."""

    options: Options = NO_OPTIONS
    cleared: ClassVar[Json] = []

    def parse(self, value: Any) -> tuple[str, ...] | None:
        """Takes a list, JSON, or one label."""
        return tuple(sorted({self._id_of(one) for one in parse_list(value)})) or None

    def parse_edit(self, add: Any, remove: Any) -> LabelEdit:
        """Takes labels to add and labels to remove; None is none, and none may be in both."""
        edit = LabelEdit(self.parse(add or []) or (), self.parse(remove or []) or ())
        if both := sorted({*edit.add} & {*edit.remove}):
            named = " and ".join(repr(self.options.name_of(label)) for label in both)
            raise ValueError(f"both name the label {named}; take it out of one of them")
        return edit

    def read(self, value: Json) -> tuple[str, ...] | None:
        """Reads label ids without their order, however they come; none is unset."""
        given = value if isinstance(value, list) else [value]
        found = {str(label).lower() for one in given if (label := read_id(one)) is not None}
        return tuple(sorted(found)) or None

    def write(self, value: tuple[str, ...]) -> list[str]:
        """Writes the whole list: a PATCH replaces it (documented)."""
        return list(value)

    def show(self, value: Json) -> str:
        """Shows names."""
        return ", ".join(map(self.options.name_of, self.read(value) or ()))

    def complete(self, wanted: Normal, have: Normal) -> Normal:
        """Applies an edit to the labels that a lead has."""
        if not isinstance(wanted, LabelEdit):
            return wanted
        return tuple(sorted({*(have or ()), *wanted.add} - {*wanted.remove})) or None

    def _id_of(self, value: Any) -> str:
        try:
            return parse_uuid(value)
        except ValueError:
            if not self.options.names:
                raise
            return self.options.id_of(value)


TEXT, SHORT_TEXT, TITLE = Text(), Text(255), Title()
NUMBER, CURRENCY, BOOLEAN = Number(), Currency(), Boolean()
DATE, TIME, VISIBILITY, ID = Date(), Time(), Visibility(), Reference()


def parse_moment(text: str) -> datetime:
    """Takes a day or a moment as ISO 8601 text, where T or a blank is before the time.

    The library takes any character there, and so milliseconds since 1970 for a moment.

    Raises:
        ValueError: It is none.
    """
    day = re.split("[Tt ]", text.strip(), maxsplit=1)[0]
    date.fromisoformat(day)
    return datetime.fromisoformat(text.strip())


def _parse_clock(text: str) -> time:
    """Takes a time of day; digits without a colon may be seconds as well."""
    if ":" not in text:
        raise ValueError
    return time.fromisoformat(text)


def parse_whole(value: Any) -> int:
    """Takes a positive whole number in any of its types, such as 3, 3.0 or "3"."""
    wrong = "is not an id; give a positive whole number"
    try:
        number = NUMBER.parse(value)
    except ValueError:
        raise ValueError(wrong) from None
    if number != number.to_integral_value() or number < 1:
        raise ValueError(wrong)
    return int(number)


def spell_id(value: Json, *, as_text: bool) -> Json:
    """Returns an id as text or as the number that it is; anything else stays as it is."""
    if as_text:
        return str(value) if isinstance(value, int) else value
    found = read_id(value)
    return found if isinstance(value, str) and isinstance(found, int) else value


def parse_uuid(value: Any) -> str:
    """Takes a UUID as such or as text, in its usual spelling with hyphens."""
    text = str(value).strip(" ").lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError("is not a UUID; it looks like adf21080-0e10-11eb-879b-05d71fb426ec")
    return text


def parse_list(value: Any) -> list[Any]:
    """Takes a list as such or as JSON, its NULLs left out; a single value is a list of one."""
    given = from_json(value) if isinstance(value, str) and value.strip()[:1] == "[" else value
    if isinstance(given, dict):
        raise ValueError('is not a list; write it like ["Hot", "Warm"]')
    listed = given if isinstance(given, list | tuple | set) else [given]
    return [one for one in listed if one is not None]


ID_KEYS = ("id", "value")
"""Where an object has the id that it stands for (unknown which)."""


def read_id(value: Any) -> int | str | None:
    """Reads an id that may come as a number, as text or inside an object (unknown which)."""
    if isinstance(value, dict):
        value = next((value[key] for key in ID_KEYS if value.get(key)), None)
    if value is None or value == "":
        return None
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _option_id(options: Options, value: Any) -> str:
    """Returns an option's id: a number is an id first, and text is a label first."""
    is_number = isinstance(value, int | float | Decimal)
    return options.id_of(_spell_option(value), ids_first=is_number)


def _spell_option(value: Any) -> str:
    """Spells an option's id or label as text: a DOUBLE that holds 3.0 is 3."""
    if isinstance(value, float | Decimal):
        return str(parse_whole(value))
    if isinstance(value, bool | dict | list):
        raise ValueError("is neither the id nor the label of an option; give one of them as text")
    return str(value)
