"""Rows of the mirror: every column, in its type, whatever the API answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.planning import model
from connector.warehouse import schema
from connector.warehouse.schema import LEADS, gone_row, lead_row
from tests.support.account import LEAD, LEAD_ID, NOTE, SCORE, Lead, key_of
from tests.support.strategies import JSON, leads

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "20260102-000000-bbbbbb"
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "bigint": (int,),
    "bool": (bool,),
    "json": (dict, list),
    "decimal": (Decimal,),
    "date": (date,),
    "timestamp": (datetime,),
}
KEYS = [name for name in LEADS.columns if name != "id"]
ANY_LEADS = st.fixed_dictionaries(
    {"id": st.just(LEAD_ID) | st.integers(1) | st.text(min_size=1)},
    optional={
        **dict.fromkeys(["value", SCORE, f"{SCORE}_x", "new"], JSON),
        **dict.fromkeys(KEYS, JSON),
    },
)


def assert_fits(row: schema.TableRow) -> None:
    """Every column of the table, and each value in its column's type and bounds."""
    assert row.keys() == LEADS.columns.keys()
    for name, value in row.items():
        kind = LEADS.columns[name]["data_type"] or ""
        assert value is None or isinstance(value, PYTHON_TYPES[kind]), name
        if kind == "bigint" and value is not None:
            assert type(value) is int
            assert -(2**63) <= value < 2**63
        if isinstance(value, Decimal):
            assert value.is_finite()
            assert abs(value) < 10**29


@given(ANY_LEADS)
@example({"id": LEAD_ID, "value": {"amount": "NaN", "currency": "EUR"}})
@example({"id": LEAD_ID, "value": {"amount": "sNaN"}})
@example({"id": LEAD_ID, "value": {"amount": "Infinity"}})
@example({"id": LEAD_ID, "owner_id": "²", "person_id": {"id": "٣"}})
@example({"id": LEAD_ID, "owner_id": "9" * 5000})
@example({"id": LEAD_ID, "owner_id": 10**40, "channel": -(2**63)})
def test_any_json_becomes_a_row(lead: Lead) -> None:
    row = lead_row(lead, NOW, RUN)
    assert_fits(row)
    assert row["record"] == lead


@given(leads())
def test_a_lead_as_the_api_shows_it_becomes_a_row(lead: Lead) -> None:
    assert_fits(lead_row(lead, NOW, RUN))


def test_what_a_row_holds() -> None:
    lead = {
        **LEAD,
        "id": LEAD_ID.upper(),
        "person_id": {"value": 11, "name": "N"},
        "add_time": "2026-01-02T03:04:05.000Z",
        "value": {"amount": 50.5, "currency": "eur"},
        f"{key_of('monetary')}_currency": "EUR",
    }
    row = lead_row(lead, NOW, RUN)
    expected = {
        "id": LEAD_ID,
        "title": "Pilot",
        "owner_id": 1001,
        "person_id": 11,
        "label_ids": LEAD["label_ids"],
        "value_amount": Decimal("50.5"),
        "value_currency": "EUR",
        "expected_close_date": date(2026, 12, 31),
        "add_time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "is_archived": False,
        "visible_to": "3",
        "read_at": NOW,
        "read_by": RUN,
        "gone_at": None,
        "source_name": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["custom_fields"].keys() == {SCORE, NOTE, f"{key_of('monetary')}_currency"}
    assert row["record"] == lead


def test_a_lead_that_is_gone() -> None:
    row = gone_row(LEAD, NOW, RUN)
    assert row == {**lead_row(LEAD, NOW, RUN), "gone_at": NOW}
    first = NOW - timedelta(days=1)
    assert gone_row(LEAD, NOW, RUN, first) == {**row, "gone_at": first}


@pytest.mark.parametrize("status", model.STATUSES)
def test_a_run_counts_every_status(status: str) -> None:
    assert schema.SYNC_RUNS.columns[status]["data_type"] == "bigint"


def test_the_statuses_are_a_closed_set() -> None:
    fixed = "applied ignored confirmed rejected failed not_found archived conflict deferred"
    assert " ".join(model.STATUSES) == fixed
