"""Strangers' words on a screen: nothing in them acts there, whatever they are."""

from __future__ import annotations

import ast
import io
import json
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import connector
from connector.records.text import (
    HIDDEN,
    JOINER,
    LONGEST,
    LONGEST_MESSAGE,
    message,
    to_json,
    visible,
    where,
)
from connector.report.screen import console, say

ANY_TEXT = st.text(st.characters())  # surrogates as well
HOSTILE = st.lists(
    st.sampled_from(
        ["[/red]", "[link=x]", "[", "]", "\\", "/", ":smile:", "\x1b[2J", "\n", "\x9b", "\u202e"]
    )
    | ANY_TEXT
).map("".join)
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SOURCES = sorted(Path(connector.__file__).parent.rglob("*.py"))


def assert_harmless(shown: str) -> None:
    acting = [char for char in shown if unicodedata.category(char) in HIDDEN and char != JOINER]
    assert acting == []
    assert "\n" not in shown


@given(HOSTILE)
def test_whatever_is_shown_is_harmless_and_short(text: str) -> None:
    assert_harmless(visible(text))
    assert len(visible(text)) <= LONGEST
    assert_harmless(message(text))
    assert len(message(text)) <= LONGEST_MESSAGE


@given(HOSTILE)
def test_to_show_it_twice_changes_nothing(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert message(message(text)) == message(text)


@given(st.lists(HOSTILE, min_size=1, max_size=3))
def test_a_line_is_printed_as_it_is_whatever_the_console(texts: list[str]) -> None:
    shown = [visible(text) for text in texts]
    for screen in (Console(file=io.StringIO(), soft_wrap=True), console()):
        with screen.capture() as captured:
            say(screen, *((text, "bold") for text in shown), " → ", *shown)
        assert captured.get() == f"{''.join(shown)} → {''.join(shown)}\n"


@given(st.text(st.characters(categories=["L", "Nd", "P", "Sm"]), max_size=LONGEST))
def test_words_are_shown_as_they_are(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb\tc\x7f", r"a\r\nb\tc\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ue000\U000f0000", r"\ue000\U000f0000"),
        ("\ud83d", r"\ud83d"),
        ("\U000e0041\U000e01ff", r"\U000e0041\U000e01ff"),
        ("[/red]", "[/red]"),
        (r"\x1b", r"\x1b"),
        ("Ärger – ‘naïve’ 東京 👍🏽 ❤️", "Ärger – ‘naïve’ 東京 👍🏽 ❤️"),
        (FAMILY, FAMILY),
        ("a\u200db", r"a\u200db"),
        ("\u200d👍", r"\u200d👍"),
        ("👍\u200d", r"👍\u200d"),
        ("👍\u200d\u200d👍", r"👍\u200d\u200d👍"),
        ("a    b", "a    b"),
        ("a     b", r"a    \x20b"),
        ("e" + "\u0301" * 5, "e" + "\u0301" * 4 + r"\u0301"),
        (None, "None"),
        (50, "50"),
    ],
)
def test_what_acts_is_shown_as_python_writes_it(text: object, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_cannot_be_pushed_to_where_it_looks_like_another() -> None:
    forged = "Acme" + " " * 76 + "    Title  old → new"
    assert " " * 5 not in visible(forged)


def test_what_is_long_is_cut() -> None:
    assert visible("A" * LONGEST) == "A" * LONGEST
    assert visible("A" * (LONGEST + 1)) == "A" * (LONGEST - 1) + "…"
    assert visible("\n" * LONGEST) == (r"\n" * LONGEST)[: LONGEST - 1] + "…"
    assert len(visible("A" * 10_000_000)) == LONGEST
    assert message(f"why {'A' * 500} ; do so") == f"why {'A' * (LONGEST - 1)}… ; do so"
    assert len(message("why " * 5000)) == LONGEST_MESSAGE


@given(st.dictionaries(HOSTILE, HOSTILE), st.booleans())
def test_json_is_exact_and_safe(document: dict[str, str], ascii_only: bool) -> None:
    text = to_json(document, indent=2, ascii_only=ascii_only)
    for line in text.encode("ascii" if ascii_only else "utf-8").decode().splitlines():
        assert [char for char in line if unicodedata.category(char) in HIDDEN] == []
    # Two halves that stand in a row are one character to JSON.
    halves = json.dumps(document, ensure_ascii=True)
    assert json.loads(text) == json.loads(halves)


def test_times_in_json_are_in_utc() -> None:
    """A warehouse tells them in its session's zone."""
    told = datetime(2026, 6, 30, 2, 30, tzinfo=timezone(timedelta(hours=5.5)))
    assert json.loads(to_json([told])) == ["2026-06-29 21:00:00+00:00"]


def test_json_stays_readable() -> None:
    assert to_json({"title": "Ärger 😀 \x9b"}) == '{"title": "Ärger 😀 \\u009b"}'


def test_an_unexpected_error_is_described_without_a_password() -> None:
    try:
        visible(Unprintable())
    except ValueError as error:
        told = where(error)
    assert told.startswith("ValueError: postgresql://***@db/x at records/text.py:")
    assert "hunter2" not in told


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("postgresql://me:hunter2@db/x")


def imports(source: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def test_no_text_is_escaped_for_markup_anywhere() -> None:
    """Two texts that are escaped one by one can still make a tag together: `[/` and `]`."""
    using = [source.name for source in SOURCES if "rich.markup" in " ".join(imports(source))]
    assert using == []


def test_consoles_are_made_in_one_place() -> None:
    making = {source.name for source in SOURCES if "Console(" in source.read_text()}
    assert making == {"screen.py"}


def test_the_function_imports_nothing_of_ours() -> None:
    text = next(source for source in SOURCES if source.name == "text.py")
    assert [name for name in imports(text) if name.startswith("connector")] == []
