"""A local Pipedrive for the folder, started over for each test, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.sandbox import LocalPipedrive
from tests.support.recorder import TOKEN, Recorder, recording


@pytest.fixture(scope="package")
def running() -> Iterator[LocalPipedrive]:
    with LocalPipedrive(limits=False, token=TOKEN) as pipedrive:
        yield pipedrive


@pytest.fixture
def pipedrive(running: LocalPipedrive) -> LocalPipedrive:
    running.reset()
    return running


@pytest.fixture
def client(pipedrive: LocalPipedrive) -> Pipedrive:
    return Pipedrive(pipedrive.base_url, ApiToken(TOKEN))


@pytest.fixture
def lead(pipedrive: LocalPipedrive) -> dict[str, Any]:
    """A lead that is not archived."""
    return next(lead for lead in pipedrive.leads().values() if not lead["is_archived"])


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made
