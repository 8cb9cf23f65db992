"""The accounts that the contract is held against, and the table of what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connector.sandbox import LocalPipedrive
from tests.contract import own_lead
from tests.contract.account import Account, Shown, account_of
from tests.contract.live import Live, NotStarted, live_session, settings_of
from tests.contract.probes import PROBES
from tests.contract.snapshot import restore

SHOWN = pytest.StashKey[Shown]()
SAID = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--live", action="store_true", help="ask a real account as well")


@pytest.fixture
def local_account(local_pipedrive: LocalPipedrive) -> Account:
    """The local Pipedrive with a lead made as in a real account."""
    local_pipedrive.reset()
    account = account_of("local", local_pipedrive.base_url, local_pipedrive.api_token)
    contact = own_lead.contact_of(account.calls, None, None)
    lead_id = own_lead.make(account.calls, contact, account.user_id)
    return replace(account, lead_id=lead_id, own=True, pipedrive=local_pipedrive)


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """The real account of `make test-live`; its lead is as it was, or deleted, at the end."""
    if not request.config.getoption("--live", default=False):
        pytest.skip("a real account is asked by make test-live alone")
    said = request.config.stash.setdefault(SAID, [])
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")

    def say(line: str) -> None:
        said.append(line)
        if terminal:
            terminal.ensure_newline()
            terminal.write_line(line)

    try:
        with live_session(settings_of(os.environ), say) as session:
            yield session
    except NotStarted as error:
        pytest.exit(f"make test-live: {error}", returncode=1)


@pytest.fixture(params=["local", "live"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """Each account in turn; its lead is as it was before a test begins and when it is over."""
    if request.param == "local":
        found: Account = request.getfixturevalue("local_account")
        before = found.read()
        yield found
        restore(found, before)
        return
    live: Live = request.getfixturevalue("live")
    live.put_back()
    yield live.account
    live.put_back()


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Shown:
    """What each account showed, for the table at the end."""
    return request.config.stash.setdefault(SHOWN, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each account settles, with -s or where a real account was asked."""
    config = terminalreporter.config
    shown = config.stash.get(SHOWN, {})
    if not shown or ("live" not in shown and config.option.capture != "no"):
        return
    terminalreporter.section("what is settled")
    for line in config.stash.get(SAID, []):
        terminalreporter.line(line)
    for line in settled(shown):
        terminalreporter.line(line)


def settled(shown: Shown) -> Iterator[str]:
    """Yield a line for each question, with what each account shows and the sandbox's default."""
    defaults = {probe.name: str(probe.default) for probe in PROBES}
    names = dict.fromkeys(name for answers in shown.values() for name in answers)
    accounts = sorted(shown, reverse=True)
    for name in names:
        answers = (f"{one}: {shown[one].get(name, 'not asked')}" for one in accounts)
        default = [f"default: {defaults[name]}"] if name in defaults else []
        yield f"settled: {name:<32} {' | '.join([*answers, *default])}"
