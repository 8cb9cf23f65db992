"""What runs spend, held against the least that a correct run can do with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.sandbox.directory import LABELS, USERS
from connector.sync import increment
from connector.sync.summary import Summary
from tests.support.harness import NewSite, Row, Site, lead_id
from tests.support.leads import SCORE

Mode = Literal["whole", "incremental", "lead", "apply"]
MOST = 1.02
"""What runs may spend, as a share of the least."""
LONG_AGO, NEWEST = "2020-01-01 00:00:00", "2021-01-01 00:00:00"
GUARDS: Row = dict.fromkeys(
    (
        "max_clears",
        "max_clears_percent",
        "max_overwrites",
        "max_overwrites_percent",
        "max_not_found_percent",
    ),
    "off",
)


@dataclass(frozen=True)
class Work:
    """What a run finds and has to do: the oracle knows no more.

    Attributes:
        mode: What it reads: the list, what was updated in it, one lead, or a stored plan's leads.
        listed: Leads in the list; incremental, those of it updated since.
        unlisted: Desired leads that the list lacks and nobody has asked for yet: whether each is
            archived, and at which place of that list.
        changed: Leads that are to get a PATCH.
        dependent: Those of them whose body is made from what else the lead has.
        unread: Those of the others that the reading does not bring.
        all_listed: Leads in the list, whatever of it the mode reads.
        custom: Whether a column names a custom field, or may do so.
        labels: Whether labels are given by name.
        emails: Whether owners are given by e-mail address.
    """

    mode: Mode
    listed: int = 0
    unlisted: Sequence[int | None] = ()
    changed: int = 0
    dependent: int = 0
    unread: int = 0
    all_listed: int = 0
    custom: bool = False
    labels: bool = False
    emails: bool = False


def least_tokens(work: Work) -> int:
    """Returns the least that a correct run spends, by Pipedrive's documented prices alone.

    It knows beforehand what the run has yet to find out. What counts as necessary, and why:

    - GET /users/me (2), once: nothing may be read or sent before it is known whose account it is.
    - GET /leadFields (20) where a column names a custom field; and where it is called `labels` or
      `owner_email`, which may be a custom field's name: only the definitions tell.
    - GET /leadLabels (10) and GET /users (20) where names are to become ids.
    - GET /leads (20 a page of 500, and one page at least): a whole reading has every page, an
      incremental one those with what was updated.
    - For each desired lead that the list lacks, GET by id (2), or its page of the archived list
      (40 a page, from the first one on), whichever is cheaper together.
    - PATCH (10), one a lead that differs. One that differs in nothing costs nothing.
    - GET by id (2) directly before a PATCH whose body depends on what else the lead has, or whose
      lead the reading did not bring: that is promised. Where an incremental run changes very many
      of the latter, the list brings them for less.
    - One lead alone is read by id (2).
    - A stored plan's leads are all read before anything is sent, for the guards and for what a
      killed run has left, by id or by the list; and each again directly before its PATCH, as a plan
      is applied only where the lead is as it found it.
    """
    account = 2 + 20 * (work.custom or work.labels or work.emails)
    account += 10 * work.labels + 20 * work.emails
    pages = 20 * max(1, ceil(work.listed / 500))
    patches = 10 * work.changed
    looks = 2 * work.dependent + min(2 * work.unread, 20 * max(1, ceil(work.all_listed / 500)))
    if work.mode == "lead":
        return account + 2 + patches + looks
    if work.mode == "apply":
        return account + min(pages, 2 * work.changed) + patches + 2 * work.changed
    return account + pages + _least_of_unlisted(work.unlisted) + patches + looks


def _least_of_unlisted(places: Sequence[int | None]) -> int:
    most_pages = max((place // 500 + 1 for place in places if place is not None), default=0)
    return min(
        40 * pages + 2 * sum(place is None or place >= 500 * pages for place in places)
        for pages in range(most_pages + 1)
    )


@dataclass(frozen=True)
class Scene:
    """An account and a table.

    Attributes:
        bystanders: Leads that the table does not name.
        same: Desired leads that are as wanted.
        title: Those that differ in their title.
        half: Those that differ in the amount of a value whose currency the row leaves to the lead.
        archived: Desired leads that are archived.
        gone: Desired leads that nobody knows.
        custom, labels, emails: As of `Work`.
    """

    bystanders: int = 0
    same: int = 0
    title: int = 0
    half: int = 0
    archived: int = 0
    gone: int = 0
    custom: bool = False
    labels: bool = False
    emails: bool = False

    def leads(self, kind: str) -> list[str]:
        """Returns the ids of the leads of a kind."""
        return [lead_id(f"{kind} {number}") for number in range(getattr(self, kind))]

    @property
    def active(self) -> list[str]:
        """The desired leads that the list has."""
        return [lead for kind in ("same", "title", "half") for lead in self.leads(kind)]

    def work(self, mode: Mode, **found: Any) -> Work:
        """Returns what a run finds that knows the columns of this table."""
        return Work(mode, custom=self.custom, labels=self.labels, emails=self.emails, **found)


class Played:
    """A scene on a site, and what each run on it has spent."""

    def __init__(self, site: Site, scene: Scene) -> None:
        self.site, self.scene = site, scene
        self.titles: dict[str, str] = {}
        self.amounts: dict[str, int] = {}
        pipedrive = site.pipedrive
        pipedrive.reset(leads=scene.bystanders)
        pipedrive.set_lead(lead_id("newest"), title="Newest", update_time=NEWEST)
        for kind in ("same", "title", "half", "archived"):
            for lead in scene.leads(kind):
                self._make(lead, kind)
        for lead in scene.leads("gone"):
            self.titles[lead], self.amounts[lead] = "Wanted", 10
        self.write()

    def _make(self, lead: str, kind: str) -> None:
        state: Row = {
            "title": "As it is",
            "value": {"amount": 10, "currency": "EUR"},
            "owner_id": USERS[0]["id"],
            "label_ids": [LABELS[0]["id"]],
            SCORE: 7.5,
            "update_time": LONG_AGO,
        }
        self.site.pipedrive.set_lead(lead, **state, is_archived=kind == "archived")
        self.titles[lead] = "Wanted" if kind == "title" else "As it is"
        self.amounts[lead] = 20 if kind == "half" else 10

    def write(self) -> None:
        """Writes the table."""
        scene = self.scene
        columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "value_amount": "DECIMAL(9, 2)"}
        others: dict[str, tuple[bool, str, Any]] = {
            "lead_score": (scene.custom, "DOUBLE", 7.5),
            "labels": (scene.labels, "VARCHAR", LABELS[0]["name"]),
            "owner_email": (scene.emails, "VARCHAR", USERS[0]["email"]),
        }
        columns |= {name: kind for name, (is_there, kind, _) in others.items() if is_there}
        wish = {name: value for name, (_, _, value) in others.items()}
        self.site.desire(
            columns,
            [
                {"lead_id": lead, "title": title, "value_amount": self.amounts[lead], **wish}
                for lead, title in self.titles.items()
            ],
        )

    @property
    def listed(self) -> int:
        """How many leads the list has."""
        return sum(not lead["is_archived"] for lead in self.site.pipedrive.leads().values())

    @property
    def unlisted(self) -> list[int | None]:
        """The place of each unlisted lead in the archived list; None for one that is gone."""
        stored = self.site.pipedrive.leads()
        archived = [lead for lead in stored if stored[lead]["is_archived"]]
        places = {lead: place for place, lead in enumerate(archived)}
        return [
            places.get(lead) for kind in ("archived", "gone") for lead in self.scene.leads(kind)
        ]

    def hold(self, work: Work, job: str = "run", *arguments: str, **given: Any) -> Summary:
        """Lets a run do some work, and holds what it spends against the least."""
        self.site.pipedrive.clear_requests()
        done: Summary = getattr(self.site, job)(*arguments, **GUARDS, **given)
        log = self.site.pipedrive.requests()
        paths = [f"{row['method']} {row['path'].removeprefix('/api/v1')}" for row in log]
        spent, least = sum(row["tokens"] for row in log), least_tokens(work)
        assert least <= spent <= MOST * least, (work, paths)
        assert done.tokens == self.site.last_run()["tokens"] == spent
        patched = [row["lead_id"] for row in log if row["method"] == "PATCH"]
        assert len(patched) == len({*patched}) == work.changed
        return done


few = st.integers(0, 4)
scenes = st.builds(
    Scene,
    bystanders=st.sampled_from([0, 7, 480, 1040]),
    same=few,
    title=few,
    half=few,
    archived=few,
    gone=few,
    custom=st.booleans(),
    labels=st.booleans(),
    emails=st.booleans(),
).filter(lambda scene: bool(scene.active))


@given(scene=scenes)
@example(Scene(title=3, archived=25, custom=True))
@example(Scene(bystanders=1040, same=3, archived=60, gone=2))
@example(Scene(bystanders=20, same=1, gone=20))
@settings(max_examples=5)
def test_a_whole_run(new_site: NewSite, scene: Scene) -> None:
    """The first, a second that has nothing to do, and a third after edits on both sides."""
    played = Played(new_site(), scene)
    pipedrive = played.site.pipedrive
    changed = scene.title + scene.half
    first = scene.work(
        "whole",
        listed=played.listed,
        unlisted=played.unlisted,
        changed=changed,
        dependent=scene.half,
    )
    whole: Row = {"full_refresh_every": 0}
    assert played.hold(first, **whole).statuses["applied"] == changed
    again = scene.work("whole", listed=played.listed)
    assert played.hold(again, **whole).statuses["applied"] == 0
    for lead in scene.leads("title"):
        pipedrive.set_lead(lead, title="by a person")
    for lead in scene.leads("same"):
        played.titles[lead] = "Wished anew"
    played.write()
    third = replace(again, changed=scene.title + scene.same)
    assert played.hold(third, **whole).statuses["applied"] == scene.title + scene.same


@pytest.mark.parametrize("listed", [500, 501, 1000, 1001])
def test_a_list_that_ends_with_a_page(new_site: NewSite, listed: int) -> None:
    """No page is read to learn that there is none; one that a few leads leave is not either."""
    played = Played(new_site(), Scene(bystanders=1040, same=1))
    pipedrive = played.site.pipedrive
    stored = pipedrive.leads()
    active = [lead for lead in stored if not stored[lead]["is_archived"]]
    desired = played.scene.active
    left = [lead for lead in active if lead not in desired]
    while len(left) + len(desired) > listed:
        pipedrive.delete_lead(left.pop())
    for _ in range(2):
        played.hold(Work("whole", listed=listed), full_refresh_every=0)
    for lead in left[-60:]:
        pipedrive.delete_lead(lead)
    played.hold(Work("whole", listed=listed - 60), full_refresh_every=0)


@pytest.fixture(scope="module")
def no_list_is_short() -> Iterator[None]:
    """Incremental reading for a list of any length."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(increment, "FEW_LEADS", -1)
        yield


