"""Whose turn it is on a dataset: taken by one, lost for good, and judged by one clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.errors import ConfigError, LockedError, RunUnderWay, TurnLost
from connector.sync import turn as turn_module
from connector.sync.turn import Turn, take_turn, wait_for_turn
from connector.warehouse import lease
from connector.warehouse.holder import Process, this_process
from connector.warehouse.store import Warehouse
from tests.support.warehouse import Site

FIRST, SECOND = "20260101-000000-aaaaaa", "20260101-000000-bbbbbb"
ELSEWHERE = Process("elsewhere", "another-boot", "pid:[1]", 77, 5)
LEASE = "pipedrive_leads.sync_lease"


@pytest.fixture
def warehouse(file_site: Site) -> Iterator[Warehouse]:
    with file_site.opened() as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the run's own clock shows."""
    shown = [1000.0]
    monkeypatch.setattr(turn_module, "now", lambda: shown[0])
    return shown


def run_by(monkeypatch: pytest.MonkeyPatch, process: Process) -> None:
    """Let a process be the one that takes turns from now on."""
    monkeypatch.setattr(lease, "this_process", lambda: process)


def taken(warehouse: Warehouse, run: str, seconds: float = 60) -> bool:
    try:
        lease.take(warehouse, run, seconds)
    except RunUnderWay:
        return False
    return True


def row(warehouse: Warehouse) -> dict[str, Any]:
    [found] = warehouse.query(f"SELECT * FROM {LEASE}")
    return found


def expire(warehouse: Warehouse) -> None:
    """Let the turn run out, by the warehouse's clock."""
    warehouse.execute(f"UPDATE {LEASE} SET until = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")


def test_the_first_makes_the_table_with_one_row(empty_site: Site) -> None:
    with empty_site.opened() as opened:
        assert taken(opened, FIRST)
        found = row(opened)
    assert (found["lease"], found["holder"], found["pid"]) == ("run", FIRST, this_process().pid)
    assert found["until"] - found["since"] > timedelta(seconds=59)


def test_the_second_is_told_who_where_and_since_when(warehouse: Warehouse) -> None:
    assert taken(warehouse, FIRST)
    before = row(warehouse)
    with pytest.raises(RunUnderWay) as caught:
        lease.take(warehouse, SECOND, 60)
    here, since = this_process(), before["since"].isoformat(sep="T")[:10]
    told = str(caught.value)
    assert f"process {here.pid} on {here.host} since {since}" in told
    assert f"run {FIRST}" in told
    assert "lock_wait_seconds" in told
    assert row(warehouse) == before


def test_an_ended_turn_is_free(warehouse: Warehouse) -> None:
    assert taken(warehouse, FIRST)
    lease.end(warehouse.client, FIRST)
    assert taken(warehouse, SECOND)


def test_nobody_ends_or_renews_the_turn_of_another(warehouse: Warehouse) -> None:
    assert taken(warehouse, FIRST)
    before = row(warehouse)
    lease.end(warehouse.client, SECOND)
    assert not lease.renew(warehouse.client, SECOND, 60)
    assert row(warehouse) == before


def test_a_turn_that_ran_out_is_free_and_its_first_holder_cannot_renew_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_by(monkeypatch, ELSEWHERE)
    assert taken(warehouse, FIRST)
    assert not taken(warehouse, SECOND)
    expire(warehouse)
    assert taken(warehouse, SECOND)
    assert not lease.renew(warehouse.client, FIRST, 60)
    assert row(warehouse)["holder"] == SECOND


def test_a_renewed_turn_lasts(warehouse: Warehouse) -> None:
    assert taken(warehouse, FIRST)
    expire(warehouse)
    assert lease.renew(warehouse.client, FIRST, 60)
    assert not taken(warehouse, SECOND)


@pytest.mark.parametrize(
    ("change", "is_free"),
    [
        ({"pid": 2**22 + 1}, True),
        ({"started": 1}, True),
        ({"pid": 2**22 + 1, "host": "elsewhere"}, False),
        ({"pid": 2**22 + 1, "boot": "another"}, False),
        ({"pid": 2**22 + 1, "namespace": "another"}, False),
        ({"pid": 2**22 + 1, "boot": None}, False),
        ({}, False),
    ],
    ids=str,
)
def test_the_turn_of_a_process_that_is_gone_is_free_at_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], is_free: bool
) -> None:
    with monkeypatch.context() as before:
        run_by(before, replace(this_process(), **change))
        assert taken(warehouse, FIRST)
    assert taken(warehouse, SECOND) == is_free
    assert row(warehouse)["holder"] == (SECOND if is_free else FIRST)


