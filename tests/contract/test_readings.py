"""The job is right under every reading of the API that is not known to be wrong.

What Pipedrive's documentation leaves open is a setting of the local Pipedrive. Under each of its
values the whole job must bring every type of field to what the desired table says, and a second
run must find nothing left to send.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from connector.sandbox import LocalPipedrive
from connector.sandbox.directory import FIELDS
from connector.sandbox.settings import CHOICES, Settings
from connector.sync.summary import EXIT_DONE, EXIT_INCOMPLETE, Summary
from tests.support.everything import (
    CASES,
    COLUMNS,
    DIFFERENT,
    Case,
    put_leads,
    what_is_wrong,
)
from tests.support.harness import NewSite, Site, lead_id

Reading = Mapping[str, object]
ME = "/api/v1/users/me"

PLAYED = ("cleared", "enum_form", "enum_write", "reference_form", "unknown_keys", "empty_text")
"""Settings that are played each alone; the others are among the mixed ones and in tests below."""
MIXED: tuple[Reading, ...] = (
    {
        "page_shape": "flat",
        "empty_page": "null",
        "cleared": "null",
        "enum_form": "int",
        "enum_write": "int",
        "reference_form": "object_value",
        "unknown_keys": "refuse",
        "empty_text": "clear",
        "noop_bumps": False,
    },
    {
        "page_shape": "flat",
        "cleared": "null",
        "enum_write": "string",
        "reference_form": "object_id",
        "noop_bumps": False,
        "limits": True,
    },
    {
        "title_null": "take",
        "title_empty": "take",
        "owner_null": "ignore",
        "visible_null": "ignore",
        "labels_null": "take",
        "contact_null": "take",
        "empty_body": "take",
        "text_tidied": "trim",
        "amount_tidied": "round",
        "long_decimals": "round",
        "quiet_keys": "seen_and_labels",
        "source_deal_id": True,
        "users": 300,
    },
    {
        "title_null": "ignore",
        "title_empty": "ignore",
        "labels_null": "ignore",
        "contact_null": "ignore",
        "negative_amount": "refuse",
        "unarchive": "with_others",
        "quiet_keys": "custom",
    },
)


def other_readings() -> Iterator[Reading]:
    """Yield each value of each setting that is not the default, alone."""
    for name in PLAYED:
        for value in CHOICES[name]:
            if value != getattr(Settings(), name):
                yield {name: value}


def named(reading: Reading) -> str:
    return ",".join(f"{name}={value}" for name, value in reading.items()) or "defaults"


@pytest.fixture
def site(new_site: NewSite) -> Site:
    """A site whose desired table manages a field of every type for leads of every case."""
    made = new_site()
    made.desire(COLUMNS, [case.cells for case in CASES])
    return made


def played(site: Site, reading: Reading) -> LocalPipedrive:
    """Start Pipedrive over, with the cases' leads alone and in this reading."""
    site.pipedrive.reset(leads=0)
    site.pipedrive.settings(**reading)
    put_leads(site.pipedrive)
    return site.pipedrive


def test_the_table_manages_every_type() -> None:
    columns = {name.replace("_", "") for name in COLUMNS}
    by_name = {field.name.replace(" ", "").casefold(): field.field_type for field in FIELDS}
    managed = {field_type for name, field_type in by_name.items() if name in columns}
    assert managed == {field.field_type for field in FIELDS}


@pytest.mark.parametrize("reading", [{}, *other_readings(), *MIXED], ids=named)
def test_every_type_is_set_changed_and_cleared(site: Site, reading: Reading) -> None:
    played(site, reading)
    assert_all_applied(site, site.run())
    assert_nothing_is_left(site)


def assert_all_applied(site: Site, summary: Summary) -> None:
    reasons = [row["reason"] for row in site.outcomes(summary.run_id) if row["reason"]]
    assert reasons == []
    assert site.statuses(summary.run_id) == {"applied": len(DIFFERENT)}
    assert (summary.unchanged, summary.exit_code) == (1, EXIT_DONE)
    assert what_is_wrong(site.pipedrive) == {}


def assert_nothing_is_left(site: Site) -> None:
    site.pipedrive.clear_requests()
    second = site.run()
    assert site.pipedrive.requests("PATCH") == []
    assert second.unchanged == second.desired_rows


