"""Answers of Pipedrive that lie, seen from the command: what they cost and what they change."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from tests.support.front import Raw, front_of
from tests.support.harness import Site
from tests.support.scene import desire, new_leads

LEADS = 8


@pytest.fixture
def leads(site: Site) -> list[str]:
    return new_leads(site, LEADS)


def envelope(data: Any, **additional: Any) -> Raw:
    document = {"success": True, "data": data, "additional_data": additional}
    return Raw(json.dumps(document).encode())


def test_an_answer_about_another_lead_changes_nothing_of_it(site: Site, leads: list[str]) -> None:
    """PATCH A is answered with B, which Pipedrive did write to A; GET A is answered with B once."""
    asked, other, *_ = leads
    desire(site, leads)
    lies = iter(["PATCH", "GET"])
    expected = [next(lies)]

    def lie(method: str, path: str) -> Raw | None:
        if not path.endswith(asked) or [method] != expected:
            return None
        expected[:] = list(lies)[:1]
        return envelope({**site.pipedrive.lead(other), "title": f"Title of {asked}"})

    with front_of(site.pipedrive.base_url, lambda *_: None, after=lie) as url:
        summary = site.run(base_url=url, workers=1)
    assert expected == []
    outcomes = {row["lead_id"]: row["status"] for row in site.outcomes()}
    assert outcomes == {asked: "confirmed", **dict.fromkeys(leads[1:], "applied")}
    assert site.mirror()[other]["title"] == f"Title of {other}"
    assert summary.exit_code == 0


def test_a_lead_that_is_always_answered_with_another_fails_alone(
    site: Site, leads: list[str]
) -> None:
    asked, other, *_ = leads
    site.pipedrive.archive_lead(asked)
    desire(site, leads)

    def lie(_method: str, path: str) -> Raw | None:
        return envelope(site.pipedrive.lead(other)) if path.endswith(asked) else None

    with front_of(site.pipedrive.base_url, lie) as url:
        site.run(base_url=url, max_attempts=2)
    outcomes = {row["lead_id"]: row for row in site.outcomes()}
    assert outcomes[asked]["status"] == "failed"
    assert "another lead" in outcomes[asked]["reason"]
    assert site.statuses()["applied"] == LEADS - 1
    assert asked not in site.mirror()


def test_600_users_are_read_with_one_call(site: Site, leads: list[str]) -> None:
    users = [
        {"id": 5000 + number, "name": f"U{number}", "email": f"u{number}@example.org"}
        for number in range(600)
    ]
    users[3:3] = [{"email": "no-id@example.org"}, {"id": 1}, None]  # type: ignore[list-item]
    calls: list[str] = []

    def all_users(_method: str, path: str) -> Raw | None:
        if path != "/api/v1/users":
            return None
        calls.append(path)
        return envelope(users)

    rows = [{"lead_id": lead, "owner_email": "u599@example.org"} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "owner_email": "VARCHAR"}, rows)
    with front_of(site.pipedrive.base_url, all_users) as url:
        assert site.plan(base_url=url).planned == LEADS
    assert calls == ["/api/v1/users"]
    bodies = site.query("SELECT DISTINCT body FROM pipedrive_leads.lead_patches")
    assert [json.loads(row["body"]) for row in bodies] == [{"owner_id": 5599}]


def test_odd_records_cost_themselves_alone(site: Site, leads: list[str]) -> None:
    """One lead with labels that are no list, one nested too deep, one that is none at all."""
    odd, deep, *fine = leads
    records = [site.pipedrive.lead(lead) for lead in leads]
    records[0]["label_ids"] = 5
    text = json.dumps([*records[2:], None, records[0]])[:-1]
    nested = json.dumps({**records[1], "x": "HERE"}).replace('"HERE"', "[" * 5000 + "]" * 5000)
    page = b'{"success": true, "data": %s, %s]}' % (text.encode(), nested.encode())
    lone = b'{"success": true, "data": %s}' % nested.encode()
    definitions = requests.get(
        f"{site.pipedrive.base_url}/api/v1/leadFields?limit=500",
        headers={"x-api-token": site.pipedrive.api_token},
        timeout=10,
    ).json()["data"]
    tier = next(one for one in definitions if one["name"] == "Tier")
    tier["options"] = 5
    definitions += [{"key": None}, None, {"key": ["x"], "field_type": ["enum"]}]

    def answer(method: str, path: str) -> Raw | None:
        if method == "PATCH":
            return None
        if path.startswith("/api/v1/leadFields"):
            return envelope(definitions)
        if path.startswith("/api/v1/leads?"):
            return Raw(page)
        return Raw(lone) if path.endswith(deep) else None

    hot = [{"lead_id": lead, "title": "New", "Lead score": 5} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "Lead score": "INTEGER"}, hot)
    with front_of(site.pipedrive.base_url, answer) as url:
        assert site.run(base_url=url, max_attempts=2).exit_code == 3
    outcomes = {row["lead_id"]: row for row in site.outcomes()}
    statuses = {lead: outcomes[lead]["status"] for lead in leads}
    assert statuses == {deep: "failed", **dict.fromkeys([odd, *fine], "applied")}
    assert "nested more than 64 deep" in outcomes[deep]["reason"]


@pytest.mark.parametrize("data", [{"items": []}, "gone", 7], ids=str)
def test_a_list_of_leads_that_is_none_stops_before_any_look(
    site: Site, leads: list[str], data: Any
) -> None:
    desire(site, leads)
    calls: list[str] = []

    def answer(_method: str, path: str) -> Raw | None:
        calls.append(path)
        return envelope(data) if path.startswith("/api/v1/leads?") else None

    with front_of(site.pipedrive.base_url, answer) as url:
        ended = site.command("run", base_url=url)
    assert ended.code == 1, ended.told
    assert "the API has changed" in ended.told
    assert "GET /api/v1/leads" in ended.told
    assert len([path for path in calls if "/leads" in path]) == 1
    assert site.outcomes() == []


def test_a_list_that_grew_beyond_belief_stops_and_can_be_let_pass(
    site: Site, leads: list[str]
) -> None:
    desire(site, leads)
    assert site.run().exit_code == 0
    desire(site, leads, "Later")
    pages: list[str] = []

    def endless(_method: str, path: str) -> Raw | None:
        start = re.search(r"/leads\?start=(\d+)", path)
        if start is None:
            return None
        pages.append(path)
        number = int(start[1])
        ids = [f"{number + row:08x}-9999-4234-8234-123456789abc" for row in range(100)]
        marker = {"more_items_in_collection": len(pages) != 60, "next_start": number + 100}
        return envelope([{"id": one, "title": "T"} for one in ids], pagination=marker)

    with front_of(site.pipedrive.base_url, endless) as url:
        ended = site.command("run", base_url=url)
        assert ended.code == 1, ended.told
        assert "GET /api/v1/leads goes on after 12 pages" in ended.told
        assert "--full-refresh" in ended.told
        assert len(pages) == 12
        assert site.last_run()["state"] == "failed"
        pages.clear()
        assert site.plan(base_url=url, full_refresh=True).leads_read == 6_000 + LEADS
        pages.clear()
        assert site.plan(base_url=url).state == "done"
    assert len(pages) == 60


def test_long_texts_of_the_api_are_cut_everywhere(site: Site, leads: list[str]) -> None:
    desire(site, leads)
    body = {"success": False, "error": "E" * 200_000, "error_info": ["I" * 200_000]}
    site.pipedrive.fault("status", status=400, method="PATCH", body=body, times=100)
    site.run()
    for row in site.outcomes():
        assert row["status"] == "failed"
        assert max(len(row[name]) for name in ("reason", "error", "error_info")) < 1200
    ended = site.command("runs", "latest", "--output", "json")
    assert len(ended.stdout) < LEADS * 5_000


def test_a_bundle_that_is_not_there_is_one_line(
    site: Site, leads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desire(site, leads)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    ended = site.command("run", base_url="https://127.0.0.1:9")
    assert ended.code == 1
    assert "Traceback" not in ended.told
    assert "no CA bundle /nowhere" in ended.told
    errors = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert len(errors) == 1


def test_rows_that_no_field_can_take_are_rejected_alone(site: Site, leads: list[str]) -> None:
    fine, endless, early, twice, nul, *_ = leads
    at = "lead_id, title, expected_close_date, changes"
    with_changes = '{"channel_id": "A", "channel_id": "B"}'
    site.desire({"lead_id": "VARCHAR"}, [])
    rows = (
        f"('{fine}', 'New', DATE '2027-01-01', NULL), "
        f"('{endless}', 'New', DATE 'infinity', NULL), "
        f"('{early}', 'New', DATE '0044-03-15 (BC)', NULL), "
        f"('{twice}', 'New', NULL, '{with_changes}'), "
        f"('{nul}', 'N' || chr(0), NULL, NULL)"
    )
    site.query(
        "CREATE OR REPLACE TABLE crm.lead_changes AS SELECT * REPLACE "
        f"(CAST(changes AS JSON) AS changes) FROM (VALUES {rows}) t({at})"
    )
    assert site.run().exit_code == 3
    reasons = {row["lead_id"]: (row["status"], row["reason"] or "") for row in site.outcomes()}
    told = {endless: "infinite", early: "years 1 to 9999", twice: "twice", nul: "NUL"}
    assert reasons.pop(fine)[0] == "applied"
    assert {lead: status for lead, (status, _) in reasons.items()} == dict.fromkeys(
        told, "rejected"
    )
    assert [lead for lead, part in told.items() if part not in reasons[lead][1]] == []
    assert site.pipedrive.lead(fine)["expected_close_date"] == "2027-01-01"
