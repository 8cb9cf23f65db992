"""A request to stop: by a signal, by the caller's event, and by the run itself."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from connector.errors import WarehouseError
from connector.planning.model import Outcome, Patch
from connector.sync.sending import send_in_chunks
from connector.sync.stopping import STOPPING, Stop, stop_on_signal


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_asks_to_stop_and_a_second_one_ends(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert signal.getsignal(number) is signal.SIG_DFL
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with stop_on_signal():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_run_hears_its_caller_at_once_and_never_sets_its_event() -> None:
    asked = threading.Event()
    stop = Stop(asked)
    assert not stop.wait(0.01)
    threading.Timer(0.2, asked.set).start()
    began = time.monotonic()
    assert stop.wait(30)
    assert time.monotonic() - began < 5
    other = threading.Event()
    mine = Stop(other)
    mine.set()
    assert mine.is_set()
    assert mine.wait()
    assert not other.is_set()


def test_a_run_without_a_caller_waits_for_itself_alone() -> None:
    stop = Stop()
    assert not stop.wait(0.01)
    threading.Timer(0.1, stop.set).start()
    assert stop.wait(30)


def test_what_cannot_be_begun_ends_what_is_on_its_way() -> None:
    stop, begun = threading.Event(), threading.Event()
    sent: list[str] = []
    chunks = [[Patch(f"{number}", "plan", "lead", {}, {})] for number in range(3)]

    def begin(patches: list[Patch]) -> None:
        if patches[0].patch_id == "2":
            begun.set()
            raise WarehouseError("it cannot be written down")

    def send(patches: list[Patch]) -> list[Outcome]:
        begun.wait(5)
        if not stop.wait(5):
            sent.extend(patch.patch_id for patch in patches)
        return []

    found = send_in_chunks(chunks, send, stop, begin=begin, workers=lambda: 1, chunk_size=lambda: 2)
    with pytest.raises(WarehouseError):
        list(found)
    assert (stop.is_set(), sent) == (True, [])
