"""What config says of NULL and of fields that are set, through the whole job."""

from __future__ import annotations

import json

import pytest

from connector import LeadSyncError
from connector.sandbox import CUSTOM_FIELDS
from tests.support.harness import Site

LEAD = "33333333-2222-4333-8444-555555555555"
SCORE, TIER = CUSTOM_FIELDS["Lead score"], CUSTOM_FIELDS["Tier"]
COLUMNS = {
    "lead_id": "VARCHAR",
    "expected_close_date": "DATE",
    "lead_score": "DOUBLE",
    "tier": "VARCHAR",
}


@pytest.fixture
def full(site: Site) -> Site:
    """A lead with everything set, and a row that is NULL but for its tier."""
    custom = {SCORE: 50, TIER: "191"}
    site.pipedrive.set_lead(
        LEAD, title="T", person_id=1, expected_close_date="2026-05-01", **custom
    )
    site.desire(COLUMNS, [{"lead_id": LEAD, "tier": "Gold"}])
    return site


def test_null_clears_unless_told_otherwise(full: Site) -> None:
    assert full.run().statuses["applied"] == 1
    [sent] = full.pipedrive.requests("PATCH")
    assert sent["body"] == {"expected_close_date": None, SCORE: None, TIER: 190}


def test_one_rule_for_all_fields(full: Site) -> None:
    summary = full.run(on_null="keep")
    [sent] = full.pipedrive.requests("PATCH")
    assert sent["body"] == {TIER: 190}
    assert summary.kept_nulls == 2


def test_what_is_blank_is_kept_as_null_is(full: Site) -> None:
    """A mart of text alone, and the list that a left join without a match comes to."""
    names = ("title", "expected_close_date", "lead_score", "tier", "value_amount")
    columns = {"lead_id": "VARCHAR", **dict.fromkeys(names, "VARCHAR"), "labels": "VARCHAR[]"}
    full.desire(columns, [{"lead_id": LEAD, **dict.fromkeys(names, ""), "labels": [None]}])
    summary = full.run(on_null="keep")
    assert (summary.exit_code, summary.unchanged, summary.kept_nulls) == (0, 1, 6)
    assert full.pipedrive.requests("PATCH") == []


def test_a_rule_for_each_field_by_its_name_from_the_environment(full: Site) -> None:
    rules = json.dumps({"lead_score": "keep", "Tier": "reject"})
    ended = full.command("run", on_null=rules)
    assert ended.code == 0, ended.told
    [sent] = full.pipedrive.requests("PATCH")
    assert sent["body"] == {"expected_close_date": None, TIER: 190}


def test_a_null_that_is_to_be_rejected(full: Site) -> None:
    assert full.run(on_null={"lead_score": "reject"}).statuses["rejected"] == 1
    [outcome] = full.outcomes()
    assert outcome["reason"].startswith("lead_score NULL is not allowed: on_null is `reject`")
    assert full.pipedrive.requests("PATCH") == []


def test_a_field_is_filled_only_where_it_is_blank(full: Site) -> None:
    blank = "44444444-2222-4333-8444-555555555555"
    full.pipedrive.set_lead(blank, title="Blank", person_id=1)
    full.desire(
        COLUMNS, [{"lead_id": one, "lead_score": 7, "tier": "Gold"} for one in (LEAD, blank)]
    )
    full.run(only_if_blank=["Lead score", "tier"], on_null="keep")
    [sent] = full.pipedrive.requests("PATCH")
    assert (sent["lead_id"], sent["body"]) == (blank, {SCORE: 7, TIER: 190})


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"on_null": "wipe"}, "'wipe' is no rule; give clear, keep or reject"),
        (
            {"on_null": {"lead_scor": "keep"}},
            "on_null names 'lead_scor', which is no field; did you",
        ),
        (
            {"only_if_blank": ["Teir"]},
            "only_if_blank names 'Teir', which is no field; did you mean",
        ),
    ],
)
def test_a_rule_that_names_nothing_stops_the_run(
    full: Site, rules: dict[str, object], told: str
) -> None:
    with pytest.raises(LeadSyncError, match=told):
        full.run(**rules)
    assert full.pipedrive.requests("PATCH") == []


def test_a_name_that_is_taken_cannot_be_mapped(full: Site) -> None:
    told = "columns maps 'updated_at', a name that is taken and cannot be mapped; give that column"
    for command in ("run", "check", "columns"):
        ended = full.command(command, columns={"updated_at": SCORE})
        assert (ended.code, told in ended.told) == (1, True), ended.told
    assert full.pipedrive.requests("PATCH") == []


def test_the_width_of_a_terminal_is_no_mapping_of_columns(
    full: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert full.run().statuses["applied"] == 1
