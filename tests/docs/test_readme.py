"""The README says what is so: its commands run, its tables name what the code has."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import duckdb
import pytest

from connector.planning.model import STATUSES
from connector.sandbox import LocalPipedrive
from connector.settings import Settings
from connector.sync.summary import EXIT_DONE, EXIT_INCOMPLETE
from tests.docs.walk import normal, played, walk_of
from tests.support.harness import ROOT, run_to_end

README = (ROOT / "README.md").read_text()
WALK = walk_of(README)
COMMANDS = re.findall(r"^ *\$ lead-sync (.+)$", README.replace(WALK, ""), re.MULTILINE)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the README tells a user to set, for a warehouse made as it shows."""
    folder = tmp_path_factory.mktemp("readme")
    names = dict(re.findall(r"export (\w+)=(\S+)", README))
    return {
        **os.environ,
        **names,
        "DLT_DATA_DIR": str(folder / "dlt"),
        "DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{folder / 'warehouse.duckdb'}",
    }


def make_table(warehouse: str, pipedrive: LocalPipedrive) -> None:
    """Makes the README's table out of marts.leads, as it says."""
    [statement] = re.findall(r"```sql\n *(CREATE TABLE.+?)```", README.replace(WALK, ""), re.DOTALL)
    lead = next(iter(pipedrive.leads().values()))
    with duckdb.connect(warehouse) as connection:
        connection.execute("CREATE SCHEMA crm; CREATE SCHEMA marts")
        connection.execute(
            "CREATE TABLE marts.leads AS SELECT ? AS lead_id, 'New title' AS title, "
            "'ada.lind@example.com' AS owner_email, ['Hot'] AS labels, 10.5 AS value_amount, "
            "'EUR' AS value_currency, 5 AS lead_score, 'Gold' AS tier",
            [lead["id"]],
        )
        connection.execute(statement)


def test_the_commands_run_and_do_what_they_say(environment: dict[str, str]) -> None:
    assert COMMANDS == ["check", "columns", "plan", "run"]
    with LocalPipedrive() as pipedrive:
        warehouse = environment["DESTINATION__WAREHOUSE__CREDENTIALS"].removeprefix("duckdb:///")
        make_table(warehouse, pipedrive)
        environment["SOURCES__PIPEDRIVE_LEADS__BASE_URL"] = pipedrive.base_url
        environment["SOURCES__PIPEDRIVE_LEADS__API_TOKEN"] = pipedrive.api_token
        for command in COMMANDS:
            call = [sys.executable, "-m", "connector", *command.split()]
            done = run_to_end(call, environment, forked=True)
            assert done.code == EXIT_DONE, done.stderr
        [patch] = pipedrive.requests("PATCH")
        assert patch["body"]["title"] == "New title"


def test_the_walk_prints_what_it_shows() -> None:
    assert normal(played(WALK)) == normal(WALK)


@pytest.mark.parametrize(("script", "arguments"), [("sync_leads", []), ("backfill_leads", ["a.b"])])
def test_the_scripts_say_what_is_missing(script: str, arguments: list[str], tmp_path: Path) -> None:
    call = [sys.executable, "-m", f"pipelines.{script}", *arguments]
    environment = os.environ | {"DLT_DATA_DIR": str(tmp_path)}
    done = run_to_end(call, environment, forked=True)
    assert done.code == 1
    assert done.stderr.startswith("error: missing setting base_url")
    assert "SOURCES__PIPEDRIVE_LEADS__API_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|.*\|.*\|$", README.split("## Settings")[1], re.MULTILINE))
    known = {field.name for field in fields(Settings) if not field.name.startswith("_")}
    assert told == known


def test_every_status_is_told() -> None:
    told = re.findall(r"^\| `(\w+)` \|", README.split("| status |")[1], re.MULTILINE)
    assert tuple(told[: len(STATUSES)]) == STATUSES


def test_the_exit_codes_are_told() -> None:
    told = set(map(int, re.findall(r"^\| (\d) \|", README, re.MULTILINE)))
    assert {EXIT_DONE, EXIT_INCOMPLETE} < told
    assert told == {0, 1, 2, 3, 4, 5, 6}
