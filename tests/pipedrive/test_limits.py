"""The limiter against the real clock. No duration is asserted from above, only from below."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from connector.pipedrive.errors import Interrupted
from connector.pipedrive.headers import number
from connector.pipedrive.limits import (
    AT_ONCE,
    FEWEST_ANSWERS,
    FIRST_BURST,
    WINDOW_SECONDS,
    Limiter,
    Pace,
)

PATIENCE_SECONDS = 20.0
SHORTLY = 1.0
"""Seconds in which turns that are free have been taken, and none that are not."""
BURST = 4


@contextmanager
def stopped_in_time(seconds: float = PATIENCE_SECONDS) -> Iterator[threading.Event]:
    """A stop event that sets itself, so that a limiter that never lets go fails its test."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()


def begin(limiter: Limiter, seconds: float = 0.0) -> float:
    """Takes a turn for so many seconds, and returns when it began."""
    with limiter.turn():
        began = time.monotonic()
        time.sleep(seconds)
    return began


def begun(limiter: Limiter, turns: int, threads: int = 8) -> list[float]:
    with ThreadPoolExecutor(threads) as pool:
        return sorted(pool.map(lambda _: begin(limiter), range(turns)))


def test_never_more_than_the_burst_within_a_window() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop)
        limiter.observe({"x-ratelimit-limit": str(BURST)})
        times = begun(limiter, 2 * BURST)
    behind = zip(times, times[BURST:], strict=False)
    assert all(later - earlier >= WINDOW_SECONDS for earlier, later in behind)


@pytest.mark.parametrize(("fixed", "told"), [(BURST, 100), (100, BURST), (BURST, None)])
def test_the_smaller_of_what_is_set_and_what_is_told(fixed: int, told: int | None) -> None:
    with stopped_in_time(SHORTLY) as stop, ExitStack() as open_turns:
        limiter = Limiter(stop, fixed)
        limiter.observe({"x-ratelimit-limit": str(told)} if told else {})
        for _ in range(BURST):
            open_turns.enter_context(limiter.turn())
        with pytest.raises(Interrupted):
            begin(limiter)


def test_a_request_without_an_answer_holds_its_place() -> None:
    with stopped_in_time(WINDOW_SECONDS + 0.5) as stop:
        limiter = Limiter(stop, 2)
        with limiter.turn(), limiter.turn(), pytest.raises(Interrupted):
            begin(limiter)


def test_without_a_told_limit_there_is_none() -> None:
    with stopped_in_time() as stop, ExitStack() as open_turns:
        limiter = Limiter(stop)
        limiter.observe({})
        for _ in range(5 * FIRST_BURST):
            open_turns.enter_context(limiter.turn())


def test_before_the_first_answer_the_smallest_plan_counts() -> None:
    with stopped_in_time(SHORTLY) as stop, ExitStack() as open_turns:
        limiter = Limiter(stop)
        for _ in range(FIRST_BURST):
            open_turns.enter_context(limiter.turn())
        with pytest.raises(Interrupted):
            begin(limiter)


def test_an_answer_without_the_header_does_not_lift_a_limit_once_told() -> None:
    with stopped_in_time(SHORTLY) as stop, ExitStack() as open_turns:
        limiter = Limiter(stop)
        limiter.observe({"x-ratelimit-limit": "1"})
        limiter.observe({})
        open_turns.enter_context(limiter.turn())
        with pytest.raises(Interrupted):
            begin(limiter)


@pytest.mark.parametrize("told", ["0", "-1", "many", "nan", ""])
def test_a_limit_that_makes_no_sense_is_none(told: str) -> None:
    with stopped_in_time() as stop, ExitStack() as open_turns:
        limiter = Limiter(stop)
        limiter.observe({"x-ratelimit-limit": told})
        for _ in range(2 * FIRST_BURST):
            open_turns.enter_context(limiter.turn())


def test_a_pause_holds_every_thread() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop, 100)
        paused_at = time.monotonic()
        limiter.pause(0.3)
        times = begun(limiter, 8)
    assert times[0] - paused_at >= 0.3


def test_a_shorter_pause_does_not_cut_a_longer_one_short() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop, 100)
        paused_at = time.monotonic()
        limiter.pause(0.3)
        limiter.pause(0.0)
        assert begin(limiter) - paused_at >= 0.3


def test_the_wait_is_told_to_the_caller() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop, 100)
        limiter.pause(1.0)
        with limiter.turn() as turn:
            assert turn.waited >= 0.1


def test_a_stop_ends_a_long_pause_for_all() -> None:
    with stopped_in_time(SHORTLY) as stop:
        limiter = Limiter(stop, 100)
        limiter.pause(600)
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(begin, limiter) for _ in range(4)]
        assert [type(one.exception()) for one in waiting] == [Interrupted] * 4


def test_use_by_others_pauses_until_the_window_resets() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop)
        with limiter.turn():
            seen = {
                "x-ratelimit-limit": "40",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1",
            }
        observed_at = time.monotonic()
        limiter.observe(seen)
        assert begin(limiter) - observed_at >= 1.0


def test_use_by_others_without_a_reset_pauses_for_a_window() -> None:
    with stopped_in_time(SHORTLY) as stop:
        limiter = Limiter(stop)
        limiter.observe({"x-ratelimit-limit": "40", "x-ratelimit-remaining": "0"})
        with pytest.raises(Interrupted):
            begin(limiter)


