"""What stops a run before anything is sent: one clear line, and not a single PATCH."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector import LeadSyncError
from tests.support.harness import Site

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


@contextmanager
def held_by_another_process(database: Path) -> Iterator[None]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("\n")


def one_title(site: Site) -> None:
    [lead] = list(site.pipedrive.leads())[:1]
    site.desire_titles({lead: "New"})


def test_a_missing_token_is_named_with_its_places(site: Site) -> None:
    one_title(site)
    ended = site.command("run", cwd=site.folder, api_token=None)
    assert (ended.code, ended.stdout) == (1, "")
    assert "missing setting api_token" in ended.stderr
    assert "SOURCES__PIPEDRIVE_LEADS__API_TOKEN" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert site.pipedrive.requests() == []


def test_a_file_that_another_process_holds_is_said(site: Site) -> None:
    one_title(site)
    with held_by_another_process(site.database):
        ended = site.command("run")
    assert (ended.code, ended.stdout) == (1, "")
    assert "another program holds the warehouse" in ended.stderr
    assert site.pipedrive.requests() == []


def test_an_unknown_column_is_told_with_the_nearest_names(site: Site) -> None:
    site.desire({"lead_id": "VARCHAR", "titel": "VARCHAR"}, [])
    ended = site.command("run")
    assert (ended.code, ended.stdout) == (1, "")
    assert "'titel' maps to no field" in ended.stderr
    assert "title (Title)" in ended.stderr
    assert site.pipedrive.requests("PATCH") == []


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (["lead_id", "lead_scroe"], r"lead_scroe.*Lead score"),
        (["lead_id", "update_time"], "read-only"),
        (["title"], "no column lead_id"),
        (["lead_id", "title", "Title "], "both manage title"),
        (["lead_id", "value", "value_amount"], "both manage value"),
    ],
)
def test_columns_that_make_no_sense_stop_the_run(site: Site, columns: list[str], told: str) -> None:
    site.desire(
        dict.fromkeys(columns, "VARCHAR"), [{"lead_id": next(iter(site.pipedrive.leads()))}]
    )
    with pytest.raises(LeadSyncError, match=told):
        site.run()
    assert site.pipedrive.requests("PATCH") == []


def test_a_missing_table_is_named(site: Site) -> None:
    site.desire_titles({})
    with pytest.raises(LeadSyncError, match=r"no table crm\.nowhere"):
        site.run(desired_table="crm.nowhere")
    assert site.pipedrive.requests("PATCH") == []


@pytest.mark.parametrize("is_apart", [False, True])
def test_a_missing_table_is_not_looked_for_among_those_that_runs_write(
    any_site: Site, monkeypatch: pytest.MonkeyPatch, is_apart: bool
) -> None:
    one_title(any_site)
    any_site.run()
    if is_apart:
        for name in ("CREDENTIALS", "DESTINATION_TYPE"):
            if found := any_site.environment().get(f"DESTINATION__WAREHOUSE__{name}"):
                monkeypatch.setenv(f"DESTINATION__DESIRED__{name}", found)
    with pytest.raises(LeadSyncError, match=r"no table crm\.lead_patches") as raised:
        any_site.run(desired_table="crm.lead_patches")
    assert "pipedrive_leads" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"base_url": "http://acme.pipedrive.com"}, "unencrypted"),
        ({"base_url": "acme.pipedrive.com"}, "is no URL"),
        ({"desired_table": "crm.x; DROP TABLE crm.x"}, "no table name"),
        ({"workers": 0}, "workers 0 must be"),
        ({"wrokers": 4}, "no such setting: wrokers"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    site: Site, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(LeadSyncError, match=told):
        site.run(**settings)
    assert site.pipedrive.requests() == []


@pytest.mark.parametrize("column", ["title", "Lead score"])
def test_a_wrong_token_stops_the_run(site: Site, column: str) -> None:
    row = {"lead_id": next(iter(site.pipedrive.leads())), column: "4"}
    site.desire({"lead_id": "VARCHAR", column: "VARCHAR"}, [row])
    with pytest.raises(LeadSyncError, match="401") as refused:
        site.run(api_token="not-the-token")
    assert "not-the-token" not in str(refused.value)
    assert site.pipedrive.requests("PATCH") == []
    assert site.last_run()["state"] == "failed"


def test_nobody_there_stops_the_run(site: Site) -> None:
    one_title(site)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LeadSyncError, match="no connection with Pipedrive"):
            site.run(base_url=url, max_attempts=2)
    assert site.last_run()["state"] == "failed"


def test_a_table_without_rows_is_no_error(site: Site) -> None:
    site.desire_titles({})
    summary = site.run(empty_desired="allow")
    assert (summary.exit_code, summary.state, summary.planned) == (0, "done", 0)
    assert site.pipedrive.requests("PATCH") == []