def test_of_many_at_once_on_a_new_dataset_one_has_it(empty_site: Site) -> None:
    """Each has a connection of its own, and none has made the table before."""
    barrier = threading.Barrier(6)
    got: list[str] = []
    odd: list[Exception] = []

    def race(run: str) -> None:
        with empty_site.opened() as opened:
            barrier.wait()
            try:
                if taken(opened, run):
                    got.append(run)
            except Exception as error:
                odd.append(error)
            barrier.wait()

    threads = [threading.Thread(target=race, args=(f"{FIRST}{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert odd == []
    assert len(got) == 1
    with empty_site.opened() as opened:
        assert row(opened)["holder"] == got[0]


def new_turn(warehouse: Warehouse, stop: threading.Event, seconds: float = 10) -> Turn:
    found = Turn(warehouse, FIRST, seconds, stop)
    lease.take(warehouse, FIRST, seconds)
    return found


def test_a_turn_lets_send_until_its_last_tenth(warehouse: Warehouse, clock: list[float]) -> None:
    stop = threading.Event()
    mine = new_turn(warehouse, stop)
    clock[0] += 8.9
    assert mine.may_send()
    assert mine.renew()
    clock[0] += 8.9
    assert mine.may_send()
    assert not stop.is_set()
    clock[0] += 0.2
    assert not mine.may_send()
    assert stop.is_set()


def test_a_lost_turn_never_lets_send_again_but_records_while_nobody_has_come(
    warehouse: Warehouse, clock: list[float]
) -> None:
    mine = new_turn(warehouse, threading.Event())
    clock[0] += 60
    expire(warehouse)
    mine.hold_on()
    assert not mine.may_send()
    assert not taken(warehouse, SECOND)
    with pytest.raises(TurnLost, match="lease_seconds 10"), mine.kept():
        pass


def test_where_another_has_come_nothing_is_recorded(
    warehouse: Warehouse, clock: list[float]
) -> None:
    stop = threading.Event()
    mine = new_turn(warehouse, stop)
    expire(warehouse)
    assert taken(warehouse, SECOND)
    mine.hold_on()  # not known yet, and not run out by its own clock
    assert not mine.renew()
    assert stop.is_set()
    assert not mine.may_send()
    with pytest.raises(TurnLost, match="another run has taken over"):
        mine.hold_on()
    assert row(warehouse)["holder"] == SECOND


def test_a_warehouse_that_does_not_answer_ends_the_sending_in_time(
    warehouse: Warehouse, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = new_turn(warehouse, threading.Event())

    def fail(*_: object) -> bool:
        raise OSError("no route to host")

    monkeypatch.setattr(lease, "renew", fail)
    assert not mine.renew()
    assert mine.may_send()
    clock[0] += 9.1
    assert not mine.may_send()
    with pytest.raises(TurnLost):
        mine.hold_on()


def test_what_a_lost_turn_ends_ends_by_that_error(warehouse: Warehouse, clock: list[float]) -> None:
    mine = new_turn(warehouse, threading.Event())
    with pytest.raises(KeyError), mine.kept():
        raise KeyError
    clock[0] += 60
    assert not mine.may_send()
    with pytest.raises(TurnLost), mine.kept():
        raise KeyError


def test_a_block_renews_its_turn_and_ends_it(warehouse: Warehouse) -> None:
    renewed = threading.Event()
    with take_turn(warehouse, FIRST, 3, threading.Event()) as mine:
        first: datetime = row(warehouse)["until"]
        for _ in range(100):
            if renewed.wait(0.05) or row(warehouse)["until"] > first:
                break
        assert row(warehouse)["until"] > first
        assert mine.may_send()
    assert row(warehouse)["holder"] is None
    assert "turn" not in {thread.name for thread in threading.enumerate()}


def test_a_write_is_refused_once_another_has_come(warehouse: Warehouse) -> None:
    with take_turn(warehouse, FIRST, 60, threading.Event()) as mine:
        warehouse.execute(f"UPDATE {LEASE} SET holder = %s", SECOND)
        assert not mine.renew()
        with pytest.raises(TurnLost):
            warehouse.execute(f"UPDATE {LEASE} SET holder = NULL")
    assert row(warehouse)["holder"] == SECOND


def waiting(seconds: float, free_after: int, stop: threading.Event) -> int:
    """Returns how often it was tried until it was free."""
    tries = 0

    def enter() -> int:
        nonlocal tries
        tries += 1
        if tries <= free_after:
            raise LockedError("taken")
        return tries

    return wait_for_turn(enter, seconds, stop)


def test_who_does_not_wait_tries_once() -> None:
    with pytest.raises(LockedError):
        waiting(0, 1, threading.Event())
    assert waiting(0, 0, threading.Event()) == 1


def test_who_waits_gets_it_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "LOOK_SECONDS", 0.01)
    assert waiting(60, 3, threading.Event()) == 4
    with pytest.raises(LockedError):
        waiting(0.05, 10_000, threading.Event())


def test_a_request_to_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(LockedError):
        waiting(3600, 10_000, stop)


def test_an_error_is_not_waited_for() -> None:
    def enter() -> None:
        raise ConfigError("wrong")

    with pytest.raises(ConfigError):
        wait_for_turn(enter, 3600, threading.Event())


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has this clock")
def test_the_clock_counts_the_time_asleep() -> None:
    assert turn_module.CLOCK == time.CLOCK_BOOTTIME


def test_a_connection_that_hangs_keeps_neither_the_run_nor_its_turn(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper hangs; whoever writes is told in time that nothing is certain any more."""
    hung, freed = threading.Event(), threading.Event()

    def hang(*_: object) -> bool:
        hung.set()
        return freed.wait(60)

    monkeypatch.setattr(lease, "renew", hang)
    began = time.monotonic()
    with take_turn(warehouse, FIRST, 1, threading.Event()) as mine:
        assert hung.wait(30)
        time.sleep(1)
        assert not mine.may_send()
        with pytest.raises(TurnLost):
            mine.hold_on()
    assert time.monotonic() - began < 30
    freed.set()
