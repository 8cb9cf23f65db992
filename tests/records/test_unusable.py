"""Values that the warehouse holds and Pipedrive must never see: each rejects its row, alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from connector.records.cells import Unreadable
from connector.warehouse.rows import read_row, readers_for
from tests.support.account import BARE, LEAD_ID, NOTE, SCORE, SHORT, body_of, key_of, refusal_of
from tests.support.cases import check_each

EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
FOREVER: list[Any] = [
    date.max,
    date.min,
    datetime.max,
    datetime.min,
    datetime.max.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(microsecond=0),
    datetime(9999, 12, 31),
    datetime.max.replace(tzinfo=EAST),
    datetime.min.replace(tzinfo=WEST),
    datetime.max.replace(tzinfo=UTC).astimezone(WEST),
    datetime.min.replace(tzinfo=UTC).astimezone(EAST),
    datetime.max.replace(tzinfo=ZoneInfo("America/New_York")),
]
SPELLINGS: list[Any] = ["infinity", "-infinity", "Infinity", " INF ", float("inf"), -float("inf")]
DATES = ["expected_close_date", key_of("date"), key_of("daterange")]
TEXTS = [NOTE, SHORT, "channel_id", "title", key_of("address")]


ZONES = ["UTC", "America/New_York", "Pacific/Kiritimati"]


@pytest.mark.parametrize("name", [*DATES, *TEXTS, key_of("time")])
def test_a_time_without_end_is_rejected(name: str) -> None:
    def check(case: tuple[Any, str]) -> None:
        given, zone = case
        assert "is infinite; use NULL" in refusal_of({name: given}, BARE, timezone=zone)

    check_each(product(FOREVER, ZONES), check)


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize("given", [*SPELLINGS, Decimal("Infinity")], ids=repr)
def test_infinity_as_text_or_number_is_no_date(name: str, given: Any) -> None:
    assert "is infinite; use NULL" in refusal_of({name: given}, BARE)


@pytest.mark.parametrize("given", [date.max, datetime.min, "infinity"], ids=repr)
def test_half_a_range_without_end_is_rejected(given: Any) -> None:
    row = {key_of("daterange"): {"from": date(2026, 1, 1), "until": given}}
    assert "is infinite" in refusal_of(row, BARE)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (date(9999, 12, 30), "9999-12-30"),
        (date(1, 1, 2), "0001-01-02"),
        (datetime(1, 1, 2), "0001-01-02"),
        ("9999-12-31", "9999-12-31"),
    ],
    ids=repr,
)
def test_a_far_day_is_a_day(given: Any, sent: str) -> None:
    assert body_of({"expected_close_date": given}, BARE) == {"expected_close_date": sent}


IN_DUCKDB = [
    "'infinity'::DATE",
    "'-infinity'::DATE",
    "'infinity'::TIMESTAMP",
    "'-infinity'::TIMESTAMP",
    "'infinity'::TIMESTAMPTZ",
    "'-infinity'::TIMESTAMPTZ",
    "'infinity'::TIMESTAMP_S",
    "'infinity'::TIMESTAMP_MS",
    "'infinity'::TIMESTAMP_NS",
    "'infinity'::VARCHAR",
    "'infinity'::DOUBLE",
    "'-infinity'::FLOAT",
    "DATE '0044-03-15 (BC)'",
    "TIMESTAMP '0044-03-15 (BC) 12:00:00'",
    "TIMESTAMPTZ '0044-03-15 (BC) 12:00:00+00'",
    "DATE '0000-01-01'",
    "DATE '12026-01-01'",
    "TIMESTAMPTZ '12026-01-01 00:00:00+00'",
]


def read_from_duckdb(sql: str, zone: str) -> Any:
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        cursor = connection.execute(f"SELECT {sql} AS cell")
        [row] = cursor.fetchall()
        return read_row(row, readers_for(cursor.description or ()))["cell"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("sql", IN_DUCKDB)
def test_what_duckdb_gives_for_it_is_rejected(sql: str, zone: str) -> None:
    cell = read_from_duckdb(sql, zone)
    assert "expected_close_date" in refusal_of({"expected_close_date": cell}, BARE)
    if not sql.endswith("VARCHAR"):
        assert NOTE in refusal_of({NOTE: cell}, BARE)


def test_a_year_before_christ_is_told_with_the_way_out() -> None:
    reason = refusal_of({NOTE: read_from_duckdb("DATE '0044-03-15 (BC)'", "UTC")}, BARE)
    assert "'0044-03-15 (BC)' is not in the years 1 to 9999" in reason
    assert "NULL" in reason


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("given", ["\0", "a\0b", "\0" * 300])
def test_a_nul_is_told_with_the_way_out(name: str, given: str) -> None:
    reason = refusal_of({name: given}, BARE)
    assert "has a NUL character in it; take it out" in reason
    assert "\0" not in reason


def test_a_nul_in_changes_rejects_the_row() -> None:
    assert "NUL" in refusal_of({"changes": '{"title": "a\\u0000b"}'}, BARE)


_PAIRS = [f'"k{number}": 1' for number in range(50_000)]
MANY_KEYS = "{" + ", ".join([*_PAIRS, '"k7": 2']) + "}"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ('{"title": "A", "title": "B"}', "title"),
        ('{"title": "A", "title": "A"}', "title"),
        ('{"was_seen": true, "title": "A", "was_seen": null}', "was_seen"),
        ('{"value": {"amount": 1, "currency": "EUR", "amount": 2}}', "amount"),
        ('{"label_ids": [{"a": {"b": 1, "b": 2}}]}', "b"),
        ('{"x\\u0041": 1, "xA": 2}', "xA"),
        (MANY_KEYS, "k7"),
    ],
    ids=lambda value: value[:40],
)
def test_changes_that_name_a_key_twice_are_rejected(changes: str, key: str) -> None:
    as_json = read_from_duckdb(f"$${changes}$$::JSON", "UTC")
    for given in (changes, as_json):
        assert f"names {key!r} twice; keep one" in refusal_of({"changes": given}, BARE)


def test_a_value_that_names_a_key_twice_is_rejected() -> None:
    text = '{"amount": 1, "amount": 2, "currency": "EUR"}'
    assert "names 'amount' twice" in refusal_of({"value": text}, BARE)
    assert "names 'amount' twice" in refusal_of(
        {"value": read_from_duckdb(f"'{text}'::JSON", "UTC")}
    )


@pytest.mark.parametrize("name", ["title", NOTE, "channel_id", SCORE, "label_ids", "owner_id"])
def test_json_that_cannot_be_read_rejects_its_row_in_any_column(name: str) -> None:
    cell = read_from_duckdb("""'{"a": 1, "a": 2}'::JSON""", "UTC")
    assert isinstance(cell, Unreadable)
    assert name in refusal_of({name: cell}, BARE)


@pytest.mark.parametrize("depth", [65, 900, 5_000, 200_000])
@pytest.mark.parametrize("name", ["changes", "title", "value", "label_ids", key_of("set")])
def test_endless_nesting_rejects_its_row(name: str, depth: int) -> None:
    text = f'{{"title": {"[" * depth}{"]" * depth}}}'
    cell = read_row([text], readers_for([("cell", "JSON")]))["cell"]
    for given in (cell, [cell], text) if name != "title" else (cell, [cell]):
        assert name in refusal_of({name: given}, BARE)


def test_a_number_of_five_thousand_digits_rejects_its_row() -> None:
    assert "changes" in refusal_of({"changes": f'{{"title": {"1" * 5000}}}'}, BARE)


def test_a_row_that_is_rejected_names_its_lead() -> None:
    cell = Unreadable("0044-03-15 (BC)", "is out of range")
    assert LEAD_ID not in refusal_of({NOTE: cell})
    assert "lead_id '0044-03-15 (BC)'" in refusal_of({"lead_id": cell, "title": "T"})
