"""Words that are not ours, made safe to show: titles, names, values, texts of errors.

Strangers choose them, in web forms too. Written to a terminal as they are, they could erase lines
or forge some. What is stored stays exact; what is shown goes through `visible`.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

LONGEST: Final = 200
"""Characters of a title, a name or a value that are shown."""
LONGEST_MESSAGE: Final = 1000
"""The same of a whole message, in which their words stand among ours."""
HIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories of characters that act on a screen, or show nothing of their own there."""
IN_A_ROW: Final = 4
"""So many blanks, or marks over one letter, are shown; more could push text elsewhere."""
BLANK_LETTERS: Final = "\u115f\u1160\u2800\u3164\uffa0"
PACKAGE: Final = f"{Path(__file__).parents[1]}{os.sep}"
JOINER: Final = "\u200d"
EMOJI_PRESENTATION: Final = "\ufe0f"
SKIN_TONES: Final = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def visible(text: object, limit: int = LONGEST) -> str:
    r"""Returns a text as it may be shown: on one line, without what acts on a screen, and cut.

    A character that does is shown as Python writes it, such as `\x1b`. A joiner stays between two
    emoji, which it can only draw as one. To do it twice changes nothing.

    Args:
        text: What is not ours.
        limit: The most characters to return; a text that is cut ends with an ellipsis.
    """
    given = str(text)[: limit + 1]  # none gets shorter, so that the rest cannot matter
    shown = "".join(_pieces(given))
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip(JOINER) + "…"


def message(text: object) -> str:
    """Returns a whole message as it may be shown, each word of it cut as a name is."""
    shown = visible(text, LONGEST_MESSAGE)
    return re.sub(rf"\S{{{LONGEST + 1},}}", lambda word: word[0][: LONGEST - 1] + "…", shown)


def to_json(document: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Returns a document as JSON that is exact data, valid UTF-8 and safe on a screen.

    Args:
        document: JSON types, and others that are written as text: times in UTC.
        indent: Blanks a level; None for one line.
        ascii_only: Whether to escape every character that is not ASCII.
    """
    text = json.dumps(document, indent=indent, default=_as_text, ensure_ascii=ascii_only)
    return re.sub(r"[^\n -~]", _escape_hidden, text)


def _as_text(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return str(value)


def where(error: BaseException) -> str:
    """Describes an error that nobody expected: its type, its words, and where it came up."""
    words = re.sub(r"//[^\s/@]*@", "//***@", str(error))  # a URL may hold a password
    ours = [frame for frame in extract_tb(error.__traceback__) if PACKAGE in frame.filename]
    place = f" at {ours[-1].filename.partition(PACKAGE)[2]}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {words}".removesuffix(": ") + place


def _escape_hidden(found: re.Match[str]) -> str:
    char = found[0]
    return json.dumps(char)[1:-1] if unicodedata.category(char) in HIDDEN else char


def _pieces(text: str) -> Iterator[str]:
    kind, in_a_row = "", 0
    for index, char in enumerate(text):
        before, kind = kind, _repeatable(char)
        in_a_row = in_a_row + 1 if kind == before else 1
        acts = unicodedata.category(char) in HIDDEN and not _joins_emoji(text, index)
        yield _escaped(char) if acts or (kind and in_a_row > IN_A_ROW) else char


def _escaped(char: str) -> str:
    return r"\x20" if char == " " else char.encode("unicode_escape").decode()


def _repeatable(char: str) -> str:
    if char in BLANK_LETTERS or unicodedata.category(char) == "Zs":
        return "blank"
    return "mark" if unicodedata.category(char) in ("Mn", "Me") else ""


def _joins_emoji(text: str, index: int) -> bool:
    if text[index] != JOINER or not 0 < index < len(text) - 1:
        return False
    before, after = text[index - 1], text[index + 1]
    is_emoji = unicodedata.category(before) == "So" or before in SKIN_TONES + EMOJI_PRESENTATION
    return is_emoji and unicodedata.category(after) == "So"