@pytest.mark.parametrize("setting", ["custom_null", "labels_empty", "visible_beyond_plan"])
@pytest.mark.parametrize(("choice", "status"), [("ignore", "ignored"), ("refuse", "failed")])
def test_what_an_account_does_not_take_is_told(
    site: Site, setting: str, choice: str, status: str
) -> None:
    """No lead counts as applied that does not show what its row says."""
    pipedrive = played(site, {setting: choice})
    summary = site.run()
    found = {row["lead_id"]: row["status"] for row in site.outcomes(summary.run_id)}
    assert {*found.values()} == {status, "applied"}
    assert found.keys() == {case.lead_id for case in DIFFERENT}
    applied = [case for case in DIFFERENT if found[case.lead_id] == "applied"]
    assert what_is_wrong(pipedrive, applied) == {}
    others = [case for case in DIFFERENT if case not in applied]
    assert what_is_wrong(pipedrive, others).keys() == {case.name for case in others}
    assert summary.exit_code == EXIT_INCOMPLETE


@pytest.mark.parametrize(("daily_headers", "retry_after"), [(True, False), (False, True)])
def test_a_spent_window_is_waited_for(site: Site, daily_headers: bool, retry_after: bool) -> None:
    """`Retry-After` is undocumented and the daily headers are not always sent (observed)."""
    settings = {"daily_headers": daily_headers, "retry_after": retry_after}
    pipedrive = played(site, {"limits": True, "plan": "lite", **settings})
    over = threading.Event()
    with ThreadPoolExecutor(1) as somebody:
        spending = somebody.submit(spend_each_window, pipedrive, over)
        try:
            summary = site.run()
        finally:
            over.set()
        spending.result()
    assert_all_applied(site, summary)
    assert refused(pipedrive)


def spend_each_window(pipedrive: LocalPipedrive, over: threading.Event) -> None:
    """Use up the burst limit until the job has met it, as another integration may that has the
    same token; give way when the job has read all it reads, or has ended.
    """
    headers = {"x-api-token": pipedrive.api_token}
    with requests.Session() as session:
        while not (over.is_set() or refused(pipedrive) or pipedrive.requests("PATCH")):
            url = f"{pipedrive.base_url}{ME}"
            session.get(url, params={"by": "another"}, headers=headers, timeout=10)


def refused(pipedrive: LocalPipedrive) -> bool:
    """Tell whether a request of the job has met a limit."""
    return any(row["status"] == 429 and not row["query"].get("by") for row in pipedrive.requests())


@pytest.mark.parametrize(
    ("page_shape", "empty_page"),
    [("nested", "null"), ("flat", "null"), ("flat", "list")],
)
def test_an_account_without_leads_is_read_to_its_end(
    new_site: NewSite, page_shape: str, empty_page: str
) -> None:
    """So many leads are missing that the archived list is read as well; it is empty, too."""
    site = new_site()
    site.desire_titles({lead_id(str(number)): "Gone" for number in range(25)})
    site.pipedrive.reset(leads=0, empty_page=empty_page, page_shape=page_shape)
    summary = site.run()
    assert site.statuses(summary.run_id) == {"not_found": 25}
    read = {entry["path"] for entry in site.pipedrive.requests() if entry["status"] == 200}
    assert read == {ME, "/api/v1/leads", "/api/v1/leads/archived"}
    assert site.pipedrive.requests("PATCH") == []


@pytest.mark.parametrize("status", CHOICES["archived_status"])
def test_leads_that_are_archived_meanwhile_are_told_so(site: Site, status: int) -> None:
    """The status of the refusal is unknown; one secondary source names `ERR_LEAD_ARCHIVED`.

    Texts may change without notice (documented), so one lead's refusal does not name it, and
    another lead is refused in the same words without being archived.
    """
    pipedrive = played(site, {"archived_status": status})
    named, unnamed, refused, other = DIFFERENT
    for case in (unnamed, refused):
        no = {"success": False, "error": "No.", "error_info": "Please ask."}
        where: dict[str, Any] = {"method": "PATCH", "lead_id": case.lead_id, "times": 5}
        pipedrive.fault("status", status=status, body=no, **where)
    summary = archived_meanwhile(site, [named, unnamed])
    found = {row["lead_id"]: row["status"] for row in site.outcomes(summary.run_id)}
    assert [found[case.lead_id] for case in DIFFERENT] == [
        *("archived", "archived", "failed", "applied")
    ]
    assert summary.exit_code == EXIT_INCOMPLETE
    assert what_is_wrong(pipedrive, [other]) == {}
    assert pipedrive.lead(named.lead_id)["title"] == named.lead["title"]


def archived_meanwhile(site: Site, cases: Sequence[Case]) -> Summary:
    """Run the job while a colleague archives leads, after they were read, before their PATCH."""

    def progress(stage: str, _done: int, _of: int | None) -> None:
        if stage == "refresh":
            for case in cases:
                site.pipedrive.archive_lead(case.lead_id)

    return site.run(progress=progress)
