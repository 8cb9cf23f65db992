"""A stored plan: what was planned is sent where the leads are still as it found them."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector import LeadSyncError
from connector.planning.model import DAMAGED
from connector.sandbox import LocalPipedrive
from tests.support.books import assert_books
from tests.support.harness import (
    Ended,
    NewSite,
    Row,
    Site,
    bodies,
    ended_at_last,
    lead_id,
    wait_until,
    wire,
)
from tests.support.leads import COLD, HOT, SCORE, WARM
from tests.support.scene import assert_titles, desire, kill_unsent, new_leads

pytestmark = pytest.mark.xdist_group("sync apply")

COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "label_ids": "VARCHAR[]",
    "value_amount": "DECIMAL(9, 2)",
    "value_currency": "VARCHAR",
    "lead_score": "DOUBLE",
    "is_archived": "BOOLEAN",
}
LEAD: Row = {
    "title": "Old",
    "label_ids": [HOT, COLD],
    "value": {"amount": 10, "currency": "EUR"},
    SCORE: 1,
    "channel_id": "Spring",
}
ARCHIVED: Row = {**LEAD, "is_archived": True}
ROW: Row = {
    "title": "Old",
    "label_ids": [HOT, COLD],
    "value_amount": 10,
    "value_currency": "EUR",
    "lead_score": 1,
}
NEW: Row = {"title": "New"}
BACK: Row = {"title": "New", "is_archived": False}
Edit = Callable[[LocalPipedrive, str], object]


@dataclass(frozen=True)
class Case:
    """A lead that a plan changes, what a colleague does before it is applied, and what follows.

    Attributes:
        statuses: Of the outcomes, one a patch.
        sent: The bodies that are sent.
        told: What the reasons say.
    """

    name: str
    cells: Mapping[str, Any]
    edit: Edit | None
    statuses: tuple[str, ...]
    sent: tuple[Any, ...] = ()
    told: tuple[str, ...] = ()
    lead: Mapping[str, Any] = field(default_factory=lambda: LEAD)

    @property
    def lead_id(self) -> str:
        return lead_id(self.name)


def edits(*steps: Mapping[str, Any]) -> Edit:
    def edit(pipedrive: LocalPipedrive, lead: str) -> None:
        for fields in steps:
            pipedrive.set_lead(lead, **fields)

    return edit


def conflict(name: str, cells: Row, edit: Row, *told: str) -> Case:
    return Case(name, cells, edits(edit), ("conflict",), (), (*told, "lead updated 20"))


CASES = [
    Case("untouched", NEW, None, ("applied",), (NEW,)),
    Case("another field edited", NEW, edits({"channel_id": "Autumn"}), ("applied",), (NEW,)),
    Case("edited and put back", NEW, edits({"title": "X"}, {"title": "Old"}), ("applied",), (NEW,)),
    Case(
        "only spelled differently",
        {"label_ids": [WARM], "lead_score": 2},
        edits({"label_ids": [COLD, HOT], SCORE: 1.0}),
        ("applied",),
        ({"label_ids": [WARM], SCORE: 2},),
    ),
    conflict("edited", NEW, {"title": "Theirs"}, "Title: expected Old, is Theirs, wanted New"),
    conflict(
        "one of two fields edited",
        {"title": "New", "lead_score": 2},
        {SCORE: 5},
        "Lead score: expected 1, is 5, wanted 2",
    ),
    conflict("cleared", {"lead_score": 2}, {SCORE: None}, "expected 1, is —, wanted 2"),
    conflict("to be cleared", {"lead_score": None}, {SCORE: 5}, "expected 1, is 5, wanted —"),
    conflict(
        "currency edited",
        {"value_amount": 50},
        {"value": {"amount": 10, "currency": "USD"}},
        "Value: expected 10 EUR, is 10 USD, wanted 50 EUR",
    ),
    Case("already so", NEW, edits(NEW), ("confirmed",), (), ("already so",)),
    Case(
        "one of two already so",
        {"title": "New", "lead_score": 2},
        edits(NEW),
        ("applied",),
        ({SCORE: 2},),
    ),
    Case("deleted", NEW, LocalPipedrive.delete_lead, ("not_found",), (), ("no such lead",)),
    Case(
        "archived", NEW, LocalPipedrive.archive_lead, ("archived",), (), ("since it was planned",)
    ),
    Case(
        "to be archived, and is",
        {"is_archived": True},
        LocalPipedrive.archive_lead,
        ("confirmed",),
        (),
        ("already so",),
    ),
    Case(
        "to be changed and archived, and is archived",
        {"is_archived": True, "title": "New"},
        LocalPipedrive.archive_lead,
        ("archived",),
    ),
    Case(
        "brought back",
        BACK,
        None,
        ("applied", "applied"),
        ({"is_archived": False}, NEW),
        lead=ARCHIVED,
    ),
    Case(
        "brought back by a colleague",
        BACK,
        edits({"is_archived": False}),
        ("confirmed", "applied"),
        (NEW,),
        lead=ARCHIVED,
    ),
    Case(
        "to be brought back, and edited",
        BACK,
        edits({"title": "Theirs"}),
        ("conflict", "conflict"),
        (),
        ("Title: expected Old, is Theirs, wanted New",),
        ARCHIVED,
    ),
]
STATUSES = Counter(status for case in CASES for status in case.statuses)
CONFLICTS = [case for case in CASES if "conflict" in case.statuses]


@dataclass(frozen=True)
class Seen:
    """A plan that was applied by the command after edits, and applied again."""

    site: Site
    plan_id: str
    ended: Ended
    results: Row
    sent: dict[str, list[Any]]
    outcomes: dict[str, list[Row]]
    run: Row
    edited: dict[str, Row]
    leads: dict[str, Row]
    again: Ended
    requests_again: list[Row]
    runs_again: int


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    pipedrive = site.pipedrive
    pipedrive.reset(leads=0)
    for case in CASES:
        pipedrive.set_lead(case.lead_id, **case.lead)
    site.desire(COLUMNS, [{**ROW, **case.cells, "lead_id": case.lead_id} for case in CASES])
    planned = site.plan(unarchive=True)
    assert (planned.planned, len(pipedrive.requests("PATCH"))) == (len(CASES), 0)
    site.query("DROP TABLE crm.lead_changes")  # a plan says all that there is to know
    for case in CASES:
        if case.edit:
            case.edit(pipedrive, case.lead_id)
    edited = pipedrive.leads()
    file = site.folder / "results.json"
    ended = site.command("apply", planned.plan_id, "--run-results", str(file))
    outcomes: dict[str, list[Row]] = {}
    for outcome in site.outcomes():
        outcomes.setdefault(outcome["lead_id"], []).append(outcome)
    sent, run, leads = bodies(pipedrive), site.last_run(), pipedrive.leads()
    pipedrive.clear_requests()
    again = site.command("apply", planned.plan_id)
    results = json.loads(file.read_text())
    requests, runs = pipedrive.requests(), len(site.runs())
    return Seen(
        site, planned.plan_id, ended, results, sent, outcomes, run, edited, leads, again, requests,
        runs,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_lead_is_held_against_the_plan(seen: Seen, case: Case) -> None:
    outcomes = seen.outcomes[case.lead_id]
    assert tuple(row["status"] for row in outcomes) == case.statuses
    assert wire(seen.sent.get(case.lead_id, [])) == wire(list(case.sent))
    reasons = " ".join(row["reason"] or "" for row in outcomes)
    assert [part for part in case.told if part not in reasons] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lead_has_what_was_sent_and_else_what_it_had(seen: Seen, case: Case) -> None:
    wanted = {key: value for body in case.sent for key, value in body.items()}
    before = seen.edited.get(case.lead_id)
    after = seen.leads.get(case.lead_id)
    if before is None or after is None:
        assert (before, after) == (None, None)
        return
    expected = {**before, **wanted}
    assert wire(after | {"update_time": None}) == wire(expected | {"update_time": None})
    assert (after["update_time"] == before["update_time"]) == (not case.sent)


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda case: case.name)
def test_a_conflict_keeps_the_three_values(seen: Seen, case: Case) -> None:
    for outcome in seen.outcomes[case.lead_id]:
        body, before, after = (json.loads(outcome[name]) for name in ("body", "before", "after"))
        assert body.keys() == before.keys() == after.keys()
        lead = seen.edited[case.lead_id]
        assert after == {key: lead.get(key) for key in body}
        assert before == {key: case.lead[key] for key in body}
        assert (outcome["attempts"], outcome["sent_at"]) == (0, None)


def test_a_conflict_names_the_fields_that_were_edited_alone(seen: Seen) -> None:
    [outcome] = seen.outcomes[lead_id("one of two fields edited")]
    assert "Title" not in outcome["reason"]
    updated = seen.edited[lead_id("one of two fields edited")]["update_time"]
    assert outcome["reason"].endswith(f"lead updated {updated}")


def test_the_run_that_applied_it_counts_its_outcomes(seen: Seen) -> None:
    assert Counter({status: seen.run[status] for status in STATUSES}) == STATUSES
    told = (seen.run["command"], seen.run["plan_id"], seen.run["state"])
    assert told == ("apply", seen.plan_id, "done")
    assert seen.run["run_id"] != seen.plan_id
    assert {row["run_id"] for rows in seen.outcomes.values() for row in rows} == {
        seen.run["run_id"]
    }


def test_the_command_says_that_leads_are_missing(seen: Seen) -> None:
    assert seen.ended.code == 3, seen.ended.told
    assert seen.plan_id in seen.ended.stdout
    assert f"{STATUSES['conflict']} conflict" in seen.ended.stdout


def test_the_results_are_written_to_a_file(seen: Seen) -> None:
    results = seen.results
    told = (results["format"], results["command"], results["exit_code"], results["plan_id"])
    assert told == (1, "apply", 3, seen.plan_id)
    assert +Counter(results["outcomes"]) == STATUSES
    assert results["run_id"] == seen.run["run_id"]
    assert seen.site.pipedrive.api_token not in json.dumps(results)


def test_the_mirror_shows_what_is_there_now(seen: Seen) -> None:
    mirror = seen.site.mirror()
    for lead, row in seen.leads.items():
        assert wire(mirror[lead]["record"]) == wire(row)
    assert mirror[lead_id("deleted")]["gone_at"] is not None


def test_a_plan_is_applied_once(seen: Seen) -> None:
    assert (seen.again.code, seen.again.stdout) == (1, "")
    assert f"was applied before, by run {seen.run['run_id']}" in seen.again.told
    assert "make a new one" in seen.again.told
    assert (seen.requests_again, seen.runs_again) == ([], 2)


@dataclass(frozen=True)
class Shelf:
    """Plans that must not be applied, and a run."""

    site: Site
    plan_id: str
    old: str
    half: str
    run_id: str

    def refusal(self, plan_id: str, **settings: Any) -> str:
        """Tell why a plan is refused, and see to it that nothing was touched."""
        with self.untouched(), pytest.raises(LeadSyncError) as refused:
            self.site.apply(plan_id, **settings)
        return str(refused.value)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        runs = self.site.runs()
        self.site.pipedrive.clear_requests()
        yield
        assert self.site.pipedrive.requests() == []
        assert self.site.runs() == runs


@pytest.fixture(scope="module")
def shelf(new_site: NewSite) -> Shelf:
    site = new_site()
    first, second = list(site.pipedrive.leads())[:2]
    site.desire_titles({first: "New"})
    ran = site.run()
    site.desire_titles({first: "New", second: "New"})
    plans = [site.plan().plan_id for _ in range(3)]
    runs = "UPDATE pipedrive_leads.sync_runs SET"
    site.query(f"{runs} started_at = started_at - INTERVAL 25 HOUR WHERE run_id = ?", plans[1])
    site.query(f"{runs} state = 'failed' WHERE run_id = ?", plans[2])
    return Shelf(site, plans[0], plans[1], plans[2], ran.run_id)


def test_an_unknown_plan_is_refused(shelf: Shelf) -> None:
    file = shelf.site.folder / "refused.json"
    with shelf.untouched():
        ended = shelf.site.command("apply", "20260101-000000-aaaaaa", "--run-results", str(file))
    assert (ended.code, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
    assert "no plan 20260101-000000-aaaaaa; `lead-sync plan` makes one" in ended.stderr
    results = json.loads(file.read_text())
    assert (results["command"], results["exit_code"]) == ("apply", 1)
    assert f"error: {results['message']}" == ended.told


def test_a_plan_too_old_is_refused(shelf: Shelf) -> None:
    told = shelf.refusal(shelf.old)
    assert f"plan {shelf.old} is 1 day 1 hour" in told
    assert "more than max_age 24h; make a new one" in told


def test_the_age_that_is_allowed_can_be_given(shelf: Shelf) -> None:
    with shelf.untouched():
        ended = shelf.site.command("apply", shelf.plan_id, "--max-age", "0")
    assert (ended.code, ended.stdout) == (1, "")
    assert f"plan {shelf.plan_id} is " in ended.stderr
    assert "more than max_age 0; make a new one" in ended.stderr
    assert "'soon' is no time span" in shelf.refusal(shelf.plan_id, max_age="soon")


def test_a_plan_that_never_came_to_its_end_is_refused(shelf: Shelf) -> None:
    assert "never came to its end" in shelf.refusal(shelf.half)


def test_a_plan_that_a_run_has_made_is_refused_as_applied(shelf: Shelf) -> None:
    assert f"was applied before, by run {shelf.run_id}" in shelf.refusal(shelf.run_id)


def test_an_older_plan_is_applied_when_its_age_is_allowed(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    plan_id = site.plan().plan_id
    site.query("UPDATE pipedrive_leads.sync_runs SET started_at = started_at - INTERVAL 3 DAY")
    with pytest.raises(LeadSyncError, match="max_age 71h"):
        site.apply(plan_id, max_age="71h")
    assert site.apply(plan_id, max_age="4d").statuses["applied"] == 1


def test_a_plan_of_a_clock_that_was_ahead_is_refused(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    plan_id = site.plan().plan_id
    site.query("UPDATE pipedrive_leads.sync_runs SET started_at = started_at + INTERVAL 10 DAY")
    with pytest.raises(LeadSyncError, match=r"is dated 1 week 2 days .* from now"):
        site.apply(plan_id, max_age="999d")
    assert bodies(site.pipedrive) == {}


def test_a_plan_without_changes_is_applied_to_nothing(site: Site) -> None:
    lead, record = next(iter(site.pipedrive.leads().items()))
    site.desire_titles({lead: record["title"]})
    applied = site.apply(site.plan().plan_id)
    assert (applied.exit_code, applied.planned) == (0, 0)
    assert bodies(site.pipedrive) == {}


@pytest.mark.parametrize(
    ("all_leads", "planned", "reads"),
    [
        (40, 3, {"one": 3}),
        (40, 10, {"one": 10}),
        (40, 12, {"page": 1}),
        (501, 12, {"one": 12}),
        (501, 21, {"page": 2}),
    ],
)
def test_leads_are_read_again_by_the_cheapest_means(
    site: Site, all_leads: int, planned: int, reads: dict[str, int]
) -> None:
    leads = new_leads(site, all_leads)
    titles = desire(site, leads[:planned])
    made = site.plan()
    site.pipedrive.clear_requests()
    assert site.apply(made.plan_id, fresh_look="never").statuses["applied"] == planned
    assert_titles(site, titles)
    log = [row for row in site.pipedrive.requests("GET") if "leads" in row["path"]]
    assert Counter("one" if row["lead_id"] else "page" for row in log) == reads
    price = {"one": 2, "page": 20}
    expected = sum(price[kind] * count for kind, count in reads.items())
    assert sum(row["tokens"] for row in log) == expected


def test_leads_that_the_list_does_not_show_are_asked_for(site: Site) -> None:
    leads = new_leads(site, 20)
    desire(site, leads)
    made = site.plan()
    site.pipedrive.delete_lead(leads[0])
    site.pipedrive.archive_lead(leads[1])
    site.pipedrive.clear_requests()
    statuses = site.apply(made.plan_id, fresh_look="never").statuses
    assert (statuses["applied"], statuses["not_found"], statuses["archived"]) == (18, 1, 1)
    assert sum(row["tokens"] for row in site.pipedrive.requests("GET")) == 2 + 20 + 2 + 2


LEADS = 60


@dataclass(frozen=True)
class Cut:
    """A plan whose applying was killed while it sent."""

    plan_id: str
    leads: list[str]
    titles: dict[str, str]


def cut_off(site: Site) -> Cut:
    """Kill an apply amid its sending; its last leads are not sent by then."""
    leads = new_leads(site, LEADS, latency_ms=30)
    titles = desire(site, leads)
    plan_id = site.plan().plan_id
    with ended_at_last(site.start("apply", plan_id, workers=4, chunk_size=10)) as process:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 25, "no PATCH was sent")
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    site.pipedrive.settings(latency_ms=0)
    assert len(site.pipedrive.requests("PATCH")) < LEADS - 5
    return Cut(plan_id, leads, titles)


def test_an_apply_that_was_killed_is_gone_on_with(site: Site) -> None:
    cut = cut_off(site)
    site.pipedrive.set_lead(cut.leads[-1], title="Theirs")
    applied = site.apply(cut.plan_id)
    assert (applied.statuses["conflict"], applied.exit_code) == (1, 3)
    assert applied.statuses["confirmed"] > 0
    assert_books(site, edited=[cut.leads[-1]])
    assert_titles(site, {**cut.titles, cut.leads[-1]: "Theirs"})
    assert site.statuses().total() == LEADS
    assert [row["state"] for row in site.runs()] == ["done", "failed", "done"]
    with pytest.raises(LeadSyncError, match="was applied before"):
        site.apply(cut.plan_id)


def test_an_apply_that_was_killed_is_settled_by_the_next_run(site: Site) -> None:
    cut = cut_off(site)
    wanted = {**cut.titles, cut.leads[-1]: "Wanted by now"}
    site.desire_titles(wanted)
    ran = site.run()
    assert (ran.statuses["deferred"], ran.exit_code) == (1, 0)
    books = assert_books(site)
    assert books.statuses["deferred"] == 1
    assert_titles(site, wanted)
    assert Counter(site.outcomes_of_patches()) == {1: LEADS + 1}
    with pytest.raises(LeadSyncError, match="was applied before"):
        site.apply(cut.plan_id)


TAMPERINGS = (
    "body = '7'",
    "body = '[1]'",
    "before = '[1]'",
    "before = NULL",
    "conditions = '[1]'",
    "lead_id = '../../users/me'",
)
"""What somebody may have made of rows of `lead_patches`."""


def tamper_with(site: Site, leads: Sequence[str]) -> None:
    """Change the patch of a lead in each way; that of the last lead stays as it is."""
    table = "UPDATE pipedrive_leads.lead_patches SET"
    for lead, change in zip(leads, TAMPERINGS, strict=False):
        site.query(f"{table} {change} WHERE lead_id = ?", lead)


def assert_only_the_last_was_sent(site: Site, leads: Sequence[str], plan_id: str) -> None:
    [sent] = site.pipedrive.requests("PATCH")
    assert sent["lead_id"] == leads[-1]
    assert {one["status"] for one in site.pipedrive.requests()} == {200}
    outcomes = [row for row in site.outcomes() if row["plan_id"] == plan_id]
    failed = [row["reason"] for row in outcomes if row["status"] == "failed"]
    assert [DAMAGED in reason for reason in failed] == [True] * len(TAMPERINGS)
    assert len(outcomes) == len(TAMPERINGS) + 1


def test_a_stored_patch_that_somebody_changed_is_not_sent(any_site: Site) -> None:
    site, leads = any_site, new_leads(any_site, len(TAMPERINGS) + 1)
    titles = desire(site, leads)
    plan_id = site.plan().plan_id
    tamper_with(site, leads)
    site.pipedrive.clear_requests()
    for command in ("show", "rehearse"):
        ended = site.command(command, plan_id)
        assert "unexpected" not in ended.told, ended.told
    assert site.apply(plan_id).exit_code == 3
    assert_only_the_last_was_sent(site, leads, plan_id)
    assert site.run().exit_code == 0
    assert_titles(site, titles)


def test_an_interrupted_patch_that_somebody_changed_stops_no_later_run(any_site: Site) -> None:
    site, leads = any_site, new_leads(any_site, len(TAMPERINGS) + 1)
    titles = desire(site, leads)
    killed = kill_unsent(site)
    tamper_with(site, leads)
    site.pipedrive.clear_requests()
    site.plan()
    assert DAMAGED in "".join(str(row["reason"]) for row in site.outcomes())
    site.run()
    assert site.run().exit_code == 0
    assert_titles(site, titles)
    assert {row["plan_id"] for row in site.outcomes()} >= {killed}
