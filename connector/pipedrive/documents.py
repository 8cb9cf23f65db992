"""JSON of answers, read so that one bad record does not hide the others."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from connector.pipedrive.escapes import escape

DEEPEST = 64
"""How deep a record may be nested. A record beyond that cannot be stored or compared."""
_NESTED = (dict, list)
_CUT_BELOW = 4 * DEEPEST
_MARKS = re.compile(r'"(?>[^"\\]+|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def read_document(body: bytes) -> dict[str, Any] | None:
    """Returns the JSON object that a body is, its texts as a warehouse can hold them; or None."""
    try:
        document = orjson.loads(body)
        orjson.dumps(document)  # refuses what is nested too deep for whoever looks into it
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        document = _mended(body)
    if b"\\u0000" in body:
        document = escape(document)
    return document if isinstance(document, dict) else None


def is_too_deep(value: Any) -> bool:
    """Tells whether a value is nested deeper than a record may be."""
    level, depth = [value] if isinstance(value, _NESTED) else [], 0
    while level and depth < DEEPEST:
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, _NESTED)
        ]
        depth += 1
    return bool(level)


def _mended(body: bytes) -> Any:
    """Reads what strict JSON refuses: half an emoji, 1e999, NaN, a wrong byte, endless nesting.

    Half an emoji becomes the text of its escape. A number that no double holds becomes text.
    """
    text = _cut_depths(body.decode(json.detect_encoding(body), "replace"))
    try:
        document = json.loads(text, parse_constant=str, parse_float=_number, parse_int=_number)
        text = json.dumps(document, ensure_ascii=False)
        return orjson.loads(_HALF_A_PAIR.sub(lambda half: rf"\\u{ord(half[0]):04x}", text))
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> int | float | str:
    if len(text) < 19 and text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    return text if value in (float("inf"), float("-inf")) else value


def _cut_depths(text: str) -> str:
    """Puts null for whatever is nested too deep to be read; such a record is too deep still."""
    depth, kept = 0, 0
    parts: list[str] = []
    for found in _MARKS.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == _CUT_BELOW:
                parts.append(text[kept : found.start()])
                kept = len(text)
        elif found[0] in ("]", "}"):
            if depth == _CUT_BELOW:
                parts.append("null")
                kept = found.end()
            depth -= 1
    return "".join([*parts, text[kept:]])
