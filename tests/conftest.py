"""One local Pipedrive for all tests of a worker, started over for each.

Tests that look at what one run has left share an `xdist_group`, so that they run on one worker, in
their order, and the run is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.sandbox import LocalPipedrive
from tests.harness import Site

TOKEN = "7d41c06fb2e84a5c9f3e0d1b6a88425f0c9d7e13"
NewSite = Callable[[], Site]


@pytest.fixture(scope="session")
def local_pipedrive() -> Iterator[LocalPipedrive]:
    with LocalPipedrive(limits=False, token=TOKEN) as pipedrive:
        yield pipedrive


@pytest.fixture(scope="session")
def new_site(local_pipedrive: LocalPipedrive, tmp_path_factory: pytest.TempPathFactory) -> NewSite:
    """Makes sites: each has an empty warehouse, and Pipedrive with its first 40 seeded leads."""

    def make() -> Site:
        folder: Path = tmp_path_factory.mktemp("site")
        local_pipedrive.reset()
        return Site(folder, local_pipedrive)

    return make


@pytest.fixture
def site(new_site: NewSite) -> Site:
    return new_site()
