"""How long a server asks to wait, and when a call is tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connector.pipedrive.errors import (
    AccountError,
    Answer,
    BudgetSpent,
    InDoubt,
    Interrupted,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
    Unreached,
)
from connector.pipedrive.limits import LONGEST_RESET_SECONDS, WINDOW_SECONDS
from connector.pipedrive.retry import asked_wait, retry_after, retrying
from connector.pipedrive.usage import Usage

PATIENCE_SECONDS = 20.0


def error(kind: type[PipedriveError], **headers: str) -> PipedriveError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return kind("trouble", Answer(503, named, None))


def http_date(**ahead: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**ahead), usegmt=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("5", 5),
        ("1.5", 1.5),
        (" 5 ", 5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("2065-10-21T07:28:00Z", None),
        ("Wed, 31 Feb 2065 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 99999999999999999999:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +9999", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after(text: str, expected: float | None) -> None:
    assert retry_after(Answer(429, {"retry-after": text}, None)) == expected


def test_retry_after_as_a_date_to_come() -> None:
    seconds = retry_after(Answer(503, {"retry-after": http_date(hours=1)}, None))
    assert seconds is not None
    assert 3000 < seconds <= 3600


def test_no_retry_after() -> None:
    assert retry_after(Answer(429, {}, None)) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (error(RateLimited), WINDOW_SECONDS),
        (error(RateLimited, x_ratelimit_reset="1"), 1),
        (error(RateLimited, x_ratelimit_reset="0"), WINDOW_SECONDS),
        (error(RateLimited, x_ratelimit_reset="soon"), WINDOW_SECONDS),
        (error(RateLimited, retry_after="7", x_ratelimit_reset="1"), 7),
        (error(RateLimited, retry_after="soon", x_ratelimit_reset="1"), 1),
        (error(InDoubt), None),
        (error(RateLimited, x_ratelimit_reset="1764340000"), LONGEST_RESET_SECONDS),
        (error(RateLimited, retry_after="0"), WINDOW_SECONDS),
        (error(RateLimited, retry_after=http_date(hours=-1)), WINDOW_SECONDS),
        (error(InDoubt, retry_after="0"), None),
        (error(InDoubt, x_ratelimit_reset="1"), None),
        (error(InDoubt, retry_after="7"), 7),
        (error(InDoubt, retry_after="1e9"), None),
        (error(InDoubt, retry_after="Fri, 31 Dec 9999 23:59:59 -1200"), None),
        (error(RateLimited, retry_after="1e9"), 1e9),
        (InDoubt("no answer"), None),
    ],
)
def test_what_the_server_asks_for(found: PipedriveError, expected: float | None) -> None:
    assert asked_wait(found) == expected


class Calls:
    """A call that brings these errors one by one and then a result."""

    def __init__(self, *errors: PipedriveError) -> None:
        self.errors = list(errors)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def run(call: Callable[[], str], attempts: int, usage: Usage | None = None) -> str:
    return retrying(threading.Event(), attempts, usage or Usage())(call)


@pytest.mark.parametrize("kind", [InDoubt, RateLimited, Unreached])
def test_a_call_that_brought_nothing_is_tried_again(kind: type[PipedriveError]) -> None:
    calls, usage = (
        Calls(error(kind, retry_after="0.001"), error(kind, retry_after="0.001")),
        Usage(),
    )
    assert run(calls, 3, usage) == "done"
    assert calls.made == 3
    assert usage.retries == 2


def test_after_the_last_attempt_the_error_is_the_calls_own() -> None:
    errors = [error(InDoubt, retry_after="0.001") for _ in range(3)]
    calls = Calls(*errors)
    with pytest.raises(InDoubt) as raised:
        run(calls, 3)
    assert calls.made == 3
    assert raised.value is errors[-1]


@pytest.mark.parametrize(
    "kind", [Refused, LeadNotFound, LeadArchived, BudgetSpent, AccountError, Interrupted]
)
def test_what_is_certain_is_not_tried_again(kind: type[PipedriveError]) -> None:
    calls = Calls(error(kind, retry_after="0.001"))
    with pytest.raises(kind):
        run(calls, 5)
    assert calls.made == 1


def test_what_was_tried_so_often_already_is_not_tried_again() -> None:
    """Else a call that is tried within another's attempt would be made five times five times."""
    tried = error(RateLimited, retry_after="0.001")
    tried.tries = 5
    calls = Calls(tried)
    with pytest.raises(RateLimited):
        run(calls, 5)
    assert calls.made == 1


def test_one_attempt_is_one_call() -> None:
    calls = Calls(error(InDoubt, retry_after="0.001"))
    with pytest.raises(InDoubt):
        run(calls, 1)
    assert calls.made == 1


def test_a_stop_before_the_failure_leaves_no_second_attempt() -> None:
    stop, calls = threading.Event(), Calls(error(InDoubt), error(InDoubt))
    stop.set()
    with pytest.raises(InDoubt):
        retrying(stop, 5, Usage())(calls)
    assert calls.made == 1


def test_a_stop_ends_the_waits_between_attempts() -> None:
    stop, ended = threading.Event(), threading.Event()
    calls = Calls(*[error(InDoubt)] * 1000)

    def call_until_stopped() -> None:
        with pytest.raises(InDoubt):
            retrying(stop, 1000, Usage())(calls)
        ended.set()

    # By jittered exponential waits a thousand attempts take hours.
    worker = threading.Thread(target=call_until_stopped, daemon=True)
    worker.start()
    threading.Timer(0.2, stop.set).start()
    assert ended.wait(PATIENCE_SECONDS)
    worker.join()
