"""One sandbox for the folder, started over for each test, and a bare client of its API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.sandbox import LocalPipedrive
from tests.support.api import Api


@pytest.fixture(scope="package")
def running() -> Iterator[LocalPipedrive]:
    with LocalPipedrive(limits=False) as pipedrive:
        yield pipedrive


@pytest.fixture
def pipedrive(running: LocalPipedrive) -> LocalPipedrive:
    running.reset()
    return running


@pytest.fixture
def api(pipedrive: LocalPipedrive) -> Iterator[Api]:
    made = Api(pipedrive)
    yield made
    made.session.close()


@pytest.fixture
def lead(pipedrive: LocalPipedrive) -> dict[str, Any]:
    """A lead that is not archived and has both a person and an organization."""
    return next(
        lead
        for lead in pipedrive.leads().values()
        if not lead["is_archived"] and lead["person_id"] and lead["organization_id"]
    )
