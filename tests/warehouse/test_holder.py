"""Which process holds something: told from every other one, and gone only where that is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.warehouse import holder
from connector.warehouse.holder import Process, run_of, this_process

HOLDER = """
import pathlib, sys
from connector.sync.lock import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], Process]]:
    """A process that waits, and what it is."""
    command = [sys.executable, "-c", "print('here', flush=True); input()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        started = int(stat.rpartition(")")[2].split()[19])
        yield process, replace(this_process(), pid=process.pid, started=started)
        process.kill()


def test_a_process_that_lives_is_not_gone(child: tuple[object, Process]) -> None:
    assert not child[1].is_gone
    assert not this_process().is_gone


def test_a_process_that_was_killed_is_gone_before_its_parent_has_heard_of_it(
    child: tuple[subprocess.Popen[str], Process],
) -> None:
    process, found = child
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert found.is_gone
    process.wait()
    assert found.is_gone


def test_another_process_under_its_id_is_not_it() -> None:
    here = this_process()
    assert here.started is not None
    assert replace(here, started=here.started - 1).is_gone


@pytest.mark.parametrize("field", ["host", "boot", "namespace"])
def test_of_a_process_elsewhere_nothing_is_certain(field: str) -> None:
    elsewhere: dict[str, Any] = {field: "elsewhere"}
    assert not replace(this_process(), started=1, **elsewhere).is_gone


@pytest.mark.parametrize("field", ["boot", "namespace", "started"])
def test_where_the_system_does_not_tell_nothing_is_certain(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown: dict[str, Any] = {field: None}
    here = replace(this_process(), **unknown)
    untold = replace(here, pid=2**22 + 1)
    monkeypatch.setattr(holder, "this_process", lambda: here)
    assert not untold.is_gone


def test_a_process_that_is_hidden_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc hides the processes of others, they live."""
    monkeypatch.setattr(holder, "_stat", lambda _pid: None)
    assert not replace(this_process(), started=1).is_gone


@pytest.mark.parametrize("pid", [0, -1])
def test_no_process_has_such_an_id(pid: int) -> None:
    assert not replace(this_process(), pid=pid).is_gone


def test_a_run_is_known_by_the_lock_that_it_has_open(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "work")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(run_of(process.pid)).startswith(f"process {process.pid} on ")
        process.communicate("\n")
    assert run_of(process.pid) is None


def test_another_program_is_no_run(child: tuple[subprocess.Popen[str], Process]) -> None:
    assert run_of(child[0].pid) is None
