"""What is written down agrees with what happened, and the token is nowhere in it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from connector import LeadSyncError
from connector.planning.model import STATUSES
from tests.support.harness import Ended, NewSite, Row, Site
from tests.support.leads import SCORE

pytestmark = pytest.mark.xdist_group("sync books")


@dataclass(frozen=True)
class Seen:
    """A mixed run of the command, one that the account refuses, and what Pipedrive saw."""

    site: Site
    ended: Ended
    refused: str
    run: Row
    log: list[Row]
    leads: dict[str, Row]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    site.pipedrive.reset(leads=60, limits=True, plan="ultimate")
    leads = sorted(site.pipedrive.leads())
    site.pipedrive.archive_lead(leads[0])
    site.pipedrive.delete_lead(leads[1])
    site.pipedrive.fault("ignore", lead_id=leads[2], method="PATCH")
    echo = {"success": False, "error": f"headers were x-api-token: {site.pipedrive.api_token}"}
    for lead, status in zip(leads[3:7], (400, 500, 429, 503), strict=True):
        site.pipedrive.fault("status", status=status, body=echo, lead_id=lead, method="PATCH")
    site.pipedrive.fault("truncated", lead_id=leads[7], method="PATCH")
    columns = {
        "lead_id": "VARCHAR",
        "was_seen": "BOOLEAN",
        "channel_id": "VARCHAR",
        SCORE: "INTEGER",
    }
    rows = [{"lead_id": lead, "was_seen": True, "channel_id": "Mail", SCORE: 4} for lead in leads]
    site.desire(columns, [*rows, {"lead_id": "no lead"}])
    ended = site.command("run", "--log-format", "json", "--output", "json")
    assert ended.code == 3, ended.told
    run, log, after = site.last_run(), site.pipedrive.requests(), site.pipedrive.leads()
    site.pipedrive.fault("status", status=401, body=echo, method="PATCH", times=100)
    with pytest.raises(LeadSyncError) as refused:
        site.run(retry_failed=True)
    return Seen(site, ended, str(refused.value), run, log, after)


def test_the_runs_counts_are_its_outcomes(seen: Seen) -> None:
    outcomes = seen.site.statuses(seen.run["run_id"])
    assert (
        Counter({status: seen.run[status] for status in STATUSES if seen.run[status]}) == outcomes
    )
    assert set(outcomes) == {
        "applied",
        "archived",
        "confirmed",
        "failed",
        "ignored",
        "not_found",
        "rejected",
    }


def test_machines_are_told_the_same(seen: Seen) -> None:
    document = json.loads(seen.ended.stdout)
    same = ("run_id", "state", "desired_rows", "unchanged", "requests", "tokens")
    assert {name: document[name] for name in same} == {name: seen.run[name] for name in same}
    assert document["outcomes"] == {status: seen.run[status] for status in STATUSES}
    assert document["exit_code"] == seen.ended.code


def test_every_desired_row_is_accounted_for(seen: Seen) -> None:
    assert seen.run["desired_rows"] == 61
    settled = sum(seen.run[status] for status in STATUSES)
    assert settled + seen.run["unchanged"] == seen.run["desired_rows"]


def test_tokens_and_requests_are_what_pipedrive_counted(seen: Seen) -> None:
    assert seen.run["tokens"] == sum(row["tokens"] for row in seen.log)
    assert seen.run["requests"] == len(seen.log)


def there(site: Site) -> dict[str, Row]:
    """Return the mirror's rows of leads that are not gone."""
    return {lead: row for lead, row in site.mirror().items() if row["gone_at"] is None}


def test_the_mirror_is_what_pipedrive_has(seen: Seen) -> None:
    assert {lead: row["record"] for lead, row in there(seen.site).items()} == seen.leads
    assert len(seen.site.mirror()) - len(seen.leads) == seen.run["not_found"]


def test_the_mirrors_columns_are_the_records_fields(seen: Seen) -> None:
    for row in there(seen.site).values():
        record = row["record"]
        money = record["value"] or {}
        names = ("title", "owner_id", "label_ids", "person_id", "was_seen", "channel_id")
        assert [row[name] for name in names] == [record[name] for name in names]
        assert row["value_amount"] == (Decimal(str(money["amount"])) if money else None)
        assert row["value_currency"] == money.get("currency")
        assert row["custom_fields"] == {
            key: record[key] for key in record if len(key.partition("_")[0]) == 40
        }


def test_an_outcome_shows_the_lead_before_and_after(seen: Seen) -> None:
    rows = seen.site.query(
        "SELECT o.lead_id FROM pipedrive_leads.lead_outcomes o WHERE status = 'applied' "
        "AND (o.body <> o.after OR json_keys(o.body) <> json_keys(o.before))"
    )
    assert rows == []


def texts_of(site: Site) -> dict[str, str]:
    tables = site.query(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
    )
    return {table["name"]: str(site.query(f"SELECT * FROM {table['name']}")) for table in tables}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_token_is_in_no_output(seen: Seen) -> None:
    token = seen.site.pipedrive.api_token
    assert "401" in seen.refused
    assert token not in seen.ended.told + seen.refused


def test_the_token_is_in_no_table(seen: Seen) -> None:
    texts = texts_of(seen.site)
    assert {"pipedrive_leads.leads", "pipedrive_leads.lead_outcomes"} <= set(texts)
    token = seen.site.pipedrive.api_token
    assert [name for name, text in texts.items() if token in text] == []


def test_the_token_is_in_no_file(seen: Seen) -> None:
    files = files_below(seen.site.folder)
    assert any(path.startswith(str(seen.site.data_dir)) for path in files)
    token = seen.site.pipedrive.api_token.encode()
    assert [path for path, content in files.items() if token in content] == []
