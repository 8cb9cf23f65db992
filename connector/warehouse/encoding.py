"""Rows as dlt carries them: in JSON's own types, so that nothing in them can be taken for dlt's.

dlt writes a timestamp, a date or a decimal into its files as text that begins with a private
character, and reads text that begins with one as such a value. Icon fonts use the same
characters in titles, and which ones dlt takes depends on the process. So times and decimals go
as text, which the type of their column turns back, and private characters as JSON escapes,
which dlt does not look behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import orjson

from connector.pipedrive.escapes import escape

PRIVATE = re.compile(
    b"\xee[\x80-\xbf]|\xef[\x80-\xa3]|\xf3[\xb0-\xbf]|\xf4[\x80-\x8f]"  # in UTF-8
)
_FIRST_BYTES = (b"\xee", b"\xef", b"\xf3", b"\xf4")


def encode(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row whose values come out of dlt's files as they went in."""
    return {name: _encode_value(value) for name, value in row.items()}


def encode_line(row: Mapping[str, Any]) -> bytes:
    """Returns a row as `encode` has it, as a line of JSON.

    Nearly all rows have nothing in them to be escaped; those are written in one go.
    """
    try:
        line = orjson.dumps(row, _encode_own, orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a surrogate
        line = b""
    if not line or b"\\u0000" in line or _has_private(line):
        return orjson.dumps(encode(row), option=orjson.OPT_APPEND_NEWLINE)
    return line


def _has_private(text: bytes) -> bool:
    return any(byte in text for byte in _FIRST_BYTES) and PRIVATE.search(text) is not None


def _encode_own(value: Any) -> str:
    if isinstance(value, date):  # a datetime is one as well
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


def _encode_value(value: Any) -> Any:
    if isinstance(value, date | Decimal):
        return _encode_own(value)
    return _encode_json(value) if isinstance(value, str | list | dict) else value


def _encode_json(value: Any) -> Any:
    try:
        text = orjson.dumps(value)
    except TypeError:  # half a surrogate
        text = b""
    if not text or b"\\u0000" in text:
        value = escape(value)
        text = orjson.dumps(value)
    return orjson.Fragment(json.dumps(orjson.loads(text))) if _has_private(text) else value
