"""Pipedrive's leads API over HTTP: calls, pages and nothing of what they are for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import requests
from requests.auth import AuthBase

from connector.pipedrive.bounded import BoundedAdapter
from connector.pipedrive.budget import Budget
from connector.pipedrive.errors import (
    AccountError,
    Answer,
    BudgetSpent,
    InDoubt,
    Interrupted,
    PipedriveError,
    RateLimited,
    classify,
)
from connector.pipedrive.limits import Limiter
from connector.pipedrive.paging import PAGE_LIMIT, ahead, next_start, rows_of
from connector.pipedrive.retry import LONGEST_WAIT_SECONDS, asked_wait, retrying
from connector.pipedrive.usage import Usage

Json = dict[str, Any]
Found = TypeVar("Found")

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 10.0
LONGEST_ANSWER = 4
"""So many times the longest silence an answer may take to be there whole."""
READING = {"Accept": "application/json"}
WRITING = READING | {"Content-Type": "application/json"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts of this machine: no proxy can reach them, and none need hide what goes there."""

COST_LIST = 20
COST_ARCHIVED = 40
COST_LEAD = 2
COST_PATCH = 10
COST_LABELS = 10
COST_ME = 2
"""Tokens a request, whatever its page size (documented)."""


class TokenAuth(AuthBase):
    """Sends the API token as a header, and keeps it out of every `repr`."""

    def __init__(self, api_token: str) -> None:
        self._api_token = api_token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header to one request."""
        request.headers["x-api-token"] = self._api_token
        return request


class Pipedrive:
    """Calls to one Pipedrive account, shared by threads, under one limiter.

    Args:
        base_url: Scheme and host; `/api/v1` is added here.
        api_token: Sent as `x-api-token` and shown nowhere.
        stop: Set it to end every wait; calls under way still finish.
        attempts: Tries of a call that may be repeated.
        timeout_seconds: Longest silence of the server during one call.
        burst: Requests in two seconds, or None for what the server tells.
        budget: What may be spent; without one, whatever the day has left.
    """

    def __init__(
        self,
        base_url: str,
        api_token: str,
        *,
        stop: threading.Event | None = None,
        attempts: int = 5,
        timeout_seconds: float = 30.0,
        burst: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.stop = stop or threading.Event()
        self.attempts = attempts
        self.usage = Usage()
        self._root = f"{base_url.rstrip('/')}/api/v1"
        self._auth = TokenAuth(api_token)
        self._timeout = (CONNECT_SECONDS, timeout_seconds)
        self._limiter = Limiter(self.stop, burst)
        self._budget = budget or Budget()
        self._local = threading.local()
        self._environment = _environment(self._root)

    @property
    def burst(self) -> int | None:
        """Requests in two seconds, once an answer has told how many."""
        return self._limiter.burst

    @property
    def day_left(self) -> int | None:
        """Tokens left of the company's day, once an answer has told how many."""
        return self._budget.day_left

    def lead(self, lead_id: str, usage: Usage | None = None) -> Json:
        """Returns one lead, archived or not.

        Raises:
            LeadNotFound: It was deleted, converted or merged.
        """
        usage = usage or Usage(self.usage)
        return self._again(usage, partial(self.lead_once, lead_id, usage))

    def lead_once(self, lead_id: str, usage: Usage) -> Json:
        """Returns one lead in a single attempt, for callers that pace their own retries."""
        return _record(self._call("GET", f"/leads/{lead_id}", COST_LEAD, usage))

    def patch_lead(self, lead_id: str, body: Json, usage: Usage) -> Json:
        """Sends one PATCH, once, and returns the lead as the answer shows it.

        Raises:
            InDoubt: The PATCH may or may not be in effect: read before sending again.
        """
        data = orjson.dumps(body)
        return _record(self._call("PATCH", f"/leads/{lead_id}", COST_PATCH, usage, data=data))

    def leads(self) -> Iterator[list[Json]]:
        """Yields the leads that are not archived, by page, oldest first."""
        return ahead(self._pages("/leads", COST_LIST))

    def archived_leads(self) -> Iterator[list[Json]]:
        """Yields the archived leads, by page."""
        return self._pages("/leads/archived", COST_ARCHIVED)

    def lead_fields(self) -> list[Json]:
        """Returns the definitions of all lead fields, custom ones with their 40-hex key."""
        return [row for page in self._pages("/leadFields", COST_LIST) for row in page]

    def lead_labels(self) -> list[Json]:
        """Returns all lead labels; they come on one page (documented)."""
        usage = Usage(self.usage)
        call = partial(self._call, "GET", "/leadLabels", COST_LABELS, usage)
        return rows_of(self._again(usage, call))

    def users(self) -> list[Json]:
        """Returns the account's users, with their e-mail addresses."""
        return [row for page in self._pages("/users", COST_LIST) for row in page]

    def me(self) -> Json:
        """Returns the user whom the token belongs to."""
        usage = Usage(self.usage)
        answer = self._again(usage, partial(self._call, "GET", "/users/me", COST_ME, usage))
        return _record(answer)

    def _pages(self, path: str, cost: int) -> Iterator[list[Json]]:
        usage = Usage(self.usage)
        rows: list[Json] = []
        start: int | None = 0
        while start is not None:
            if self.stop.is_set():
                raise Interrupted("the run was asked to stop")
            params = {"start": start, "limit": PAGE_LIMIT}
            document = self._again(usage, partial(self._call, "GET", path, cost, usage, params))
            rows, before = rows_of(document), rows
            if rows and rows == before:
                raise AccountError(f"{path} brings the same page again and again")
            start = next_start(document, start, len(rows))
            yield rows

    def _again(self, usage: Usage, call: Callable[[], Found]) -> Found:
        return retrying(self.stop, self.attempts, usage)(call)

    def _call(
        self,
        method: str,
        path: str,
        cost: int,
        usage: Usage,
        params: dict[str, int] | None = None,
        data: bytes | None = None,
    ) -> Json:
        self._budget.take(cost)
        headers: Mapping[str, str] = {}
        charged = False
        try:
            with self._limiter.turn() as waited:
                usage.add(requests=1, waited=waited)
                charged = True  # as far as can be known, until an answer says otherwise
                answer = self._send(method, path, params, data)
            headers, error = answer.headers, classify(answer)
            charged = not isinstance(error, RateLimited | BudgetSpent)
        finally:
            usage.add(tokens=cost if charged else 0)
            self._budget.settle(cost, headers, charged=charged)
            if headers:
                self._limiter.observe(headers)
        if error is not None:
            raise self._paced(error)
        return answer.document or {}

    def _paced(self, error: PipedriveError) -> PipedriveError:
        """Holds everyone back as the server asks; a wait of minutes is the day's end."""
        wait = asked_wait(error)
        if wait is None:
            return error
        if isinstance(error, RateLimited) and wait > LONGEST_WAIT_SECONDS:
            return BudgetSpent(f"the server asks to wait {wait:.0f} s (429)", error.answer)
        self._limiter.pause(min(wait, LONGEST_WAIT_SECONDS))
        return error

    def _send(
        self, method: str, path: str, params: dict[str, int] | None, data: bytes | None
    ) -> Answer:
        try:
            request = requests.Request(
                method,
                self._root + path,
                WRITING if data else READING,
                params=params,
                data=data,
                auth=self._auth,
            )
            sending = {"timeout": self._timeout, "allow_redirects": False, **self._environment}
            with self._session().send(request.prepare(), **sending) as response:
                body = _bounded_body(response)
        except requests.RequestException as error:
            # Only the kind of error is passed on: its request carries the token.
            host = urlsplit(self._root).hostname
            text = f"no answer from Pipedrive at {host} ({type(error).__name__})"
            raise InDoubt(text) from None
        except OSError as error:  # it never left: requests has words of its own for what did
            raise AccountError(f"the request cannot be made: {error}") from None
        except (ValueError, OverflowError) as error:
            raise AccountError(f"the request cannot be made ({type(error).__name__})") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, _document(body))

    def _session(self) -> requests.Session:
        # requests does not promise that a session may be shared by threads
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            adapter = BoundedAdapter(LONGEST_ANSWER * self._timeout[1], self.stop)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return session


def _environment(url: str) -> dict[str, Any]:
    """Returns the proxies and certificates that the environment names, found out once.

    A request that is prepared outside a session takes no password from a .netrc file.
    """
    found = requests.Session().merge_environment_settings(url, {}, True, None, None)
    return {**found, "proxies": {}} if urlsplit(url).hostname in LOOPBACK else {**found}


def _bounded_body(response: requests.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(1024 * 1024):
        size += len(part)
        if size > LARGEST_ANSWER_BYTES:
            raise InDoubt(f"an answer of more than {LARGEST_ANSWER_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _document(body: bytes) -> Json | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _mended(body)
    return document if isinstance(document, dict) else None


def _mended(body: bytes) -> Any:
    """Reads JSON with half an emoji in it: one lead's title must not hide a whole page."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _record(document: Json) -> Json:
    record = document.get("data")
    if not isinstance(record, dict) or not record.get("id"):
        raise InDoubt("200 without a record in `data`")
    return record
