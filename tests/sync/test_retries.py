"""Answers that say nothing: each lead ends where it should, and no body is written twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from connector.sync.summary import Summary
from tests.support.harness import NewSite, Row, Site, lead_id, writes

pytestmark = pytest.mark.xdist_group("sync retries")

BURST = {"x-ratelimit-limit": "40", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}
ATTEMPTS = 3
TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class Bump:
    """What the PATCH of one lead meets, and how it is to end."""

    name: str
    status: str
    sends: int
    faults: tuple[Mapping[str, Any], ...]
    written: int = 1

    @property
    def lead_id(self) -> str:
        return lead_id(self.name)


def fault(kind: str, method: str = "PATCH", **options: Any) -> dict[str, Any]:
    return {"kind": kind, "method": method, **options}


def status(code: int, **options: Any) -> dict[str, Any]:
    return fault("status", status=code, **options)


UNHARMED = [Bump(f"unharmed {number}", "applied", 1, ()) for number in range(6)]
HINDERED = [
    Bump("429 with nothing more", "applied", 2, (status(429),)),
    Bump("429 with Retry-After", "applied", 2, (status(429, retry_after=1),)),
    Bump("429 with rate-limit headers", "applied", 2, (status(429, headers=BURST),)),
    Bump("429 twice", "applied", 3, (status(429, retry_after=1, times=2),)),
    *(Bump(f"{code}", "applied", 2, (status(code),)) for code in (500, 502, 503, 504, 408)),
    Bump("503 in HTML", "applied", 2, (status(503, html=True),)),
    Bump("502 twice", "applied", 3, (status(502, times=2),)),
    Bump("reset before", "applied", 2, (fault("reset_before"),)),
    Bump("200 with nothing done", "applied", 2, (fault("null_data", write=False),)),
]
IN_EFFECT = [
    Bump("reset after", "confirmed", 1, (fault("reset_after"),)),
    Bump("answer cut short", "confirmed", 1, (fault("truncated"),)),
    Bump("connection cut short", "confirmed", 1, (fault("truncated", close=True),)),
    Bump("silence", "confirmed", 1, (fault("hang", seconds=2 * TIMEOUT_SECONDS, write="before"),)),
    Bump("200 without the lead", "confirmed", 1, (fault("null_data"),)),
    Bump("500 but written", "confirmed", 1, (status(500, write=True),)),
    Bump(
        "reset after, then 500 to the look",
        "confirmed",
        1,
        (fault("reset_after"), status(500, method="GET")),
    ),
    Bump(
        "reset after, then 429 to the look",
        "confirmed",
        1,
        (fault("reset_after"), status(429, method="GET", retry_after=1)),
    ),
    Bump("last attempt is in effect", "confirmed", 3, (status(500, times=2), fault("reset_after"))),
]
HOPELESS = [
    Bump("500 for ever", "failed", ATTEMPTS, (status(500, times=100),), written=0),
    Bump("reset for ever", "failed", ATTEMPTS, (fault("reset_before", times=100),), written=0),
]
BUMPS = UNHARMED + HINDERED + IN_EFFECT + HOPELESS


@dataclass(frozen=True)
class Seen:
    """One run on one lead a bump."""

    summary: Summary
    log: list[Row]
    outcomes: dict[str, Row]
    records: dict[str, Row]
    leads: dict[str, Row]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    site.pipedrive.reset(leads=0)
    site.pipedrive.fault("truncated", method="GET")
    for bump in BUMPS:
        site.pipedrive.set_lead(bump.lead_id, title="As it is")
        for one in bump.faults:
            site.pipedrive.fault(**one, lead_id=bump.lead_id)
    site.desire_titles({bump.lead_id: "New" for bump in BUMPS})
    summary = site.run(max_attempts=ATTEMPTS, timeout_seconds=TIMEOUT_SECONDS, workers=16)
    outcomes = {row["lead_id"]: row for row in site.outcomes()}
    records = {lead: row["record"] for lead, row in site.mirror().items()}
    assert len(site.outcomes()) == len(BUMPS)
    return Seen(summary, site.pipedrive.requests(), outcomes, records, site.pipedrive.leads())


@pytest.mark.parametrize("bump", BUMPS, ids=lambda bump: bump.name)
def test_each_lead_ends_where_it_should(seen: Seen, bump: Bump) -> None:
    sent = [row for row in seen.log if (row["method"], row["lead_id"]) == ("PATCH", bump.lead_id)]
    outcome = seen.outcomes[bump.lead_id]
    assert (outcome["status"], outcome["attempts"]) == (bump.status, bump.sends)
    assert (len(sent), sum(row["wrote"] for row in sent)) == (bump.sends, bump.written)


@pytest.mark.parametrize("bump", BUMPS, ids=lambda bump: bump.name)
def test_the_mirror_knows_the_truth(seen: Seen, bump: Bump) -> None:
    assert seen.leads[bump.lead_id]["title"] == ("New" if bump.written else "As it is")
    assert seen.records[bump.lead_id] == seen.leads[bump.lead_id]


def test_a_look_comes_before_every_repeated_write(seen: Seen) -> None:
    in_doubt = {bump.lead_id for bump in BUMPS if bump.sends > 1 and "429" not in bump.name}
    unseen: set[str] = set()
    for row in (row for row in seen.log if row["lead_id"] in in_doubt):
        if row["method"] == "PATCH":
            assert row["lead_id"] not in unseen
            unseen.add(row["lead_id"])
        else:
            unseen.discard(row["lead_id"])


def test_the_run_counts_the_repeats(seen: Seen) -> None:
    met = sum(row["fault"] is not None for row in seen.log)
    at_the_last_attempt = sum(bump.sends == ATTEMPTS for bump in (*HOPELESS, IN_EFFECT[-1]))
    assert seen.summary.requests == len(seen.log)
    assert seen.summary.retries == met - at_the_last_attempt
    assert seen.summary.exit_code == 3


def test_a_burst_that_does_not_end_stops_the_run(site: Site) -> None:
    leads = sorted(site.pipedrive.leads())[:5]
    site.desire_titles(dict.fromkeys(leads, "New"))
    site.pipedrive.fault(
        "status", status=429, retry_after=1, method="PATCH", lead_id=leads[2], times=100
    )
    summary = site.run(workers=1, max_attempts=2)
    assert (summary.statuses["applied"], summary.statuses["deferred"]) == (2, 3)
    assert writes(site.pipedrive) == dict.fromkeys(leads[:2], 1)
    assert (summary.exit_code, site.last_run()["state"]) == (5, "stopped")


def test_the_burst_limit_is_never_met(site: Site) -> None:
    site.pipedrive.reset(leads=36, limits=True, plan="lite")
    leads = [key for key, lead in site.pipedrive.leads().items() if not lead["is_archived"]]
    site.desire_titles(dict.fromkeys(leads, "New"))
    assert site.run(workers=16).statuses["applied"] == len(leads) > 20
    assert [row for row in site.pipedrive.requests() if row["status"] == 429] == []


def test_the_burst_limit_is_not_met_where_the_run_before_has_used_most_of_it(site: Site) -> None:
    site.pipedrive.reset(leads=36, limits=True, plan="lite")
    leads = [key for key, lead in site.pipedrive.leads().items() if not lead["is_archived"]]
    for title in ("New", "Newer"):
        site.desire_titles(dict.fromkeys(leads[:12], title))
        assert site.run(workers=16).statuses["applied"] == 12
    assert [row for row in site.pipedrive.requests() if row["status"] == 429] == []
