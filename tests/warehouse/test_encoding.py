"""Rows on their way through dlt's files: the same in every process, and storable everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, reject

from connector.pipedrive.escapes import escape
from connector.warehouse import history
from connector.warehouse.encoding import encode
from connector.warehouse.schema import lead_row
from tests.support.strategies import JSON, MARKERS, TEXTS
from tests.support.warehouse import PLAN, Row, Site, patch_row

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RUN = "20260102-000000-bbbbbb"
RESTS = ["", "2026-12-31", "2026-12-31T10:00:00", "50.50", "aGFsbG8=", "aa", "12:30", "T"]
TEXTS_MARKED = [marker + rest for marker in MARKERS for rest in RESTS]
KEY = "bdb36bb22deb169275b3094ba9005a29eeddd195"


def lead_id(number: int) -> str:
    return f"{number:08x}-0e10-11eb-879b-05d71fb426ec"


def rows_of(site: Site, sql: str) -> list[tuple[Any, ...]]:
    with site.pipeline.sql_client() as client:
        return [tuple(row) for row in client.execute_sql(sql) or ()]


def test_texts_that_begin_with_a_marker_of_dlts_stay_in_every_column(site: Site) -> None:
    leads = [
        {"id": lead_id(place), "title": text, "label_ids": [text], KEY: text, text: text}
        for place, text in enumerate(TEXTS_MARKED)
    ]
    site.load("leads", [lead_row(lead, NOW, RUN) for lead in leads])
    found = rows_of(
        site,
        "SELECT title, label_ids, custom_fields, record FROM pipedrive_leads.leads ORDER BY id",
    )
    assert len(found) == len(TEXTS_MARKED) == 160
    for text, lead, row in zip(TEXTS_MARKED, leads, found, strict=True):
        title, labels, custom, record = row
        assert title == text
        assert [orjson.loads(one) for one in (labels, custom, record)] == [
            [text],
            {KEY: text},
            lead,
        ]


def test_bodies_that_hold_a_marker_of_dlts_are_intact(site: Site) -> None:
    bodies: list[Row] = [{"title": text, KEY: [text, {text: None}]} for text in TEXTS_MARKED]
    site.load("lead_patches", [patch_row(place, body) for place, body in enumerate(bodies)])
    with site.opened() as warehouse:
        patches = [patch for patch, _ in history.planned(warehouse, PLAN)]
    assert [patch.body for patch in patches] == bodies
    assert all(patch.intact for patch in patches)


def test_outcomes_keep_their_texts_and_their_times(site: Site) -> None:
    rows = [
        {"outcome_id": str(1000 + place), "reason": text, "error": text, "finished_at": NOW}
        for place, text in enumerate(TEXTS_MARKED)
    ]
    site.load("lead_outcomes", rows)
    columns = "reason, error, finished_at"
    found = rows_of(
        site, f"SELECT {columns} FROM pipedrive_leads.lead_outcomes ORDER BY outcome_id"
    )
    assert found == [(text, text, NOW) for text in TEXTS_MARKED]


def test_every_type_arrives_in_its_column(site: Site) -> None:
    lead = {
        "id": lead_id(1),
        "title": "2026-12-31",
        "owner_id": 7,
        "was_seen": False,
        "value": {"amount": 0.123456789, "currency": "EUR"},
        "expected_close_date": "2026-12-31",
        "add_time": "2026-01-02T03:04:05.678901+05:00",
    }
    site.load("leads", [lead_row(lead, NOW, RUN)])
    [found] = rows_of(
        site,
        "SELECT title, owner_id, was_seen, value_amount, expected_close_date, add_time, read_at, "
        "gone_at FROM pipedrive_leads.leads",
    )
    day, added = date(2026, 12, 31), datetime(2026, 1, 1, 22, 4, 5, 678901, tzinfo=UTC)
    assert found == ("2026-12-31", 7, False, Decimal("0.123456789"), day, added, NOW, None)


@pytest.mark.parametrize("broken", ["\x00", "\ud83d", "a\x00\x00b\ud800"])
def test_what_no_warehouse_holds_is_stored_escaped(site: Site, broken: str) -> None:
    shown = escape(broken)
    assert shown.isprintable()
    lead = {"id": lead_id(1), "title": broken, KEY: broken, broken: [broken]}
    site.load("leads", [lead_row(lead, NOW, RUN)])
    site.load("lead_outcomes", [{"outcome_id": "1", "error": broken, "after": {broken: broken}}])
    [(title, custom, record)] = rows_of(
        site, "SELECT title, custom_fields, record FROM pipedrive_leads.leads"
    )
    assert (title, orjson.loads(custom)) == (shown, {KEY: shown})
    assert orjson.loads(record) == {
        "id": lead_id(1),
        "title": shown,
        KEY: shown,
        shown: [shown],
    }
    [(error, after)] = rows_of(site, "SELECT error, after FROM pipedrive_leads.lead_outcomes")
    assert (error, orjson.loads(after)) == (shown, {shown: shown})


@given(TEXTS | JSON)
def test_what_is_carried_is_text_that_every_process_reads_alike(value: Any) -> None:
    expected = escape(value)
    try:
        orjson.dumps(expected)
    except TypeError:  # a number of more than 64 bits, which no answer of the API comes with
        reject()
    carried = orjson.dumps(encode({"any": value if isinstance(value, str) else [value]}))
    assert not any(mark.encode() in carried for mark in MARKERS)
    found = orjson.loads(carried)["any"]
    assert (found if isinstance(value, str) else found[0]) == orjson.loads(orjson.dumps(expected))


EXTRACT = """
from connector.warehouse.destination import make_pipeline
from connector.settings import load_warehouse_settings
from connector.warehouse.load import batches, into
from connector.warehouse.schema import lead_row
from datetime import datetime, UTC
texts = {texts!r}
now = datetime.fromisoformat({now!r})
rows = [lead_row(dict(id=f"{{place:08x}}-0e10-11eb-879b-05d71fb426ec", title=text, add_time={now!r},
    expected_close_date="2026-12-31", value=dict(amount=1.5, currency="EUR")), now, "r")
    for place, text in enumerate(texts)]