@given(scene=scenes)
@example(Scene(bystanders=1040, same=4, title=4, half=4, archived=2, gone=2))
@example(Scene(bystanders=480, same=60, half=4))
@settings(max_examples=5)
@pytest.mark.usefixtures("no_list_is_short")
def test_an_incremental_run(new_site: NewSite, scene: Scene) -> None:
    """What the first run patched is updated since; what is as wanted was not updated for years."""
    played = Played(new_site(), scene)
    played.site.run(**GUARDS)
    touched = scene.title + scene.half
    nothing = scene.work("incremental", listed=touched)
    played.hold(nothing)
    for lead in scene.leads("title"):
        played.site.pipedrive.set_lead(lead, title="by a person")
    for lead in scene.leads("same"):
        played.titles[lead] = "Wished anew"
    for lead in scene.leads("half"):
        played.amounts[lead] = 30
    played.write()
    work = replace(
        nothing,
        changed=len(scene.active),
        dependent=scene.half,
        unread=scene.same,
        all_listed=played.listed,
    )
    assert played.hold(work).statuses["applied"] == len(scene.active)
    played.hold(scene.work("incremental", listed=len(scene.active)))


@given(scene=scenes)
@settings(max_examples=3)
def test_a_stored_plan(new_site: NewSite, scene: Scene) -> None:
    """The plan costs what reading costs; its bodies name a lead's own fields alone."""
    played = Played(new_site(), scene)
    reading = scene.work("whole", listed=played.listed, unlisted=played.unlisted)
    made = played.hold(reading, "plan")
    changed = scene.title + scene.half
    work = Work("apply", listed=played.listed, changed=changed)
    if changed:
        assert played.hold(work, "apply", made.plan_id).statuses["applied"] == changed


