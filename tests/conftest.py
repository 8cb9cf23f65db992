"""One local Pipedrive for all tests of a worker, started over for each.

Tests that look at what one run has left stay together on one worker, in their order, so that the
run is made once; any other test goes to whichever worker is free.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from connector.sandbox import LocalPipedrive
from tests.harness import Site

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")  # of pipelines that tests make

TOKEN = "7d41c06fb2e84a5c9f3e0d1b6a88425f0c9d7e13"
NewSite = Callable[[], Site]

TOGETHER = (
    "tests/contract/test_api.py",  # a real account has one lead for all of them
    "tests/contract/test_openapi.py",
    "tests/faults/test_every_call.py::test_a_write_that_took_effect_is_never_denied",
    "tests/job/test_apply.py",
    "tests/job/test_audit.py",
    "tests/job/test_bodies.py",
    "tests/job/test_books.py",
    "tests/job/test_columns.py",
    "tests/job/test_commands.py",
    "tests/job/test_conflicts.py",
    "tests/job/test_guards.py",
    "tests/job/test_retries.py",
    "tests/job/test_revert.py",
    "tests/job/test_run_results.py",
    "tests/job/test_screen.py",
    "tests/job/test_statuses.py",
    "tests/job/test_stopped.py",
    "tests/snapshots",
)
"""How the ids of tests begin that share a run."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Keeps together what shares a run, and nothing else."""

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in TOGETHER if nodeid.startswith(shared)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


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
