"""The accounts that the contract is held against, and the table of what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from connector.sandbox import LocalPipedrive
from tests.contract.account import Account, account_of, restore
from tests.contract.probes import PROBES

LIVE = ("LEAD_SYNC_LIVE_URL", "LEAD_SYNC_LIVE_TOKEN", "LEAD_SYNC_LIVE_LEAD")
"""Address, API token and the id of a throw-away lead of a real account."""

Shown = dict[str, dict[str, object]]
SHOWN = pytest.StashKey[Shown]()


@pytest.fixture(scope="session")
def local_account(local_pipedrive: LocalPipedrive) -> Account:
    local_pipedrive.reset()
    lead = next(
        one
        for one in local_pipedrive.leads().values()
        if not one["is_archived"] and one["person_id"] and one["organization_id"]
    )
    made = (local_pipedrive.base_url, local_pipedrive.api_token, lead["id"])
    return account_of("local", *made, local_pipedrive)


@pytest.fixture(scope="session")
def live_account() -> Account:
    given = [os.environ.get(name, "") for name in LIVE]
    if not all(given):
        pytest.skip(f"no real account: set {', '.join(LIVE)}")
    url, token, lead_id = given
    local = urlsplit(url).hostname in {"127.0.0.1", "localhost"}
    assert url.startswith("https://") or local, "the token goes out over https alone"
    return account_of("live", url.rstrip("/"), token, lead_id)


@pytest.fixture(params=["local", "live"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """Each account in turn; its lead is as it was when the test is over."""
    found: Account = request.getfixturevalue(f"{request.param}_account")
    if found.pipedrive:
        found.pipedrive.reset()
    before = found.read()
    yield found
    restore(found, before)


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Shown:
    """What each account showed, for the table at the end."""
    return request.config.stash.setdefault(SHOWN, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which reading each account shows, with -s or where a real account was asked."""
    config = terminalreporter.config
    shown = config.stash.get(SHOWN, {})
    if not shown or ("live" not in shown and config.option.capture != "no"):
        return
    terminalreporter.section("readings of the API")
    terminalreporter.line(_table_line("", *shown, "sandbox's default"))
    for probe in PROBES:
        cells = (str(readings.get(probe.name, "not asked")) for readings in shown.values())
        terminalreporter.line(_table_line(probe.name, *cells, str(probe.default)))


def _table_line(*cells: str) -> str:
    return "".join(f"{cell:<24}" for cell in cells).rstrip()
