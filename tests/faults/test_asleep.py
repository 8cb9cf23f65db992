"""A machine that stands still within a load, for longer than its turn lasts, and wakes up later."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from dlt.destinations.exceptions import DatabaseException

from connector.sync.session import Scope, open_session
from connector.warehouse import postgres
from tests.support.harness import ended_at_last, finish, wait_until
from tests.support.postgres import PostgresSite
from tests.support.scene import new_leads, other_machine, stand_still_in, watched

LEASE = "pipedrive_leads.sync_lease"
SHORT = {"lease_seconds": 4}


def outcomes(site: PostgresSite) -> list[tuple[str, str, Any]]:
    """Of each outcome of a patch: who sent it, its status and `took`."""
    return [
        (row["run_id"], row["status"], json.loads(row["took"]))
        for row in site.query("SELECT * FROM pipedrive_leads.lead_outcomes ORDER BY outcome_id")
    ]


@pytest.fixture
def refused(postgres_site: PostgresSite) -> PostgresSite:
    """A lead of which the first PATCH is refused, and the second is answered late."""
    [lead] = new_leads(postgres_site, 1)
    postgres_site.desire_titles({})
    assert postgres_site.run(empty_desired="allow").exit_code == 0
    postgres_site.desire_titles({lead: "Wished"})
    faults = postgres_site.pipedrive.fault
    faults("status", method="PATCH", status=400, body={"success": False})
    return postgres_site


def test_an_outcome_that_comes_late_hides_nothing_that_another_has_sent(
    refused: PostgresSite,
) -> None:
    site, other = refused, other_machine(refused)
    with watched(site, **SHORT) as asleep:
        stand_still_in(asleep, "chunk load")
        site.pipedrive.fault("hang", method="PATCH", seconds=6.0, write="before")
        with ended_at_last(other.start("run", lock_wait_seconds=60)) as second:
            wait_until(lambda: len(site.pipedrive.requests("PATCH")) == 2, "nobody takes over")
            asleep.process.send_signal(signal.SIGCONT)
            first = asleep.ended()
            ended = finish(second)
    assert ended.code == 0, ended.told
    later = site.last_run()["run_id"]
    assert outcomes(site) == [(later, "applied", ["title"])]
    assert first.code == 1, first.told
    assert "has lost its turn" in first.told
    assert "Traceback" not in first.told


def test_what_is_staged_is_not_merged_once_another_has_the_turn(refused: PostgresSite) -> None:
    staged = "pipedrive_leads_staging.lead_outcomes"
    assert refused.run().exit_code == 3  # dlt makes its staging tables when it needs them
    refused.query("DELETE FROM pipedrive_leads.lead_outcomes")
    refused.query(
        "CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$BEGIN UPDATE {LEASE} SET holder = 'another'; RETURN NULL; END$$"
    )
    refused.query(f"CREATE TRIGGER passes_on AFTER INSERT ON {staged} EXECUTE FUNCTION pass_on()")
    ended = refused.command("run", "--retry-failed")
    assert (ended.code, outcomes(refused)) == (1, []), ended.told
    assert "is not the turn of run" in ended.told


def test_a_load_that_takes_longer_than_the_turn_keeps_it(refused: PostgresSite) -> None:
    assert refused.plan().exit_code == 0
    plans = "LOCK TABLE pipedrive_leads_staging.lead_patches IN SHARE MODE; SELECT pg_sleep(6)"
    slow = threading.Thread(target=refused.query, args=(plans,))
    slow.start()
    ended = refused.command("run", **SHORT)
    slow.join()
    assert (ended.code, len(refused.pipedrive.requests("PATCH"))) == (3, 1), ended.told


def test_an_outcome_that_comes_late_is_recorded_where_nobody_has_come(
    refused: PostgresSite,
) -> None:
    with watched(refused, **SHORT) as asleep:
        stand_still_in(asleep, "chunk load")
        expired = f"SELECT 1 FROM {LEASE} WHERE until < CURRENT_TIMESTAMP"
        wait_until(lambda: bool(refused.query(expired)), "the turn is not over")
        asleep.process.send_signal(signal.SIGCONT)
        asleep.ended()
    assert [one[1:] for one in outcomes(refused)] == [("failed", [])]


def test_a_load_that_stands_still_keeps_the_turn_from_others_for_a_while_only(
    refused: PostgresSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE", "1s")
    with refused.in_place() as account, open_session(account, Scope()) as session:
        loading: Any = session.warehouse.pipeline.destination_client()
        with loading, suppress(DatabaseException), loading.sql_client.begin_transaction():
            began = time.monotonic()
            refused.query(f"SELECT 1 FROM {LEASE} FOR UPDATE")
            waited = time.monotonic() - began
    assert 0.5 < waited < 30