@pytest.mark.parametrize(("kind", "dependent"), [("title", 0), ("half", 1)])
def test_one_lead_alone(site: Site, kind: str, dependent: int) -> None:
    scene = Scene(bystanders=7, same=2, title=2, half=2, archived=1, custom=True)
    played = Played(site, scene)
    work = scene.work("lead", changed=1, dependent=dependent)
    assert played.hold(work, lead=scene.leads(kind)[0]).statuses["applied"] == 1


@pytest.mark.parametrize(
    "work",
    [
        Work("whole", listed=1001),
        Work("whole", listed=500, changed=1),
        Work("whole", unlisted=[0, None], custom=True),
        Work("incremental", listed=2, changed=2, unread=1),
        Work("apply", listed=20, changed=3),
        Work("lead", changed=1, dependent=1),
    ],
)
def test_one_call_too_many_is_more_than_is_allowed(work: Work) -> None:
    """The share says something: in a small scene not even a look at one lead is within it."""
    assert least_tokens(work) + 2 > MOST * least_tokens(work)


def test_many_leads_that_are_gone_cost_a_page_in_vain(site: Site) -> None:
    """No more than one: the archived list may have had them all, and only reading it tells."""
    scene = Scene(same=1, gone=21)
    played = Played(site, scene)
    least = least_tokens(scene.work("whole", listed=played.listed, unlisted=played.unlisted))
    assert site.run(**GUARDS).tokens == least + 40


def test_the_oracle_knows_the_prices_that_pipedrive_has_published(site: Site) -> None:
    """The local Pipedrive's log has them from its own reading of the documentation."""
    scene = Scene(title=1, half=1, gone=1, custom=True, labels=True, emails=True)
    Played(site, scene)
    site.run(**GUARDS)
    ids = re.compile(r"/[0-9a-f-]{36}$")
    log = site.pipedrive.requests()
    prices = {(row["method"], ids.sub("/{id}", row["path"])): row["tokens"] for row in log}
    assert prices == {
        ("GET", "/api/v1/users/me"): 2,
        ("GET", "/api/v1/leadFields"): 20,
        ("GET", "/api/v1/leadLabels"): 10,
        ("GET", "/api/v1/users"): 20,
        ("GET", "/api/v1/leads"): 20,
        ("GET", "/api/v1/leads/{id}"): 2,
        ("PATCH", "/api/v1/leads/{id}"): 10,
    }
