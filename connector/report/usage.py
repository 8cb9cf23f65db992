"""How the help of a command reads: its options in their order, its guards below them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
GUARDS = "Guards, for this time alone"
RANGES = (
    (re.compile(r"; x>=0\]|x>=0; "), "]"),
    (re.compile(r"x>=(\d+)"), r"at least \1"),
    (re.compile(r"(\d+)<=x<=(\d+)"), r"\1 to \2"),
)
"""What click says of a range of numbers, and what people say."""


class Guard(click.Option):
    """An option that sets a guard."""


class PlainCommand(click.Command):
    """A command whose help is plain English, and whose line in the list of commands is not cut."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Returns the first line of its help, however long a line may be."""
        return super().get_short_help_str(max(limit, len(self.help or "")))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, and the guards below them."""
        params = self.get_params(ctx)
        for title, rows in (
            ("Options", [one for one in params if not isinstance(one, Guard)]),
            (GUARDS, [one for one in params if isinstance(one, Guard)]),
        ):
            records = [record for one in rows if (record := one.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl([(names, _in_words(text)) for names, text in records])


def options(*given: Decorator) -> Decorator:
    """Gives a command several options, which its help shows in this order."""

    def give(command: Command) -> Command:
        for option in reversed(given):
            command = option(command)
        return command

    return give


def guard(name: str, default: str, help_text: str, metavar: str = "N|off") -> Decorator:
    """Returns an option that sets a guard.

    Args:
        name: Its name.
        default: What holds where nothing is set.
        help_text: What it bounds.
        metavar: What it takes.
    """
    told = f"{help_text}  [default: {default}]"
    return click.option(f"--{name}", cls=Guard, metavar=metavar, help=told)


def number(name: str, least: int, **given: Any) -> Decorator:
    """Returns an option that takes a whole number."""
    kind = click.IntRange(min=least, max=given.pop("most", None))
    return click.option(f"--{name}", type=kind, metavar="N", **given)


def _in_words(text: str) -> str:
    for found, told in RANGES:
        text = found.sub(told, text)
    return text
