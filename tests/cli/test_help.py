"""The help of each command, as a person reads it at 80 columns."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from connector.cli import ORDER, lead_sync
from connector.planning.guards import GUARDS, Limits

DEFAULTS = {
    name: "off" if value is None else str(value).removesuffix(".0")
    for name, value in vars(Limits()).items()
}


def help_of(*arguments: str) -> str:
    ended = CliRunner().invoke(lead_sync, [*arguments, "--help"], terminal_width=80)
    assert ended.exit_code == 0
    return ended.output


@pytest.mark.parametrize("command", ORDER)
def test_it_is_plain_and_fits(command: str) -> None:
    told = help_of(command)
    assert "x>=" not in told
    assert "<=x" not in told
    assert "[default: (" not in told
    assert [line for line in told.splitlines() if len(line) > 80] == []


def test_the_exit_codes_are_told() -> None:
    told = help_of()
    codes = re.findall(r"\b(\d) [a-z]", told.partition("Exit codes:")[2].partition("\n\n")[0])
    assert codes == [*"0123456"]


@pytest.mark.parametrize("command", ["plan", "run", "apply", "rehearse"])
def test_guards_stand_together_with_their_defaults(command: str) -> None:
    options, _, guards = help_of(command).partition("Guards, for this time alone:")
    assert "Options:" in options
    joined = " ".join(guards.split())
    told = dict(re.findall(r"--([a-z-]+) \S+\|\S+ .*?\[default: (\w+)\]", joined))
    assert told.keys() == {name.replace("_", "-") for name in GUARDS}
    known = {name: DEFAULTS[name.replace("-", "_")] for name in told}
    assert told == known
    assert "--lead" not in guards
