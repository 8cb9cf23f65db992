"""How a request says who sends it: each way is a class, and an object of it goes to the client."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from html import escape

from requests import PreparedRequest
from requests.auth import AuthBase

_FEWEST_CHARACTERS = 8
"""Of base64; fewer are in words that have nothing to do with the secret."""


class SignIn(AuthBase):
    """A way to say who sends a request, with a secret that is shown nowhere.

    A server, or a gateway before it, may repeat in its answer what it was sent.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._spellings = re.compile("|".join(_spellings(secret)), re.IGNORECASE)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def hide(self, text: str) -> str:
        """Returns a text without the secret, however it is spelled there."""
        return self._spellings.sub("…", text)


class ApiToken(SignIn):
    """Sends a personal API token as the header `x-api-token`."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Adds the header to one request."""
        request.headers["x-api-token"] = self._secret
        return request


def _spellings(secret: str) -> Iterator[str]:
    """Yields patterns of a secret as answers may spell it: escaped, for a URL, in base64."""
    yield r"\\*".join(map(_spelled, secret))
    data = secret.encode()
    for before in range(3):  # three bytes are four characters of base64, wherever they begin
        encoded = b64encode(bytes(before) + data).decode()
        part = encoded[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]
        if len(part) >= _FEWEST_CHARACTERS:
            yield re.escape(part).replace("/", "[/_]").replace(r"\+", r"[+\-]")


def _spelled(character: str) -> str:
    as_number = f"{ord(character):02x}"
    ways = {character, escape(character), f"u00{as_number}", f"%{as_number}"}
    return f"(?:{'|'.join(map(re.escape, sorted(ways)))})"
