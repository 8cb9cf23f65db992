"""An account's fields: for people, as JSON, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.planning.description import Description
from connector.records.text import visible
from connector.report.screen import console, is_narrow, print_json, say

Form = Literal["text", "json", "markdown", "csv"]
TITLES = ("column", "field", "type", "cleared by", "values")
SHOWN = 12
"""Options of a field that are shown on a screen."""
HEADER = ("column", "field", "type", "takes", "options", "cleared by", "required", "notes")
LONGEST_ID = 12
"""Characters of an id that is shown on a screen: a label's is of 36, and goes by its name."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would work out."""


def show_fields(found: Sequence[Description], output: Form) -> None:
    """Shows every field of an account in the form that was asked for."""
    if output == "json":
        print_json([fields_document(one) for one in found])
    elif output == "text":
        print_fields(console(), found)
    else:
        sys.stdout.write(markdown(found) if output == "markdown" else comma_separated(found))


def fields_document(one: Description) -> dict[str, Any]:
    """Returns a field as JSON types."""
    return {
        "column": one.column,
        "key": one.key,
        "field": one.name,
        "part": one.part or None,
        "type": one.type,
        "takes": one.takes,
        "options": dict(one.options.names),
        "people": dict(one.options.people),
        "clearable": bool(one.cleared_by),
        "cleared_by": list(one.cleared_by),
        "on_null": one.on_null if one.column else None,
        "required": one.required,
        "notes": list(one.notes),
    }


def print_fields(screen: Console, found: Sequence[Description]) -> None:
    """Prints a row for each column that there may be; below it, what else is to be known."""
    print_rows = _print_below if is_narrow(screen) else _print_table
    print_rows(screen, [one for one in found if one.column is not None])
    for name, notes in _noted(found):
        say(screen, (name, "bold"), f": {notes}", hang=2)
    others = [f"{label(one)} ({visible(one.notes[0])})" for one in found if one.column is None]
    if others:
        say(screen, f"Not for the table: {', '.join(others)}.", hang=0)
    key = "lead_id, the lead's id, is the key. A column that is left out leaves its field alone."
    say(screen, key, hang=0)


def _print_table(screen: Console, found: Sequence[Description]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("column", no_wrap=True)  # a name that is cut short cannot be copied
    for title in TITLES[1:]:
        table.add_column(title, overflow="fold")
    for cells in _cells(found):
        table.add_row(*map(Text, cells))
    screen.print(table, soft_wrap=False)


def _print_below(screen: Console, found: Sequence[Description]) -> None:
    """Prints what a column takes below it, where a terminal has no room beside it."""
    rows = [TITLES, *_cells(found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(TITLES) - 1)]
    for number, (*cells, values) in enumerate(rows):
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        say(screen, padded.rstrip(), style="" if number else "bold")
        say(screen, f"    {values}", hang=4, style="dim")
    screen.print()


def _cells(found: Iterable[Description]) -> Iterator[tuple[str, ...]]:
    shown: dict[str, str] = {}
    for one in found:
        clear = cleared(one) + ("; required" if one.required else "")
        column, kind = visible(one.column or ""), visible(one.type)
        yield column, label(one), kind, clear, _values(one, shown)


def label(one: Description) -> str:
    """Returns what people call a field, and which part of it is meant."""
    return f"{visible(one.name)} ({one.part})" if one.part else visible(one.name)


def named_options(one: Description) -> list[str]:
    """Returns each option with its id, which the table may hold instead."""
    return [f"{visible(one.options.describe(key))} [{visible(key)}]" for key in one.options.names]


def cleared(one: Description) -> str:
    """Returns what clears a field, by what Pipedrive allows and by the rule of the settings."""
    if one.column is None:
        return ""
    if one.on_null == "reject":
        return "nothing: on_null rejects it"
    if not one.cleared_by:
        return "never"
    return " or ".join(one.cleared_by) if one.on_null == "clear" else "nothing: on_null keeps it"


def markdown(found: Iterable[Description]) -> str:
    """Returns the fields as a table in Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *(map(_escaped, row) for row in _rows(found))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comma_separated(found: Iterable[Description]) -> str:
    """Returns the fields as CSV that is safe in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in _rows(found):
        writer.writerow(f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row)
    return text.getvalue()


def _values(one: Description, shown: dict[str, str]) -> str:
    """Returns what a column holds; what has been shown of another is not shown again.

    Args:
        one: The field.
        shown: What kind of options was shown, and at which column.
    """
    if not one.options.names:
        return one.takes
    if before := shown.get(one.options.noun) if one.options.people else None:
        return f"{one.takes}, as for {before}"
    names = [
        visible(one.options.describe(key)) + ("" if len(key) > LONGEST_ID else f" [{visible(key)}]")
        for key in one.options.names
    ]
    more = [f"… {len(names) - SHOWN} more"] * (len(names) > SHOWN)
    if one.options.people:
        shown[one.options.noun] = visible(one.column)
    return f"{one.takes}: {', '.join(names[:SHOWN] + more)}"


def _rows(found: Iterable[Description]) -> Iterator[list[str]]:
    for one in found:
        yield [
            visible(one.column or ""),
            label(one),
            visible(one.type),
            one.takes,
            "; ".join(named_options(one)),
            cleared(one),
            "yes" if one.required else "",
            "; ".join(map(visible_note, one.notes)),
        ]


def visible_note(note: str) -> str:
    """Returns a note of ours as it may be shown, in which a stranger's name may stand."""
    return visible(note, 1000)


def _noted(found: Iterable[Description]) -> Iterator[tuple[str, str]]:
    """Yields the columns that something is to be known of, those of one field together."""
    told: set[tuple[str, ...]] = set()
    of_field: set[tuple[str, str]] = set()
    for one in found:
        if one.column and one.notes and one.notes not in told:
            told.add(one.notes)
            new = [note for note in one.notes if (one.name, note) not in of_field]
            of_field |= {(one.name, note) for note in new}
            if new:
                yield visible(one.column), "; ".join(map(visible_note, new))


def _escaped(cell: str) -> str:
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", cell)
