"""The demo in a folder that is somebody's own: it leaves files and settings there alone."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from connector.demo import BROKEN, DESIRED, remove_earlier
from connector.errors import LeadSyncError
from tests.support.forking import COMMAND
from tests.support.harness import Ended, run_to_end

BY_A_DEMO = (
    f"CREATE SCHEMA crm; CREATE TABLE {DESIRED} (lead_id VARCHAR);"
    f"CREATE TABLE {BROKEN} (lead_id VARCHAR); CREATE SCHEMA pipedrive_leads;"
    "CREATE TABLE pipedrive_leads.sync_runs (run_id VARCHAR);"
    "CREATE TABLE pipedrive_leads._dlt_loads (load_id VARCHAR);"
)


def demo(folder: Path) -> Ended:
    """Run the real command in a folder."""
    return run_to_end([str(COMMAND), "demo"], dict(os.environ), folder, forked=True)


def made(folder: Path, sql: str) -> Path:
    """Make a file of the demo's name."""
    file = folder / "demo.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(sql)
    return file


def test_somebodys_own_file_is_left_alone(tmp_path: Path) -> None:
    file = made(tmp_path, "CREATE TABLE my_figures AS SELECT 42 AS precious")
    before = file.read_bytes()
    ended = demo(tmp_path)
    assert (ended.code, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert "demo.duckdb, but that has main.my_figures, which no demo makes; move it away" in line
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (BY_A_DEMO + "CREATE TABLE crm.mine (a INTEGER)", "has crm.mine, which"),
        (BY_A_DEMO + "CREATE TABLE pipedrive_leads.mine (a INTEGER)", "has pipedrive_leads.mine,"),
        (BY_A_DEMO + "CREATE VIEW main.mine AS SELECT 1", "has main.mine, which"),
        (BY_A_DEMO + "CREATE MACRO main.mine(a) AS a + 1", "has main.mine, which"),
        (f"CREATE SCHEMA crm; CREATE TABLE {DESIRED} (lead_id VARCHAR)", "is no demo's"),
        ("SELECT 1", "is no demo's"),
    ],
)
def test_a_file_that_is_not_a_demos_alone_is_kept(tmp_path: Path, sql: str, told: str) -> None:
    file = made(tmp_path, sql)
    with pytest.raises(LeadSyncError, match=told):
        remove_earlier(file)
    assert file.exists()


def test_a_file_that_is_no_database_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "demo.duckdb"
    file.write_text("my notes")
    with pytest.raises(LeadSyncError, match=r"cannot be read \(.*not a valid DuckDB.*move it away"):
        remove_earlier(file)
    assert file.read_text() == "my notes"


def test_what_a_demo_has_made_is_removed(tmp_path: Path) -> None:
    file = made(tmp_path, BY_A_DEMO)
    remove_earlier(file)
    assert not file.exists()
    remove_earlier(file)


def test_it_plays_again_and_again_whatever_the_project_is_configured_as(tmp_path: Path) -> None:
    settings = tmp_path / ".dlt"
    settings.mkdir()
    wanted = 'desired_table = "marts.leads"\nmax_clears = 1\ndataset_name = "others"\n'
    (settings / "config.toml").write_text(f"[sources.pipedrive_leads]\n{wanted}")
    desired = '[destination.desired]\ncredentials = "duckdb:///marts.duckdb"\n'
    (settings / "secrets.toml").write_text(desired)
    for _ in range(2):
        ended = demo(tmp_path)
        assert (ended.code, "All of it is in demo.duckdb" in ended.stdout) == (0, True), ended.told
    assert sorted(one.name for one in tmp_path.iterdir()) == [".dlt", "demo.duckdb"]
