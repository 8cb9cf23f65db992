"""When and how long to wait before a call is tried again."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime

import pendulum
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from connector.pipedrive.errors import Answer, InDoubt, PipedriveError, RateLimited, Unreached
from connector.pipedrive.headers import number
from connector.pipedrive.limits import reset_of
from connector.pipedrive.usage import Usage

LONGEST_WAIT_SECONDS = 120.0
"""A server that asks for a longer wait is not waited for."""

PASSING = (InDoubt, RateLimited, Unreached)
"""What may be over when the call is made again."""

_backoff = wait_random_exponential(multiplier=0.5, max=30)


def retrying(stop: threading.Event, attempts: int, usage: Usage) -> Retrying:
    """Returns tenacity's loop: jittered exponential waits that a stop request cuts short.

    After the last attempt the call's own error is raised, never a wrapper. What was tried so often
    within one of the attempts is not tried again by the next.

    Args:
        stop: Ends the waiting, and with it the attempts.
        attempts: How many there are at most.
        usage: Counts the retries and the seconds waited.
    """

    def count(state: RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        usage.add(retries=1, waited=wait)

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, PASSING) and error.tries < attempts

    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_attempt(attempts) | stop_when_event_set(stop),
        wait=_wait,
        sleep=sleep_using_event(stop),
        before_sleep=count,
        reraise=True,
    )


def asked_wait(error: PipedriveError) -> float | None:
    """Returns the seconds that the server asks everyone to wait, or None where it does not.

    A 429 without a word waits out the burst window. An error that is not tried again is not
    waited for. A server in trouble that asks for hours is tried again as if it had not asked, and
    so is one that asks for no time at all.
    """
    if error.answer is None or not isinstance(error, InDoubt | RateLimited):
        return None
    asked = retry_after(error.answer)
    if isinstance(error, RateLimited):
        return asked or reset_of(error.answer.headers)
    return asked if asked and asked <= LONGEST_WAIT_SECONDS else None


def retry_after(answer: Answer) -> float | None:
    """Reads `Retry-After`, given in seconds or as an HTTP date."""
    text = answer.headers.get("retry-after")
    seconds = number(text)
    if text is None or seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - pendulum.now("UTC")).total_seconds())


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, PipedriveError) and asked_wait(error) is not None:
        return 0.0  # the limiter holds everyone back for as long as the server asked
    return float(_backoff(state))
