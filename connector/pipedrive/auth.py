"""How a request says who sends it: each way is a class, and an object of it goes to the client."""

from __future__ import annotations

from requests import PreparedRequest
from requests.auth import AuthBase


class ApiToken(AuthBase):
    """Sends a personal API token as the header `x-api-token`, and shows it nowhere else."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Adds the header to one request."""
        request.headers["x-api-token"] = self._token
        return request
