"""What becomes of rows and leads that are in trouble, and that they stop nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from connector.sandbox import LocalPipedrive
from connector.sync.summary import Summary
from tests.support.harness import Ended, NewSite, Row, Site, bodies, lead_id, wait_until, wire
from tests.support.leads import SCORE

pytestmark = pytest.mark.xdist_group("sync statuses")

COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "person_id": "BIGINT",
    "organization_id": "BIGINT",
    "value_amount": "DOUBLE",
    "value_currency": "VARCHAR",
    SCORE: "VARCHAR",
}
LEAD: Row = {"title": "As it is", "person_id": 1201, "organization_id": 301}
NEW = {"title": "New"}
REFUSED = {"success": False, "error": "provided dataset is not valid", "error_info": '"title" bad'}
ARCHIVED = {"success": False, "error": "Lead is archived", "code": "ERR_LEAD_ARCHIVED"}
GONE = {"success": False, "error": "requested lead not found", "error_info": "Not found."}
NO_LABEL = {"success": False, "error": "Lead label not found", "error_info": ""}


@dataclass(frozen=True)
class Trouble:
    """A row, what its lead meets in Pipedrive, and the outcome that is to be recorded."""

    name: str
    cells: Mapping[str, Any]
    status: str
    told: tuple[str, ...] = ()
    fault: Mapping[str, Any] | None = None
    http_status: int | None = None

    @property
    def lead_id(self) -> Any:
        return self.cells.get("lead_id", lead_id(self.name))


def refused(status: int, body: object) -> dict[str, Any]:
    return {"kind": "status", "status": status, "body": body}


BAD_ROWS = [
    Trouble(
        "no lead_id",
        {"lead_id": None, "title": "Nobody's title"},
        "rejected",
        ("lead_id is NULL", "Nobody's title", "give it its lead's id"),
    ),
    Trouble(
        "bad uuid",
        {"lead_id": "lead-17"},
        "rejected",
        ("lead_id 'lead-17'", "is not a UUID", "adf21080-0e10-11eb-879b-05d71fb426ec"),
    ),
    Trouble("empty title", {"title": " "}, "rejected", ("title ' '", "NULL to leave it alone")),
    Trouble(
        "amount alone",
        {"value_amount": 99.5},
        "rejected",
        ("value_amount '99.5'", "add value_currency"),
    ),
    Trouble(
        "text in a number",
        {SCORE: "many"},
        "rejected",
        (SCORE, "'many'", "write it like 1234.5"),
    ),
    Trouble(
        "not a number",
        {"value_amount": float("nan"), "value_currency": "EUR"},
        "rejected",
        ("value_amount 'nan'", "use NULL"),
    ),
    Trouble(
        "infinite",
        {"value_amount": float("inf"), "value_currency": "EUR"},
        "rejected",
        ("value_amount 'inf'", "use NULL"),
    ),
    Trouble("two rows", {"title": "One"}, "rejected", ("2 rows", "updated_at", "keep one")),
    Trouble(
        "neither person nor organization",
        {"person_id": None, "organization_id": None},
        "rejected",
        ("person_id and organization_id NULL", "give it one of them"),
    ),
    Trouble(
        "two fields wrong at once",
        {"title": "", "person_id": -4},
        "rejected",
        ("title ''", "person_id '-4'", "positive whole number"),
    ),
]
LEADS_IN_TROUBLE = [
    Trouble("gone before", NEW, "not_found", ("deleted, converted or merged",)),
    Trouble("archived before", NEW, "archived", ("may not be edited", "Title")),
    Trouble("gone since", NEW, "not_found", (), refused(404, GONE), 404),
    Trouble("archived since", NEW, "archived", (), refused(422, ARCHIVED), 422),
    Trouble("ignored", NEW, "ignored", ("did not take title",), {"kind": "ignore"}, 200),
    Trouble("refused 400", NEW, "failed", ("provided dataset",), refused(400, REFUSED), 400),
    Trouble("refused 403", NEW, "failed", ("403",), refused(403, {"error": "Forbidden"}), 403),
    Trouble("refused 404", NEW, "failed", ("label",), refused(404, NO_LABEL), 404),
    Trouble("refused 422", NEW, "failed", ("422",), refused(422, REFUSED), 422),
]
FINE = [Trouble(f"fine {number}", NEW, "applied", http_status=200) for number in range(12)]
TROUBLES = BAD_ROWS + LEADS_IN_TROUBLE + FINE
COUNTS = Counter(one.status for one in TROUBLES) + Counter({"rejected": 1})
"""Outcomes by status; of the two rows for one lead both are rejected."""


@dataclass(frozen=True)
class Seen:
    """A run of the command on one row a trouble, and another that tolerates it all."""

    ended: Ended
    sent: dict[str, list[Any]]
    outcomes: dict[Any, list[Row]]
    run: Row
    tolerant: Summary


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    put_troubles(site.pipedrive)
    rows = [{**LEAD, **one.cells, "lead_id": one.lead_id} for one in TROUBLES]
    site.desire(COLUMNS, [*rows, {**LEAD, "title": "Two", "lead_id": lead_id("two rows")}])
    ended = site.command("run")
    assert ended.code == 3, ended.told
    sent, run = bodies(site.pipedrive), site.last_run()
    outcomes: dict[Any, list[Row]] = {}
    for outcome in site.outcomes(run["run_id"]):
        outcomes.setdefault(outcome["lead_id"], []).append(outcome)
    tolerated = ["rejected", "not_found", "archived"]
    return Seen(ended, sent, outcomes, run, site.run(retry_failed=True, tolerate=tolerated))


def put_troubles(pipedrive: LocalPipedrive) -> None:
    pipedrive.reset(leads=0)
    for one in TROUBLES:
        if one.name not in ("no lead_id", "bad uuid", "gone before"):
            archived = one.name == "archived before"
            pipedrive.set_lead(one.lead_id, **LEAD, is_archived=archived)
        if one.fault is not None:
            pipedrive.fault(**one.fault, lead_id=one.lead_id, method="PATCH")
        if one.name == "gone since":
            pipedrive.fault(**refused(404, GONE), lead_id=one.lead_id, method="GET")


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_each_lead_gets_the_outcome_that_fits(seen: Seen, one: Trouble) -> None:
    outcomes = seen.outcomes[one.lead_id]
    assert len(outcomes) == (2 if one.name == "two rows" else 1)
    for outcome in outcomes:
        assert (outcome["status"], outcome["http_status"]) == (one.status, one.http_status)
        assert [part for part in one.told if part not in (outcome["reason"] or "")] == []


@pytest.mark.parametrize("one", BAD_ROWS, ids=lambda one: one.name)
def test_a_rejected_row_is_never_sent(seen: Seen, one: Trouble) -> None:
    assert one.lead_id not in seen.sent
    for outcome in seen.outcomes[one.lead_id]:
        assert (outcome["patch_id"], outcome["attempts"]) == (None, 0)


def test_pipedrives_own_words_are_kept(seen: Seen) -> None:
    [outcome] = seen.outcomes[lead_id("refused 400")]
    assert (outcome["error"], outcome["error_info"]) == (
        "provided dataset is not valid",
        '"title" bad',
    )


def test_an_outcome_says_what_was_what_is_and_what_was_wanted(seen: Seen) -> None:
    [applied] = seen.outcomes[lead_id("fine 0")]
    [ignored] = seen.outcomes[lead_id("ignored")]
    images = ("before", "body", "after")
    assert [applied[name].replace(" ", "") for name in images] == [
        '{"title":"Asitis"}',
        '{"title":"New"}',
        '{"title":"New"}',
    ]
    assert ignored["after"] == applied["before"]


def test_the_run_counts_them(seen: Seen) -> None:
    assert Counter({status: seen.run[status] for status in COUNTS}) == COUNTS
    assert seen.run["state"] == "done"


def test_the_exit_code_says_that_leads_are_missing(seen: Seen) -> None:
    assert seen.ended.code == 3
    assert f"{COUNTS['rejected']} rejected" in seen.ended.told


def test_tolerated_statuses_do_not_count(seen: Seen) -> None:
    # What failed for a passing reason is put right by this second run.
    assert seen.tolerant.exit_code == 0, seen.tolerant.statuses
    assert seen.tolerant.statuses["rejected"] == COUNTS["rejected"]


def test_what_colleagues_do_during_a_run_harms_no_other_lead(site: Site) -> None:
    first, gone, archived, last = sorted(site.pipedrive.leads())[:4]
    site.desire_titles(dict.fromkeys((first, gone, archived, last), "New"))
    site.pipedrive.fault("hang", lead_id=first, method="PATCH", seconds=1.5)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(site.run, workers=1)
        wait_until(lambda: bool(site.pipedrive.requests("PATCH")), "no PATCH was sent")
        site.pipedrive.delete_lead(gone)
        site.pipedrive.archive_lead(archived)
        summary = running.result()
    statuses = {row["lead_id"]: row["status"] for row in site.outcomes()}
    assert statuses == {
        first: "applied",
        gone: "not_found",
        archived: "archived",
        last: "applied",
    }
    assert (summary.state, summary.exit_code) == ("done", 3)


def test_an_archived_lead_comes_back_only_when_asked(site: Site) -> None:
    [lead] = list(site.pipedrive.leads())[:1]
    site.pipedrive.archive_lead(lead)
    row = {"lead_id": lead, "title": "Back", "is_archived": False}
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}, [row])
    assert site.run().statuses["archived"] == 1
    assert bodies(site.pipedrive) == {}
    assert site.run(unarchive=True).statuses["applied"] == 2
    expected = [{"is_archived": False}, {"title": "Back"}]
    assert wire(bodies(site.pipedrive)[lead]) == wire(expected)
