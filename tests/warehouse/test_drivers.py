"""The same wish in the types of each driver makes the same PATCH, on warehouses no test runs on.

What the drivers give is from their documentation: Snowflake documents as text and upper-case names,
BigQuery and Databricks lists and structs as such, Redshift's SUPER and MariaDB's JSON as text, a
truth value in MariaDB as a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from dlt.destinations.sql_client import SqlClientBase

from connector.planning.columns import map_columns
from connector.planning.diff import decide
from connector.planning.model import Planned
from connector.settings import WarehouseSettings
from connector.warehouse.desired import DesiredTable
from connector.warehouse.scratch import open_scratch
from tests.support.account import BARE, FIELDS, HOT, LEAD, LEAD_ID, SCORE, Lead, key_of

SINGLE = 50.5
MOMENT = datetime(2026, 12, 31, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Driver:
    """What a driver tells of the columns, and what it gives for the cells of one row."""

    kinds: Mapping[str, Any]
    cells: Mapping[str, Any]


DRIVERS = {
    "snowflake": Driver(
        {
            "LEAD_ID": 2,
            "TITLE": 2,
            "OWNER_ID": 0,
            "LABEL_IDS": 10,
            "VALUE": 9,
            "EXPECTED_CLOSE_DATE": 3,
            "WAS_SEEN": 13,
            "MY_DOUBLE": 0,
            "CHANGES": 5,
        },
        {
            "OWNER_ID": 1002,
            "LABEL_IDS": f'[\n  "{HOT}"\n]',
            "VALUE": '{\n  "amount": 1200.50,\n  "currency": "EUR"\n}',
            "EXPECTED_CLOSE_DATE": date(2026, 12, 31),
            "WAS_SEEN": True,
            "MY_DOUBLE": Decimal("50.50"),
            "CHANGES": '{\n  "channel_id": "Autumn"\n}',
        },
    ),
    "bigquery": Driver(
        {
            "lead_id": "STRING",
            "title": "STRING",
            "owner_id": "INTEGER",
            "label_ids": "STRING",
            "value": "RECORD",
            "expected_close_date": "DATE",
            "was_seen": "BOOLEAN",
            "my_double": "NUMERIC",
            "changes": "JSON",
        },
        {
            "owner_id": 1002,
            "label_ids": [HOT],
            "value": {"amount": Decimal("1200.500000000"), "currency": "EUR"},
            "expected_close_date": date(2026, 12, 31),
            "was_seen": True,
            "my_double": Decimal("50.500000000"),
            "changes": {"channel_id": "Autumn"},
        },
    ),
    "databricks": Driver(
        {
            "lead_id": "string",
            "title": "string",
            "owner_id": "bigint",
            "label_ids": "array",
            "value": "struct",
            "expected_close_date": "timestamp",
            "was_seen": "boolean",
            "my_double": "double",
            "changes": "string",
        },
        {
            "owner_id": 1002,
            "label_ids": [HOT],
            "value": {"amount": Decimal("1200.50"), "currency": "EUR"},
            "expected_close_date": MOMENT,
            "was_seen": True,
            "my_double": SINGLE,
            "changes": '{"channel_id": "Autumn"}',
        },
    ),
    "redshift": Driver(
        {
            "lead_id": 1043,
            "title": 1043,
            "owner_id": 20,
            "label_ids": 4000,
            "value": 4000,
            "expected_close_date": 1082,
            "was_seen": 16,
            "my_double": 1700,
            "changes": 4000,
        },
        {
            "owner_id": 1002,
            "label_ids": f'["{HOT}"]',
            "value": '{"amount":1200.50,"currency":"EUR"}',
            "expected_close_date": date(2026, 12, 31),
            "was_seen": True,
            "my_double": Decimal("50.50"),
            "changes": '{"channel_id":"Autumn"}',
        },
    ),
    "mariadb": Driver(
        {
            "lead_id": 253,
            "title": 253,
            "owner_id": 8,
            "label_ids": 252,
            "value": 252,
            "expected_close_date": 12,
            "was_seen": 1,
            "my_double": 5,
            "changes": 252,
        },
        {
            "owner_id": 1002,
            "label_ids": f'["{HOT}"]',
            "value": '{"amount": 1200.50, "currency": "EUR"}',
            "expected_close_date": datetime(2026, 12, 31),
            "was_seen": 1,
            "my_double": SINGLE,
            "changes": '{"channel_id": "Autumn"}',
        },
    ),
}
BODY = {
    "title": "New",
    "owner_id": 1002,
    "label_ids": [HOT],
    "value": {"amount": 1200.5, "currency": "EUR"},
    "expected_close_date": "2026-12-31",
    "was_seen": True,
    SCORE: 50.5,
    "channel_id": "Autumn",
}


class Cursor:
    """Gives one row, once."""

    def __init__(self, description: Sequence[Sequence[Any]], rows: list[tuple[Any, ...]]) -> None:
        self.description = description
        self._rows = rows

    def fetchmany(self, _size: int) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows, []
        return rows


class Client:
    """Answers each statement with the one row."""

    credentials = None

    def __init__(self, driver: Driver, row: Mapping[str, Any]) -> None:
        self._driver, self._row = driver, row

    @contextmanager
    def execute_query(self, sql: str, *_: Any) -> Iterator[Cursor]:
        names = list(self._driver.kinds)
        description = [(name, self._driver.kinds[name], *[None] * 5) for name in names]
        rows = [] if "1 = 0" in sql else [tuple(self._row[name] for name in names)]
        yield Cursor(description, rows)

    def escape_column_name(self, name: str, *, casefold: bool) -> str:
        return name.upper() if casefold else name


def body_of(
    driver: Driver, cells: Mapping[str, Any], folder: Path, lead: Lead = BARE
) -> Mapping[str, Any]:
    """Reads a row as a run does, over the scratch file, and returns the PATCH of its lead."""
    table = DesiredTable(cast("SqlClientBase[Any]", Client(driver, cells)), WarehouseSettings())
    head = table.head()
    with open_scratch(folder) as scratch:
        scratch.want(table.rows(head, None, with_time=False, names=set()))
        scratch.see([lead])
        [wanted] = scratch.compared()
    assert wanted.lead_id == LEAD_ID
    columns = replace(map_columns(list(head.columns), FIELDS), objects=head.objects)
    decision = decide([head.read(row) for row in wanted.rows], lead, columns)
    assert isinstance(decision, Planned), decision
    [change] = decision.changes
    return change.body


@pytest.mark.parametrize("name", DRIVERS)
def test_the_same_wish_makes_the_same_patch(name: str, tmp_path: Path) -> None:
    driver = DRIVERS[name]
    spell = str.upper if name == "snowflake" else str.lower
    known = {spell("lead_id"): LEAD_ID, spell("title"): "New"}
    assert body_of(driver, {**known, **driver.cells}, tmp_path) == BODY


@pytest.mark.parametrize("name", DRIVERS)
def test_a_null_of_each_driver_clears(name: str, tmp_path: Path) -> None:
    driver = DRIVERS[name]
    spell = str.upper if name == "snowflake" else str.lower
    known = {spell("lead_id"): f" {LEAD_ID.upper()} ", spell("title"): "New"}
    nulls = dict.fromkeys(driver.kinds)
    assert body_of(driver, {**nulls, **known}, tmp_path, LEAD) == {
        "title": "New",
        "label_ids": [],
        "value": None,
        "expected_close_date": None,
        SCORE: None,
    }


@pytest.mark.parametrize("name", ["snowflake", "bigquery", "databricks", "redshift"])
def test_a_null_of_an_object_is_one_of_all_its_parts(name: str, tmp_path: Path) -> None:
    driver = DRIVERS[name]
    spell = str.upper if name == "snowflake" else str.lower
    names = [spell(one) for one in ("lead_id", "title", "my_daterange")]
    types = [driver.kinds[spell(one)] for one in ("lead_id", "title", "value")]
    known = dict(zip(names, [LEAD_ID, "New", None], strict=True))
    period, until = key_of("daterange"), f"{key_of('daterange')}_until"
    lead = {**BARE, period: "2026-05-01", until: "2026-06-30"}
    table = Driver(dict(zip(names, types, strict=True)), {})
    assert body_of(table, known, tmp_path, lead) == {"title": "New", period: None, until: None}
