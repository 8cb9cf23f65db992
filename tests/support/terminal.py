"""A command at a terminal: what it draws there for a person."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.forking import COMMAND
from tests.support.harness import PATIENCE_SECONDS, ROOT, ended_at_last

DRAWN = re.compile(
    r"\x1b\](?:.*?)(?:\x1b\\|\x07)|\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)"
)
"""A link or a title, a command to the terminal, an end of a line, or text."""


def on_a_terminal(
    env: Mapping[str, str],
    *arguments: str,
    typed: bytes = b"",
    cwd: Path = ROOT,
    columns: int | None = None,
    with_errors: bool = False,
    seconds: float | None = None,
) -> bytes:
    """Run a command at a terminal and return what it draws.

    Args:
        env: The whole of its environment, but for TERM.
        arguments: The command's.
        typed: What a person has typed already, whatever is asked.
        cwd: Where it works.
        columns: How wide the terminal is; None for what a new one is.
        with_errors: Whether standard error goes there, too.
        seconds: After so long what is drawn by then is returned, and the command is ended.
    """
    ours, its = pty.openpty()
    if columns:
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = subprocess.Popen(
        [str(COMMAND), *arguments],
        env={**env, "TERM": "xterm-256color"},
        cwd=cwd,
        stdin=its,
        stdout=its,
        stderr=its if with_errors else subprocess.DEVNULL,
    )
    os.close(its)
    os.write(ours, typed)
    drawn, end = b"", time.monotonic() + (seconds or PATIENCE_SECONDS)
    with ended_at_last(command):
        # The other end of a terminal that nobody holds any more cannot be read: EIO.
        with suppress(OSError):
            while (read := os.read(ours, 65536)) and time.monotonic() < end:
                drawn += read
        if seconds is None:
            command.wait(timeout=PATIENCE_SECONDS)
    os.close(ours)
    return drawn


def screen_of(drawn: bytes, columns: int) -> str:
    """Return what stands on a screen of a width in the end, without colours and links."""
    lines, row, column = [""], 0, 0
    for found in DRAWN.finditer(drawn.decode(errors="replace")):
        given, command, end, text = found.groups()
        if command == "A":
            row = max(row - int(given or 1), 0)
        elif command == "K":
            lines[row] = "" if given == "2" else lines[row][:column]
        elif end == "\r":
            column = 0
        elif end == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
    cut = (line[start:][:columns] for line in lines for start in range(0, len(line) or 1, columns))
    return "\n".join(line.rstrip() for line in cut).rstrip() + "\n"
