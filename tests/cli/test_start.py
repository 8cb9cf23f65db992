"""How the command starts: what it imports, and how its usage is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import click
import pytest

from connector import cli
from connector.planning.guards import GUARDS
from connector.report.start import importing
from tests.support.forking import COMMAND
from tests.support.harness import PATIENCE_SECONDS, ROOT, Ended, Site, run_to_end

HEAVY = {"dlt", "duckdb", "pendulum", "requests", "starlette", "uvicorn"}
NOT_FOR_READING = {"demo", "sandbox", "source", "sync.runs", "sync.check", "sync.sending"}
USAGE = [("--bogus",), ("bogus",), ("run", "--limit", "0"), ("plan", "--output", "xml"), ("apply",)]
LIGHT = [(), ("--help",), ("--version",), ("run", "--help"), ("sandbox", "--help"), *USAGE]


def command(*arguments: str, **env: str) -> Ended:
    """Run the real command."""
    return run_to_end([str(COMMAND), *arguments], {**os.environ, **env})


WRITE_DOWN = """
import atexit, pathlib, runpy, sys
file = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: file.write_text(" ".join(sys.modules)))
runpy.run_module("connector", run_name="__main__", alter_sys=True)
"""


def imported_by(folder: Path, *arguments: str, **env: str) -> set[str]:
    """Return the modules that Python has imported when a command ends."""
    file = folder / "modules"
    subprocess.run(
        [sys.executable, "-c", WRITE_DOWN, str(file), *arguments],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return set(file.read_text().split())


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_help_and_wrong_usage_import_nothing_heavy(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    imported = imported_by(tmp_path, *arguments)
    assert "connector.cli" in imported
    assert imported & HEAVY == set()


def test_runs_imports_only_what_reads(site: Site) -> None:
    site.desire_titles({})
    assert site.plan().exit_code == 0
    imported = imported_by(site.folder, "runs", **site.environment())
    assert {"dlt", "duckdb", "connector.warehouse.history"} <= imported
    assert imported & {f"connector.{name}" for name in NOT_FOR_READING} == set()


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_told_with_the_way_to_the_help(arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.stdout) == (1, "")
    usage, hint, blank, wrong = ended.stderr.splitlines()
    assert usage.startswith("Usage: lead-sync ")
    assert hint.startswith("Try 'lead-sync ")
    assert hint.endswith(" --help' for help.")
    assert (blank, wrong[:7]) == ("", "Error: ")


@pytest.mark.parametrize("arguments", [("--\x1b[2J",), ("\x1b[2J",), ("run", "--lead")])
def test_wrong_usage_acts_on_no_screen(arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.stdout) == (1, "")
    assert "\x1b" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("Error: ")


def test_an_argument_that_is_endless_is_cut() -> None:
    assert len(command("run", "--limit", "9" * 100_000 + "x").stderr) < 2000


def test_the_module_is_the_command() -> None:
    ended = run_to_end([sys.executable, "-m", "connector", "--bogus"], os.environ)
    assert ended.stderr == command("--bogus").stderr


def test_help_lists_the_commands_in_the_order_of_a_users_way() -> None:
    told = command("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in told.splitlines() if line[:3].strip()]
    assert sorted(names) == sorted(cli.lead_sync.commands)
    assert names == [name for name in cli.ORDER if name in cli.lead_sync.commands]
    assert names[:4] == ["init", "check", "fields", "columns"]
    assert "..." not in told


def test_a_command_that_has_no_place_comes_last() -> None:
    group = cli.InOrder("one")
    for name in ("zeta", "runs", "init", "alpha", "check"):
        group.add_command(click.Command(name))
    context = click.Context(group)
    assert group.list_commands(context) == ["init", "check", "runs", "zeta", "alpha"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str) -> None:
    source = command(_LEAD_SYNC_COMPLETE=f"{shell}_source")
    assert (source.code, source.stderr) == (0, "")
    assert "_LEAD_SYNC_COMPLETE=" in source.stdout
    assert f"_LEAD_SYNC_COMPLETE={shell}_source lead-sync" in command("--help").stdout
    words = {"COMP_WORDS": "lead-sync re", "COMP_CWORD": "1" if shell != "fish" else "re"}
    completed = command(_LEAD_SYNC_COMPLETE=f"{shell}_complete", **words)
    assert "revert" in completed.stdout
    assert "columns" not in completed.stdout


@pytest.mark.parametrize("name", ["run", "plan", "apply"])
def test_each_guard_has_its_option(name: str) -> None:
    flags = {flag for option in cli.lead_sync.commands[name].params for flag in option.opts}
    assert {f"--{guard.replace('_', '-')}" for guard in GUARDS} <= flags


def test_help_is_told_on_an_ascii_screen_and_a_full_disk() -> None:
    assert command("--help", PYTHONIOENCODING="ascii").code == 0
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [str(COMMAND), "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert "standard output cannot be written: No space left" in ended.stderr


def test_an_import_leaves_the_handler_of_ctrl_c_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert before is signal.default_int_handler
    with suppress(ImportError), importing():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        raise ImportError
    assert signal.getsignal(signal.SIGINT) is before


def test_an_import_leaves_a_handler_of_somebody_elses_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with importing():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_import_in_another_thread_touches_no_signal() -> None:
    seen: list[object] = []

    def load() -> None:
        with importing():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("run", "--limit", "0"),
        ("columns",),
        ("columns", "--output", "json"),
        ("runs",),
    ],
    ids=" ".join,
)
def test_a_forked_command_is_like_one_that_was_started(
    site: Site, arguments: tuple[str, ...]
) -> None:
    """Most tests fork their commands, as `tests/support/forking.py` says."""
    site.desire_titles({min(site.pipedrive.leads()): "New"})
    started = command(*arguments, **site.environment())
    assert site.command(*arguments) == started
