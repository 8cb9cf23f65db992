"""One sandbox for the folder, started over for each test, and a bare client of its API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from connector.sandbox import LocalPipedrive


@dataclass(frozen=True)
class Api:
    """Calls with the token in its header, redirects not followed."""

    pipedrive: LocalPipedrive
    session: requests.Session = field(default_factory=requests.Session)

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"x-api-token": self.pipedrive.api_token, **options.pop("headers", {})}
        url = f"{self.pipedrive.base_url}/api/v1/{path}"
        options = {"timeout": 10, "allow_redirects": False, **options}
        return self.session.request(method, url, headers=headers, **options)

    def get(self, path: str, **params: str | int) -> requests.Response:
        return self("GET", path, params=params)

    def patch(self, lead_id: str, body: object) -> requests.Response:
        return self("PATCH", f"leads/{lead_id}", json=body)


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
