"""A command at a terminal: what it draws there for a person."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from tests.support.forking import COMMAND
from tests.support.harness import PATIENCE_SECONDS, ROOT


def on_a_terminal(env: Mapping[str, str], *arguments: str, typed: bytes = b"") -> bytes:
    """Run a command at a terminal and return what it draws.

    Args:
        env: The whole of its environment, but for TERM.
        arguments: The command's.
        typed: What a person has typed already, whatever is asked.
    """
    ours, its = pty.openpty()
    command = subprocess.Popen(
        [str(COMMAND), *arguments],
        env={**env, "TERM": "xterm-256color"},
        cwd=ROOT,
        stdin=its,
        stdout=its,
        stderr=subprocess.DEVNULL,
    )
    os.close(its)
    os.write(ours, typed)
    drawn = b""
    # The other end of a terminal that nobody holds any more cannot be read: EIO.
    with suppress(OSError):
        while read := os.read(ours, 65536):
            drawn += read
    os.close(ours)
    command.wait(timeout=PATIENCE_SECONDS)
    return drawn
