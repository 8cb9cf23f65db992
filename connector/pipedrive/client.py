"""Pipedrive's API over HTTP: calls, pages and nothing of what they are for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import requests

from connector.pipedrive.auth import SignIn
from connector.pipedrive.bounded import STOPPING_SECONDS, BoundedAdapter
from connector.pipedrive.budget import Budget, SetAside
from connector.pipedrive.connection import never_left, no_answer
from connector.pipedrive.documents import DEEPEST, is_too_deep, read_document
from connector.pipedrive.errors import (
    AccountError,
    Answer,
    BudgetSpent,
    InDoubt,
    Interrupted,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
    TooManyPages,
    classify,
    one_line,
)
from connector.pipedrive.limits import Limiter
from connector.pipedrive.paging import (
    Page,
    PagesAhead,
    next_start,
    records_of,
    rows_of,
    shared,
    walk,
)
from connector.pipedrive.record_api import RecordApi
from connector.pipedrive.retry import LONGEST_WAIT_SECONDS, PASSING, asked_wait, retrying
from connector.pipedrive.usage import Usage

Json = dict[str, Any]
Found = TypeVar("Found")

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 5.0
"""A stop waits for so long; a connection that does not come about costs nothing but the time."""
LONGEST_ANSWER = 4
"""So many times the longest silence an answer may take to be there whole."""
API = "/api/v1"
READING = {"Accept": "application/json"}
WRITING = READING | {"Content-Type": "application/json"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts of this machine: no proxy can reach them, and none need hide what goes there."""

COST_LABELS = 10
COST_USERS = 20
COST_ME = 2
"""Tokens of the calls that are about no type of record (documented)."""
MOST_PAGES = 10_000
"""Pages of a list whose length nobody knows better: no account has so many leads."""
FEW_PAGES = 20
"""Pages of the definitions of fields: 10,000 of them."""
PAGES_AHEAD = 8
"""Pages on their way at once, where it is known that there are so many."""
MostPages = Callable[[int], int]
"""Told the rows of a list's first page, says how many pages it may have."""


@dataclass(frozen=True)
class Call:
    """One call to the API.

    Attributes:
        method: The HTTP method.
        path: Below `/api/v1`.
        cost: Its tokens.
        params: Its query.
        data: Its body.
        missing: What a 404 means once the root is known to be right; None for a wrong URL.
        aside: The tokens that a read keeps for its PATCH.
        ahead: How many the read keeps.
    """

    method: str
    path: str
    cost: int
    params: Mapping[str, str | int] | None = None
    data: bytes | None = None
    missing: type[PipedriveError] | None = None
    aside: SetAside | None = None
    ahead: int = 0

    def __str__(self) -> str:
        """Returns what names it in a message."""
        return f"{self.method} {API}{self.path}"


