"""A bare client of the local Pipedrive's API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
