"""One run at a time on one working folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.errors import LockedError
from connector.sync.lock import hold


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with hold(folder):
        with pytest.raises(LockedError, match=f"process {os.getpid()} "), hold(folder):
            pass
        with hold(tmp_path / "other"):
            pass
    with hold(folder):
        pass


def test_a_holder_that_failed_does_not_hold_on(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path / "work"):
        raise KeyError
    with hold(tmp_path / "work"):
        pass


HOLDER = """
import pathlib, sys, time
from connector.sync.lock import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_holder_that_was_killed_does_not_hold_on(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {process.pid} "), hold(folder):
            pass
        process.kill()
    with hold(folder):
        pass
