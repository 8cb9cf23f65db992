"""Everything that goes over the wire while a block runs, seen from the client's side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from tests.contract.description import PREFIX, Exchange


@contextmanager
def recorded() -> Iterator[list[Exchange]]:
    """Note every exchange with the API; it goes over real HTTP all the same."""
    found: list[Exchange] = []
    send = HTTPAdapter.send

    def noting(
        adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        response = send(adapter, request, *args, **options)
        if urlsplit(request.url or "").path.startswith(f"{PREFIX}/"):
            found.append(_exchange(request, response))
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPAdapter, "send", noting)
        yield found


def _exchange(request: requests.PreparedRequest, response: requests.Response) -> Exchange:
    url = urlsplit(str(request.url))
    return Exchange(
        str(request.method),
        url.path,
        dict(parse_qsl(url.query)),
        json.loads(request.body) if request.body else None,
        response.status_code,
        response.json(),
    )
