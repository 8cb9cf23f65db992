"""Standard output and standard error, as what a command prints to."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from connector.records.text import to_json

NARROW = 20
"""Columns in which words are wrapped at least."""
ROOMY = 100
"""Columns from which on a terminal has room for all there is to be shown."""
WIDE = 120
"""For tables that go to no terminal, where no width must be kept."""


class Outlet(io.FileIO):
    """A descriptor to which writing never fails, as no reader is owed to a run that has begun.

    Attributes:
        trouble: Why something could not be written; the first that happened.
    """

    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes, or notes why it cannot."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # another program made it not wait by itself
        except OSError as error:
            self.trouble = self.trouble or error
            written = memoryview(data).nbytes
        return written


def is_narrow(screen: Console) -> bool:
    """Tells whether it is a terminal that has no such room."""
    return screen.is_terminal and screen.width < ROOMY


def console(*, stderr: bool = False) -> Console:
    """Returns a console that prints text as it is: it knows no markup and no names of emoji.

    Args:
        stderr: Whether it prints to standard error.
    """
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        width=None if stream is not None and stream.isatty() else WIDE,
    )


def say(
    screen: Console,
    *parts: str | Text | tuple[str, str],
    style: str = "",
    end: str = "\n",
    hang: int | None = None,
) -> None:
    """Prints a line as it is, whatever the console makes of markup.

    Args:
        screen: Where to.
        parts: Texts, or texts with a style of their own; those that are not ours are visible.
        style: The style of the whole line.
        end: What follows it.
        hang: Where its words begin. On a terminal a long line is wrapped between words, and goes
            on below them; None leaves that to the terminal.
    """
    text = Text.assemble(*parts, style=style)
    for line in [text] if hang is None or not screen.is_terminal else _wrapped(screen, text, hang):
        screen.print(line, end=end)


def _wrapped(screen: Console, text: Text, hang: int) -> list[Text]:
    first, words = text.divide([hang]) if hang else (Text(), text)
    width = screen.width - first.cell_len
    if width < NARROW:
        return [text]
    indent = " " * first.cell_len
    lines = words.wrap(screen, width, overflow="fold", no_wrap=False)
    return [Text.assemble(indent if number else first, line) for number, line in enumerate(lines)]


def twin(screen: Console, file: TextIO) -> Console:
    """Returns a console that prints to a file just what another one would print."""
    return Console(
        file=file,
        force_terminal=screen.is_terminal,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        width=screen.width,
    )


def print_json(document: Any) -> None:
    """Prints JSON and nothing else to standard output."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    sys.stdout.write(to_json(document, indent=2, ascii_only=ascii_only) + "\n")


@contextmanager
def unfailing_output() -> Iterator[Outlet | None]:
    """Lets nothing that is printed fail, whatever the encoding and the readers of both streams.

    A character that the encoding lacks is printed as Python writes it. A reader that has gone,
    such as `head`, and a full disk leave the rest unwritten.

    Yields:
        Where standard output goes, to ask it for its trouble; None where it is no file.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout, outlet = _unfailing(sys.stdout)
    sys.stderr, _ = _unfailing(sys.stderr)
    try:
        yield outlet
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError):  # somebody has closed it
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _unfailing(stream: TextIO | None) -> tuple[TextIO, Outlet | None]:
    if stream is None:  # it was closed when the process began
        return open(os.devnull, "w"), None  # noqa: PTH123
    try:
        outlet = Outlet(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):  # what a test or a notebook has put there
        return stream, None
    stream.flush()
    unfailing = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream is sys.stderr or stream.isatty(),
    )
    return unfailing, outlet
