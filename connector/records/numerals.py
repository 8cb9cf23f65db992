"""Numbers, exactly: taken from what a warehouse or Pipedrive spells, and spelled. No I/O."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation


def decimal_of(value: object) -> Decimal:
    """Returns the number that a value is, or that its text spells in plain digits.

    Python reads 1_000 and the digits of every script as well, and what they mean is a guess.

    Raises:
        InvalidOperation: It is none.
    """
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if "_" in text or not text.isascii():
        raise InvalidOperation
    return Decimal(text)


def finite(value: float | Decimal | str) -> Decimal:
    """Takes a finite number, exactly.

    Raises:
        ValueError: It is none, or one past all bounds.
    """
    try:
        number = decimal_of(value)
    except InvalidOperation:
        raise ValueError("is not a number; write it like 1234.5") from None
    if not number.is_finite():
        raise ValueError("is not a finite number; use NULL for none")
    if abs(number.adjusted()) > 400:
        raise ValueError("has more digits than a JSON number keeps; round it")
    return number


def spell_number(number: Decimal) -> str:
    """Spells a number without exponent and without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
