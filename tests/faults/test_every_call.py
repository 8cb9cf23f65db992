"""Each fault on each kind of call: the right end, one line, books that agree, a next run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from connector import LeadSyncError
from connector.sync.summary import Summary
from tests.support.books import assert_books
from tests.support.eager import read_increments
from tests.support.harness import NewSite, Row, Site
from tests.support.postgres import PostgresSite, on_postgres
from tests.support.scene import let_arrive, new_leads

LIVE, ARCHIVED = 6, 24
READS = ("users/me", "leadFields", "users", "leadLabels", "leads", "leads/archived")
"""The lists that a run reads, in its order."""
CALLS = (*READS, "leads/{id}", "PATCH")
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "owner_email": "VARCHAR",
    "labels": "VARCHAR",
    "Lead score": "INTEGER",
}
SETTINGS: Mapping[str, Any] = {
    "max_attempts": 3,
    "timeout_seconds": 0.7,
    "workers": 4,
    "recheck_hours": 0,  # so that every run makes every call
}
NO_FAULT: Mapping[str, Any] = {"kind": "ignore", "method": "GET"}
GONE = {"success": False, "error": "requested lead not found"}
SCOPE = {"success": False, "error": "Scope and URL mismatch"}

Fault = Mapping[str, Any]
PASSING: Mapping[str, Fault] = {
    "429": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "500 but written": {"kind": "status", "status": 500, "write": True},
    "reset before": {"kind": "reset_before"},
    "reset after": {"kind": "reset_after"},
    "truncated": {"kind": "truncated"},
    "cut off": {"kind": "truncated", "close": True},
    "silence": {"kind": "hang", "seconds": 1.0, "write": "before"},
    "ignored": {"kind": "ignore"},
}
ENDING: Mapping[str, Fault] = {
    "401": {"kind": "status", "status": 401},
    "403 HTML": {"kind": "html403"},
    "scope": {"kind": "status", "status": 403, "body": SCOPE},
    "wrong URL": {"kind": "status", "status": 404, "html": True},
    "redirect": {"kind": "redirect"},
    "daily 429": {
        "kind": "status",
        "status": 429,
        "headers": {"x-daily-ratelimit-token-remaining": "0"},
    },
}
LEADS_OWN: Mapping[str, Fault] = {
    "400": {"kind": "status", "status": 400},
    "403": {"kind": "status", "status": 403},
    "422": {"kind": "status", "status": 422},
    "404": {"kind": "status", "status": 404},
}


@dataclass(frozen=True)
class Place:
    """A site that is used for one case after the other, its leads and what is wanted of them."""

    site: Site
    live: list[str]
    archived: list[str]

    @property
    def reads_increments(self) -> bool:
        """Whether a lead that the list does not show is looked at as late as before its PATCH."""
        return isinstance(self.site, PostgresSite)

    def want(self, word: str) -> None:
        """Ask for something new of every lead that is not archived."""
        cells: Row = {"owner_email": None, "labels": "Hot", "Lead score": len(word)}
        rows = [{"lead_id": lead, "title": word, **cells} for lead in self.live]
        old = [{"lead_id": lead, "title": "As it is"} for lead in self.archived]
        self.site.pipedrive.clear_faults()
        self.site.desire(COLUMNS, [*rows, *old])

    def queue(self, fault: Fault, call: str) -> None:
        """Let one call of a kind meet a fault."""
        pipedrive = self.site.pipedrive
        if call in READS:
            for _ in range(READS.index(call)):
                pipedrive.fault(**NO_FAULT)
            pipedrive.fault(**fault, method="GET")
        else:
            method = call if call == "PATCH" else "GET"
            pipedrive.fault(**fault, method=method, lead_id=self.live[0])

    def hide_from_list(self) -> None:
        """Let the list show all but the first lead, so that it is asked for by its id."""
        page = [lead for lead in self.site.pipedrive.leads().values() if not lead["is_archived"]]
        body = {"success": True, "data": page[1:], "additional_data": {}}
        for _ in range(READS.index("leads")):
            self.site.pipedrive.fault(**NO_FAULT)
        self.site.pipedrive.fault("status", status=200, body=body, method="GET")
        self.site.pipedrive.fault(**NO_FAULT)

    def run(self) -> Summary | LeadSyncError:
        try:
            return self.site.run(**SETTINGS)
        except LeadSyncError as error:
            return error


@pytest.fixture(scope="module", params=["all, duckdb", "increments, postgres"])
def place(new_site: NewSite, request: pytest.FixtureRequest) -> Iterator[Place]:
    site = new_site()
    with pytest.MonkeyPatch.context() as patch:
        if "postgres" in request.param:
            site = on_postgres(site, request.getfixturevalue("postgres"))
            read_increments(patch)
        yield place_on(site)


def place_on(site: Site) -> Place:
    """Make the leads, and the run that all others follow."""
    leads = new_leads(site, LIVE + ARCHIVED)
    for lead in leads[LIVE:]:
        site.pipedrive.archive_lead(lead)
    made = Place(site, leads[:LIVE], leads[LIVE:])
    made.want("First")
    assert made.site.run(**SETTINGS).statuses["applied"] == LIVE
    paths = [row["path"].removeprefix("/api/v1/") for row in site.pipedrive.requests("GET")]
    assert tuple(paths) == READS
    return made


def assert_next_run_finishes(place: Place, word: str) -> None:
    place.site.pipedrive.clear_faults()
    summary = place.site.run(**SETTINGS, retry_failed=True)
    assert summary.exit_code == 0, summary.message
    assert_books(place.site, note=word)
    leads = place.site.pipedrive.leads()
    assert {leads[lead]["title"] for lead in place.live} == {word}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_outlasted_on_every_call(place: Place, name: str) -> None:
    fault = PASSING[name]
    word = f"Outlasted {name}"
    place.want(word)
    for _ in READS:
        place.site.pipedrive.fault(**fault, method="GET")
        place.site.pipedrive.fault(**NO_FAULT)
    place.queue(fault, "PATCH")
    place.queue(fault, "leads/{id}")
    done = place.run()
    assert isinstance(done, Summary), done
    assert done.exit_code == (3 if name == "ignored" else 0), done.message
    assert_books(place.site, note=name)
    assert_next_run_finishes(place, word)


@pytest.mark.parametrize("call", READS)
def test_a_list_without_data_leads_to_no_wrong_patch(place: Place, call: str) -> None:
    word = f"No data in {call}"
    place.want(word)
    place.queue({"kind": "null_data"}, call)
    done = place.run()
    statuses = done.statuses if isinstance(done, Summary) else {}
    assert isinstance(done, LeadSyncError) or statuses["applied"] + statuses["rejected"] == LIVE
    assert_books(place.site, note=word)
    assert_next_run_finishes(place, word)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *((name, call) for name in ENDING for call in ("leads", "leads/{id}", "PATCH")),
        *(("401", call) for call in READS if call != "leads"),
    ],
)
def test_what_concerns_all_calls_ends_the_run(place: Place, name: str, call: str) -> None:
    word = f"{name} on {call}"
    place.want(word)
    if call == "leads/{id}":
        place.hide_from_list()
    place.queue(ENDING[name], call)
    sent = len(place.site.pipedrive.requests("PATCH"))
    done = place.run()
    if name == "daily 429":
        assert isinstance(done, Summary), done
        assert done.exit_code == 5
    else:
        assert isinstance(done, LeadSyncError), done
        assert "\n" not in str(done)
    if call in READS or (call == "leads/{id}" and not place.reads_increments):
        assert len(place.site.pipedrive.requests("PATCH")) == sent
    assert_books(place.site, note=word)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", LEADS_OWN)
def test_a_refusal_ends_a_lead_or_says_what_was_refused(place: Place, name: str, call: str) -> None:
    word = f"{name} on {call}"
    place.want(word)
    if call == "leads/{id}":
        place.hide_from_list()
    place.queue(LEADS_OWN[name], call)
    done = place.run()
    if call in READS:
        assert isinstance(done, LeadSyncError), done
        assert name in str(done)
    else:
        assert isinstance(done, Summary), done
        ended = "not_found" if (name, call) == ("404", "leads/{id}") else "failed"
        assert (done.exit_code, done.statuses[ended]) == (3, 1)
    assert_books(place.site, note=word)


def test_after_all_that_a_run_finishes(place: Place) -> None:
    for word in ("After all", "And again"):  # a run after one that ended early reads all leads
        place.want(word)
        assert_next_run_finishes(place, word)
    *_, last = (
        row for row in place.site.pipedrive.requests("GET") if row["path"].endswith("/leads")
    )
    assert ("updated_since" in last["query"]) is place.reads_increments


LIES: Mapping[str, tuple[Fault, ...]] = {
    "400 but written": ({"kind": "status", "status": 400, "write": True, "method": "PATCH"},),
    "422 but written": ({"kind": "status", "status": 422, "write": True, "method": "PATCH"},),
    "reset after, then 400 to the look": (
        {"kind": "reset_after", "method": "PATCH"},
        {"kind": "status", "status": 400, "method": "GET"},
    ),
    "reset after, then 403 to the look": (
        {"kind": "reset_after", "method": "PATCH"},
        {"kind": "status", "status": 403, "method": "GET"},
    ),
    "reset after, then 401 to the look": (
        {"kind": "reset_after", "method": "PATCH"},
        {"kind": "status", "status": 401, "method": "GET"},
    ),
    "reset after, then no look passes": (
        {"kind": "reset_after", "method": "PATCH"},
        {"kind": "status", "status": 502, "method": "GET", "times": 20},
    ),
    "written only after the silence": (
        {"kind": "hang", "seconds": 5.0, "write": "after", "method": "PATCH"},
        {"kind": "status", "status": 502, "method": "PATCH", "times": 20},
    ),
    "written only after the silence, then refused": (
        {"kind": "hang", "seconds": 5.0, "write": "after", "method": "PATCH"},
        {"kind": "status", "status": 400, "method": "PATCH"},
    ),
    "written only after the silence, then ignored": (
        {"kind": "hang", "seconds": 5.0, "write": "after", "method": "PATCH"},
        {"kind": "ignore", "method": "PATCH"},
    ),
}


@pytest.fixture(scope="module")
def lied_to(new_site: NewSite) -> tuple[Site, dict[str, str]]:
    """A run in which each lie is told of a lead of its own."""
    site = new_site()
    leads = dict(zip(LIES, new_leads(site, len(LIES)), strict=True))
    for name, lead in leads.items():
        for fault in LIES[name]:
            site.pipedrive.fault(**fault, lead_id=lead)
    site.desire_titles({lead: name for name, lead in leads.items() if "401" not in name})
    site.run(**SETTINGS)
    let_arrive(site)
    site.desire_titles({lead: name for name, lead in leads.items() if "401" in name})
    with pytest.raises(LeadSyncError, match="401"):
        site.run(**SETTINGS)
    return site, leads


@pytest.mark.xdist_group("faults lies")
@pytest.mark.parametrize("name", LIES)
def test_a_write_that_took_effect_is_never_denied(
    lied_to: tuple[Site, dict[str, str]], name: str
) -> None:
    site, leads = lied_to
    books = assert_books(site, only=[leads[name]])
    [entry] = [entry for entry in books.entries if entry.lead_id == leads[name]]
    assert entry.writes == 1


def test_a_write_after_the_silence_is_not_denied_by_a_spent_budget(site: Site) -> None:
    [lead] = new_leads(site, 1)
    site.desire_titles({lead: "New"})
    site.pipedrive.fault("hang", seconds=5.0, write="after", method="PATCH")
    reading, sending, looking = 2 + 20, 10, 2
    assert site.run(**SETTINGS, token_budget=reading + sending + looking).exit_code != 0
    let_arrive(site)
    assert_books(site)