class Pipedrive:
    """Calls to one Pipedrive account, shared by threads, under one limiter.

    `may_write` is asked directly before each PATCH goes out; one that may not is `Interrupted`.

    Args:
        origin: Scheme, host and port; `/api/v1` is added here.
        auth: Says in each request who sends it.
        stop: Set it to end every wait; calls under way still finish.
        attempts: Tries of a call that may be repeated.
        timeout_seconds: Longest silence of the server during one call.
        burst: Requests in two seconds, or None for what the server tells.
        budget: What may be spent; without one, whatever the day has left.
    """

    def __init__(
        self,
        origin: str,
        auth: SignIn,
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
        self.may_write: Callable[[], bool] = lambda: True
        self._root = f"{origin.rstrip('/')}{API}"
        self._has_answered = False
        self._auth = auth
        self._timeout_seconds = timeout_seconds
        self._limiter = Limiter(self.stop, burst)
        self._budget = budget or Budget()
        self._local = threading.local()
        self._environment = _environment(self._root)

    @property
    def burst(self) -> int | None:
        """Requests in two seconds, once an answer has told how many."""
        return self._limiter.burst

    @property
    def at_once(self) -> int:
        """Calls in flight that use up the limit, as long as answers take at present."""
        return self._limiter.at_once

    @property
    def own_left(self) -> int | None:
        """Tokens left of the command's own budget; None where it has none."""
        return self._budget.own_left

    @property
    def day_left(self) -> int | None:
        """Tokens left of the company's day, once an answer has told how many."""
        return self._budget.day_left

    @property
    def tokens_left(self) -> int | None:
        """What may still be spent of the command's budget and of the day, as far as is known."""
        return self._budget.left

    @property
    def day_budget(self) -> int | None:
        """Tokens of the company's whole day, once an answer has told how many."""
        return self._budget.day

    def setting_aside(self) -> AbstractContextManager[SetAside]:
        """Lets `get` keep the tokens of the `patch` to come: at the end they are free again."""
        return self._budget.setting_aside()

    def get(
        self,
        record_type: RecordApi,
        record_id: str,
        usage: Usage | None = None,
        aside: SetAside | None = None,
    ) -> Json:
        """Returns one record, archived or not.

        Args:
            record_type: Which type of record.
            record_id: Its id.
            usage: Where the call is counted; without one, with all that this client sends.
            aside: Where to keep the tokens of the PATCH to come; without one, none are kept.

        Raises:
            LeadNotFound: It was deleted, converted or merged.
        """
        usage = usage or Usage(self.usage)
        return self._again(usage, partial(self.get_once, record_type, record_id, usage, aside))

    def get_once(
        self, record_type: RecordApi, record_id: str, usage: Usage, aside: SetAside | None = None
    ) -> Json:
        """Returns one record in a single attempt, for callers that pace their own retries.

        Args:
            record_type: Which type of record.
            record_id: Its id.
            usage: Where the call is counted.
            aside: Where to keep the tokens of the PATCH to come; without one, none are kept.

        Raises:
            Refused: The API refused, or the record cannot be kept as it is nested too deep.
        """
        path, cost = f"{record_type.path}/{record_id}", record_type.tokens.one
        ahead = 0 if aside is None else record_type.tokens.patch
        call = Call("GET", path, cost, missing=LeadNotFound, aside=aside, ahead=ahead)
        read = partial(_record_of, name=record_type.name, record_id=record_id, too_deep=Refused)
        return self._call(call, usage, read)

    def patch(
        self,
        record_type: RecordApi,
        record_id: str,
        body: Json,
        usage: Usage,
        aside: SetAside | None = None,
    ) -> Json:
        """Sends one PATCH, once, and returns the record as the answer shows it.

        Args:
            record_type: Which type of record.
            record_id: Its id.
            body: What is sent.
            usage: Where the call is counted.
            aside: The tokens that a read has kept for it, if any.

        Raises:
            InDoubt: The PATCH may or may not be in effect: read before sending again.
            Unreached: It never left.
        """
        path, cost = f"{record_type.path}/{record_id}", record_type.tokens.patch
        # A 404 may be about the body's person or owner, whatever its text: reading tells.
        call = Call("PATCH", path, cost, data=orjson.dumps(body), missing=Refused, aside=aside)
        read = partial(_record_of, name=record_type.name, record_id=record_id, too_deep=InDoubt)
        return self._call(call, usage, read)

    def pages(
        self,
        record_type: RecordApi,
        most_pages: MostPages = lambda _rows: MOST_PAGES,
        *,
        updated_since: str | None = None,
        expected: int = 0,
    ) -> Iterator[list[Json]]:
        """Yields the records that are not archived, by page, oldest first.

        Args:
            record_type: Which type of record.
            most_pages: How many pages it may have.
            updated_since: Only those updated at this time or later, as 2026-12-31T23:59:59Z
                (documented). Each page then begins with the last rows of the one before it, so
                that the caller sees where records left the list meanwhile.
            expected: How many there are at least, as far as is known: so many pages may be on
                their way at once.

        Raises:
            TooManyPages: The list goes on after so many pages.
        """
        cost, params = record_type.tokens.page, {"updated_since": updated_since}
        return self._pages(
            record_type.path,
            cost,
            record_type.page_limit,
            most_pages,
            {name: value for name, value in params.items() if value is not None},
            expected,
        )

    def archived_pages(self, record_type: RecordApi) -> Iterator[list[Json]]:
        """Yields the archived records, by page."""
        cost = record_type.tokens.archived_page
        return self._pages(record_type.archived_path, cost, record_type.page_limit)

    def definitions(self, record_type: RecordApi) -> list[Json]:
        """Returns the definitions of all fields of a type, custom ones with their 40-hex key."""
        cost = record_type.tokens.definitions
        pages = self._pages(record_type.fields_path, cost, record_type.page_limit, _few)
        return list(chain.from_iterable(pages))

    def labels(self) -> list[Json]:
        """Returns all lead labels; they come on one page (documented)."""
        return self._all("/leadLabels", COST_LABELS)

    def users(self) -> list[Json]:
        """Returns the account's users, with their e-mail addresses; they come on one page."""
        return self._all("/users", COST_USERS)

    def me(self) -> Json:
        """Returns the user whom the token belongs to."""
        usage = Usage(self.usage)
        call = Call("GET", "/users/me", COST_ME)
        return self._again(usage, partial(self._call, call, usage, _record))

    def _all(self, path: str, cost: int) -> list[Json]:
        usage = Usage(self.usage)
        rows = self._again(usage, partial(self._call, Call("GET", path, cost), usage, rows_of))
        return records_of(rows)

    def _pages(
        self,
        path: str,
        cost: int,
        limit: int,
        most_pages: MostPages = lambda _rows: MOST_PAGES,
        params: Mapping[str, str | int] | None = None,
        expected: int | None = None,
    ) -> Iterator[list[Json]]:
        usage = Usage(self.usage)

        asked: list[int] = []
        seen: set[int] = set()
        most = 0

        def read_page(start: int) -> Page:
            if self.stop.is_set():
                raise Interrupted("the run was asked to stop")
            if most and len(asked) >= most:
                raise TooManyPages(f"GET {API}{path} goes on after {most} pages")
            asked.append(start)
            call = Call("GET", path, cost, {"start": start, "limit": limit, **(params or {})})
            read = partial(_page, start=start, limit=limit)
            page = self._again(usage, partial(self._call, call, usage, read))
            return shared(page, start) if params else page

        ahead = None if expected is None else PagesAhead(read_page, expected, PAGES_AHEAD)
        for rows, _ in ahead.walk() if ahead else walk(read_page):
            if (mark := _mark(rows)) in seen:
                raise AccountError(f"GET {API}{path} brings the same page again and again")
            most = most or most_pages(len(rows))
            seen.add(mark)
            yield records_of(rows)

    def _again(self, usage: Usage, call: Callable[[], Found]) -> Found:
        """Reads, and tries again; that a stop cut it short is no failure of the account's."""
        tries = retrying(self.stop, self.attempts, usage)
        try:
            return tries(call)
        except PipedriveError as error:
            if self.stop.is_set() and isinstance(error, PASSING):
                raise Interrupted("the run was asked to stop") from None
            error.tries = int(tries.statistics["attempt_number"])
            raise

    def _call(self, call: Call, usage: Usage, read: Callable[[Json], Found]) -> Found:
        """Makes one call and reads its answer; whatever goes wrong names the call."""
        number = self._budget.take(call.cost, self.stop, call.aside, call.ahead)
        try:
            document = self._answer(call, number, usage)
            try:
                return read(document)
            except PipedriveError as error:  # it may repeat a part of the answer
                error.args = (one_line(self._auth.hide(str(error))),)
                raise
        except PipedriveError as error:
            if call.aside is not None:
                self._budget.give_back(call.aside)
            error.call = "" if isinstance(error, Interrupted) else str(call)
            raise

    def _answer(self, call: Call, number: int, usage: Usage) -> Json:
        headers: Mapping[str, str] = {}
        charged = False
        try:
            with self._limiter.turn() as turn:
                if call.data is not None and not self.may_write():
                    raise Interrupted("the run may write no more")
                usage.add(requests=1, waited=turn.waited)
                answer = self._send(call)
            missing = call.missing if self._has_answered else None
            headers, error = answer.headers, classify(answer, missing)
            charged = not isinstance(error, RateLimited | BudgetSpent)
        except InDoubt:  # as far as can be known
            charged = True
            raise
        finally:
            spent = call.cost if charged else 0
            usage.add(tokens=spent, written=0 if call.data is None else spent)
            self._budget.settle(number, call.cost, headers, charged=charged)
            if headers:
                self._limiter.observe(headers, turn)
        if error is not None:
            raise self._paced(error)
        self._has_answered = True
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

    def _send(self, call: Call) -> Answer:
        adapter = self._adapter()
        adapter.has_left = False
        try:
            request = requests.Request(
                call.method,
                self._root + call.path,
                WRITING if call.data else READING,
                params=call.params,
                data=call.data,
                auth=self._auth,
            )
            connecting = STOPPING_SECONDS if self.stop.is_set() else CONNECT_SECONDS
            sending = {"timeout": (connecting, self._timeout_seconds), **self._environment}
            with adapter.send(request.prepare(), **sending) as response:
                body = _bounded_body(response)
        except (ValueError, OSError) as error:
            # Only the kind of error is passed on: its request carries the token.
            failed = no_answer if adapter.has_left else never_left
            raise failed(error, str(urlsplit(self._root).hostname)) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = Answer(response.status_code, headers, read_document(body))
        return answer.hiding(self._auth.hide)

    def _adapter(self) -> BoundedAdapter:
        """Returns this thread's own connections; a session would add cookies and redirects."""
        adapter: BoundedAdapter | None = getattr(self._local, "adapter", None)
        if adapter is None:
            adapter = BoundedAdapter(LONGEST_ANSWER * self._timeout_seconds, self.stop)
            self._local.adapter = adapter
        return adapter


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


def _record(document: Json) -> Json:
    record = document.get("data")
    if not isinstance(record, dict) or not record.get("id"):
        raise InDoubt("200 without a record in `data`")
    return record


def _record_of(document: Json, name: str, record_id: str, too_deep: type[PipedriveError]) -> Json:
    """Returns the record that was asked for; an answer about another one proves nothing."""
    record = _record(document)
    if str(record["id"]).lower() != record_id.lower():
        raise InDoubt(f"200 about another {name}, {str(record['id'])!r}")
    if is_too_deep(record):
        raise too_deep(f"the {name} is nested more than {DEEPEST} deep, so it cannot be kept")
    return record


def _page(document: Json, start: int, limit: int) -> tuple[list[Any], int | None]:
    """Returns the rows of a page that starts somewhere, and where the next one does."""
    rows = rows_of(document)
    return rows, next_start(document, start, len(rows), limit)


def _few(_rows: int) -> int:
    return FEW_PAGES


def _mark(rows: list[Any]) -> int:
    """Returns what tells a page from others: which records it shows, in which order."""
    keys = (row.get("id") or row.get("key") for row in rows if isinstance(row, dict))
    return hash(tuple(map(str, keys)))