def test_no_more_is_begun_than_others_have_left_room_for() -> None:
    with stopped_in_time(SHORTLY) as stop, ExitStack() as open_turns:
        limiter = Limiter(stop)
        with limiter.turn() as turn:
            pass
        limiter.observe({"x-ratelimit-limit": "40", "x-ratelimit-remaining": "3"}, turn)
        for _ in range(3):
            open_turns.enter_context(limiter.turn())
        limiter.observe({"x-ratelimit-limit": "40", "x-ratelimit-remaining": "2"}, turn)
        with pytest.raises(Interrupted):
            begin(limiter)


@pytest.mark.parametrize("burst", [None, BURST])
def test_what_others_used_is_free_again_after_a_window(burst: int | None) -> None:
    with stopped_in_time() as stop, ExitStack() as open_turns:
        limiter = Limiter(stop, burst)
        limiter.observe({"x-ratelimit-limit": "40", "x-ratelimit-remaining": "1"})
        open_turns.enter_context(limiter.turn())
        began = time.monotonic()
        assert begin(limiter) - began >= WINDOW_SECONDS - 0.1


@pytest.mark.parametrize("remaining", ["1", "39", "many"])
def test_room_in_the_window_does_not_pause(remaining: str) -> None:
    with stopped_in_time(5) as stop:
        limiter = Limiter(stop)
        told = {"x-ratelimit-limit": "40", "x-ratelimit-remaining": remaining}
        limiter.observe({**told, "x-ratelimit-reset": "600"})
        assert begin(limiter)


def test_a_window_that_our_own_requests_filled_does_not_pause_longer() -> None:
    """Not even where one of them failed: it gives its place back like any other."""
    with stopped_in_time() as stop:
        limiter = Limiter(stop)
        begin(limiter)
        with pytest.raises(ConnectionError), limiter.turn():
            raise ConnectionError
        limiter.observe(
            {
                "x-ratelimit-limit": "2",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "600",
            }
        )
        assert begin(limiter)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("x", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("1e308", None),
        ("9" * 300, None),
        ("0", 0.0),
        ("2", 2.0),
    ],
)
def test_numbers_of_headers(text: str | None, expected: float | None) -> None:
    assert number(text) == expected


def test_a_limit_beyond_all_is_none() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop)
        begin(limiter)
        limiter.observe({"x-ratelimit-limit": "1e308", "x-ratelimit-remaining": "0"})
        assert (limiter.burst, limiter.at_once) == (None, AT_ONCE)


def test_a_reset_in_an_hour_is_not_believed() -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop)
        told = {"x-ratelimit-limit": "40", "x-ratelimit-remaining": "0"}
        limiter.observe({**told, "x-ratelimit-reset": "3600"})
        assert begin(limiter)


def test_a_window_that_was_ours_when_the_request_went_out_is_nobody_elses() -> None:
    """By the time of the answer, requests before it may have given their places back."""
    full = {"x-ratelimit-limit": "2", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "600"}
    with stopped_in_time() as stop:
        limiter = Limiter(stop, 2)
        begin(limiter)
        with limiter.turn() as turn:
            time.sleep(WINDOW_SECONDS + 0.1)
        limiter.observe(full, turn)
        assert begin(limiter)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([0.12] * FEWEST_ANSWERS, 0.06),
        ([0.12] * (FEWEST_ANSWERS - 1), 0.0),
        ([0.1, 0.3] * FEWEST_ANSWERS, 0.0),
        ([0.3] + [0.1] * 3 * FEWEST_ANSWERS, 0.05),
        ([0.02] + [0.4] * FEWEST_ANSWERS, 0.0),
    ],
)
def test_a_way_is_counted_on_where_answers_are_steady(
    answers: list[float], expected: float
) -> None:
    pace = Pace()
    for seconds in answers:
        pace.add(seconds)
    assert pace.way_there == pytest.approx(expected, abs=0.001)


def test_a_place_is_kept_for_a_window_less_the_way_there() -> None:
    slow = 2.0
    with stopped_in_time() as stop, ThreadPoolExecutor(FEWEST_ANSWERS) as pool:
        limiter = Limiter(stop, FEWEST_ANSWERS)
        times = sorted(pool.map(lambda _: begin(limiter, slow), range(2 * FEWEST_ANSWERS)))
        third = begin(limiter)
    first, second = times[0], times[FEWEST_ANSWERS]
    assert second - first >= slow + WINDOW_SECONDS
    assert slow / 2 <= third - second - WINDOW_SECONDS < slow


@pytest.mark.parametrize(
    ("burst", "seconds", "expected"), [(20, 0.0, 4), (100, 0.2, 20), (100, 2.0, 64)]
)
def test_so_many_at_once_use_up_the_limit(burst: int, seconds: float, expected: int) -> None:
    with stopped_in_time() as stop:
        limiter = Limiter(stop, burst)
        with limiter.turn():
            time.sleep(seconds)
        assert expected <= limiter.at_once <= expected + 1


def test_where_nothing_is_known_some_are_sent_at_once() -> None:
    limiter = Limiter(threading.Event())
    assert limiter.at_once == AT_ONCE
    limiter.observe({})
    begin(limiter)
    assert limiter.at_once == AT_ONCE
