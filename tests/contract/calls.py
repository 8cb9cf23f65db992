"""Plain calls to one account, for what the connector's client has no method for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import LOOPBACK

PAUSES: Sequence[float] = (0, 0.5, 1, 2, 4, 8, 16, 30)
"""Seconds before each try of a call that may be made again."""
WINDOW_SECONDS = 2.0
"""The length of the burst limit's window (documented)."""
WINDOWS = 5
"""So many of them are waited for."""
BURST = 429
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Unreachable(Exception):
    """No usable answer came, try after try."""


@dataclass(frozen=True)
class Reply:
    """What came back from one call."""

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any]

    @property
    def data(self) -> Any:
        return self.document.get("data")

    @property
    def words(self) -> str:
        """The status and the texts of an error, as one line."""
        texts = (self.document.get(key) for key in ("error", "error_info", "code"))
        return " · ".join([str(self.status), *(str(text) for text in texts if text)])


@dataclass(frozen=True)
class Calls:
    """One account's API; the token is in no `repr`."""

    base_url: str
    auth: ApiToken = field(repr=False)

    def __call__(self, method: str, path: str, body: Any = None, **params: Any) -> Reply:
        """Make one call and return whatever answer came; a spent window is waited for.

        Raises:
            Unreachable: None came.
        """
        for _ in range(WINDOWS):
            reply = self._once(method, path, body, params)
            if reply.status != BURST:
                break
            time.sleep(WINDOW_SECONDS)
        return reply

    def _once(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> Reply:
        session = requests.Session()
        session.trust_env = urlsplit(self.base_url).hostname not in LOOPBACK
        try:
            answer = session.request(
                method,
                f"{self.base_url}/api/v1/{path}",
                json=body,
                params=params,
                auth=self.auth,
                timeout=30,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}") from None
        finally:
            session.close()
        return Reply(answer.status_code, answer.headers, _document(answer))

    def patiently(
        self, method: str, path: str, *, pauses: Sequence[float] = PAUSES, **params: Any
    ) -> Reply:
        """Make a call that does no harm when it is made twice, until it is answered.

        Raises:
            Unreachable: It never was.
        """
        last = "no answer"
        for pause in pauses:
            time.sleep(pause)
            try:
                reply = self(method, path, **params)
            except Unreachable as error:
                last = str(error)
                continue
            if reply.status not in PASSING:
                return reply
            last = f"{method} {path}: {reply.words}"
        raise Unreachable(last)


def _document(answer: requests.Response) -> Mapping[str, Any]:
    try:
        document = answer.json()
    except requests.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