pipeline = make_pipeline(load_warehouse_settings())
pipeline.extract(batches(into("leads", rows)))
import os
os.kill(os.getpid(), 9)
"""
RESUME = """
from connector.warehouse.destination import make_pipeline
from connector.settings import load_warehouse_settings
pipeline = make_pipeline(load_warehouse_settings())
assert pipeline.has_pending_data
pipeline.run()
"""
ORDERS = {"ours first": "import connector, dlt", "dlt first": "import dlt, connector"}


def python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    merged = {**os.environ, **environment}
    told = {name: value for name, value in merged.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("first", "second"), [(None, "10FF00"), ("10FF00", None), (None, None)])
@pytest.mark.parametrize("order", ORDERS)
def test_a_package_of_a_killed_run_is_loaded_whole_by_any_process(
    site: Site, first: str | None, second: str | None, order: str
) -> None:
    # dlt's own state, which only a first package has, is marked for the process that writes it.
    site.load("lead_fields", [{"key": "title", "name": "Title", "type": "varchar"}])
    code = EXTRACT.format(texts=TEXTS_MARKED, now=NOW.isoformat())
    other = next(text for name, text in ORDERS.items() if name != order)
    killed = python(f"{other}\n{code}", DLT_JSON_TYPED_PUA_START=first)
    assert killed.returncode == -9, killed.stderr
    resumed = python(f"{ORDERS[order]}\n{RESUME}", DLT_JSON_TYPED_PUA_START=second)
    assert resumed.returncode == 0, resumed.stderr
    found = rows_of(
        site,
        "SELECT title, add_time, read_at, expected_close_date, value_amount "
        "FROM pipedrive_leads.leads ORDER BY id",
    )
    rest = (NOW, NOW, date(2026, 12, 31), Decimal("1.5"))
    assert found == [(text, *rest) for text in TEXTS_MARKED]


OTHERS = """
import dlt, os
from datetime import datetime, UTC, date
from decimal import Decimal
pipeline = dlt.pipeline("other", pipelines_dir={folder!r}, dataset_name="other",
    destination=dlt.destinations.duckdb({database!r}))
"""
OTHERS_ROW = '[{"id": 1, "moment": datetime(2026, 1, 2, tzinfo=UTC), "day": date(2026, 1, 2)}]'


@pytest.mark.parametrize("order", ORDERS)
def test_another_pipeline_in_the_process_loads_what_it_left_earlier(
    tmp_path: Path, order: str
) -> None:
    begin = OTHERS.format(folder=str(tmp_path), database=str(tmp_path / "warehouse.duckdb"))
    rows = f'{OTHERS_ROW}, table_name="t"'
    left = python(f"{begin}\npipeline.run({rows})\npipeline.extract({rows})")
    assert left.returncode == 0, left.stderr
    code = f"""
import os
before = dict(os.environ)
{ORDERS[order]}
from connector import run, pipedrive_leads
assert dict(os.environ) == before
{begin}
pipeline.run()
with pipeline.sql_client() as client:
    rows = client.execute_sql("SELECT typeof(moment), typeof(day), moment, day FROM t")
import json
print(json.dumps([[str(value) for value in row] for row in rows]))
"""
    loaded = python(code)
    assert loaded.returncode == 0, loaded.stderr
    types = ["TIMESTAMP WITH TIME ZONE", "DATE"]
    row = [*types, "2026-01-02 00:00:00+00:00", "2026-01-02"]
    assert json.loads(loaded.stdout.splitlines()[-1]) == [row, row]
