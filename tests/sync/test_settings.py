"""The real command, and the real library, with settings that are another's, misspelt or wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler
from typing import Any

import dlt
import duckdb
import pytest

import connector
from connector.errors import ConfigError
from connector.settings import load_settings
from connector.source import pipedrive_leads
from connector.warehouse.destination import UNFIT
from connector.warehouse.store import open_warehouse
from tests.support.harness import ROOT, Ended, Site, lead_id, serving

LEADS = [lead_id(str(number)) for number in range(60)]
SECRET = "hunter2"


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """Another program's host, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(404)

        do_PATCH = do_POST = do_GET  # noqa: N815 # the names are http.server's

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as url:
        yield url, asked


@pytest.fixture
def clearing(site: Site) -> Site:
    """A site whose table would clear a value on 60 leads."""
    site.pipedrive.reset(leads=0)
    for lead in LEADS:
        site.pipedrive.set_lead(lead, title="T", expected_close_date="2026-12-31")
    rows: list[dict[str, Any]] = [{"lead_id": lead, "expected_close_date": None} for lead in LEADS]
    site.desire({"lead_id": "VARCHAR", "expected_close_date": "DATE"}, rows)
    return site


def command(site: Site, *arguments: str, environment: dict[str, str], **settings: Any) -> Ended:
    """Runs the command with other variables as well, in a folder without configuration."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return site.command(*arguments, cwd=site.folder, **settings)


def stopped(ended: Ended) -> str:
    """Returns the one line of a command that was stopped by its configuration."""
    assert (ended.code, ended.stdout) == (1, ""), ended.told
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert SECRET not in ended.stderr
    return ended.stderr


def test_bare_names_of_another_program_change_nothing(
    clearing: Site, stranger: tuple[str, list[str]]
) -> None:
    url, asked = stranger
    (clearing.folder / ".dlt").mkdir()
    (clearing.folder / ".dlt" / "secrets.toml").write_text(
        "[sources.pipedrive_leads]\n"
        f'base_url = "{clearing.pipedrive.base_url}"\napi_token = "{clearing.pipedrive.api_token}"'
    )
    bare = {
        "BASE_URL": url,
        "API_TOKEN": SECRET,
        "MAX_CLEARS": "off",
        "MAX_CLEARS_PERCENT": "off",
        "WORKERS": "many",
        "REFRESH": "drop_sources",
        "PASSWORD": SECRET,
        "DATASET_NAME": "evil",
        "COLUMNS": "80",
    }
    ended = command(clearing, "run", environment=bare, base_url=None, api_token=None)
    assert ended.code == 4, ended.told
    assert "max_clears: 60 of 60 leads would lose a value" in ended.told
    assert asked == []
    assert clearing.pipedrive.requests("PATCH") == []
    assert clearing.last_run()["state"] == "stopped"


OF_ANOTHER_PIPELINE = {
    "LOAD__RAISE_ON_FAILED_JOBS": "false",
    "LOAD__AUTO_ABORT_ON_TERMINAL_ERROR": "true",
    "LOAD__LOAD_VOLUME_PATH": "volume",
    "NORMALIZE__LOAD_VOLUME_PATH": "volume",
    "NORMALIZE__NORMALIZE_VOLUME_PATH": "volume",
}


@pytest.mark.parametrize("table", ["lead_patches", "lead_outcomes"])
@pytest.mark.parametrize(("name", "value"), OF_ANOTHER_PIPELINE.items())
def test_what_another_pipeline_wants_of_a_load_loses_no_outcome(
    site: Site, name: str, value: str, table: str
) -> None:
    first, second = list(site.pipedrive.leads())[:2]
    given = {name: str(site.folder / value) if value == "volume" else value}
    site.desire_titles({first: "First"})
    assert command(site, "run", environment=given).code == 0
    assert not (site.folder / "volume").exists()
    site.desire_titles({first: "First", second: "Second"})
    column = f"ALTER TABLE pipedrive_leads.{table} ALTER body TYPE"
    site.query(f"{column} INTEGER USING 1")
    failed = command(site, "run", environment=given)
    assert failed.code == 1
    assert "the load step of a load failed: ConversionException" in failed.told
    site.query(f"{column} VARCHAR")
    assert command(site, "run", environment=given).code == 0
    assert site.pipedrive.lead(second)["title"] == "Second"
    assert site.statuses() == {"applied": 2}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SOURCES__PIPEDRIVE_LEADS__MAX_PATCH", "max_patches"),
        ("SOURCES__PIPEDRIVE_LEADS__API_TOKN", "api_token"),
        ("SOURCES__PIPEDRIVE_LEAD__MAX_CLEARS", "SOURCES__PIPEDRIVE_LEADS__"),
        ("DESTINATION__WAREHOUSE__CREDENTIAL", "credentials"),
    ],
)
def test_a_misspelt_name_stops_before_any_request(site: Site, name: str, nearest: str) -> None:
    site.desire_titles({lead_id("a"): "New"})
    told = stopped(command(site, "run", environment={name: SECRET}))
    assert name in told
    assert nearest in told
    ended = command(site, "check", environment={name: SECRET})
    assert ended.code == 1
    assert re.fullmatch(rf"problem +config: .*{name}.*{nearest}.*", ended.stdout.strip())
    assert site.pipedrive.requests() == []


def test_an_unknown_destination_type_stops_before_any_request(site: Site) -> None:
    site.desire_titles({lead_id("a"): "New"})
    environment = {"DESTINATION__WAREHOUSE__DESTINATION_TYPE": "postgress"}
    assert "the nearest is postgres" in stopped(command(site, "run", environment=environment))
    ended = command(site, "check", environment=environment)
    assert (ended.code, "postgress" in ended.told) == (1, True)
    assert site.pipedrive.requests() == []


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *[(name, "warehouse") for name in ("runs", "check", "columns", "run")],
        *[(name, "desired") for name in ("check", "columns", "run")],
    ],
)
def test_a_missing_extra_is_one_line(site: Site, name: str, side: str) -> None:
    site.desire_titles({lead_id("a"): "New"})
    environment = {
        f"DESTINATION__{side.upper()}__DESTINATION_TYPE": "snowflake",
        f"DESTINATION__{side.upper()}__CREDENTIALS": f"snowflake://ada:{SECRET}@127.0.0.1/db",
    }
    at = Elsewhere(site.folder, site.pipedrive) if side == "warehouse" else site
    ended = command(at, name, environment=environment)
    assert (ended.code, "pip install 'dlt[snowflake]'" in ended.told) == (1, True)
    assert "report this line" not in ended.told


@pytest.mark.parametrize("side", ["warehouse", "desired"])
@pytest.mark.parametrize("kind", sorted(UNFIT))
def test_what_is_no_sql_warehouse_is_refused_by_name(site: Site, side: str, kind: str) -> None:
    """SQLite and MariaDB are behind SQLAlchemy, whose cursors tell no columns."""
    site.desire_titles({lead_id("a"): "New"})
    environment = {f"DESTINATION__{side.upper()}__DESTINATION_TYPE": kind}
    ended = command(site, "check", environment=environment)
    wrong = f"destination_type {kind!r} under [destination.{side}] is no SQL warehouse"
    assert (ended.code, wrong in ended.told) == (1, True)
    assert site.pipedrive.requests("PATCH") == []


class Elsewhere(Site):
    """A site whose warehouse is what the environment says."""

    def _places(self) -> dict[str, str]:
        return {"DLT_DATA_DIR": str(self.data_dir), "RUNTIME__DLTHUB_TELEMETRY": "false"}


@pytest.mark.parametrize("name", ["check", "columns", "plan", "run", "runs"])
def test_no_command_makes_the_file_of_the_desired_table(site: Site, name: str) -> None:
    ended = site.command(name, cwd=site.folder)
    assert ended.code == 1
    assert f"there is no DuckDB file {site.database}" in ended.told
    assert not site.database.exists()
    assert "Traceback" not in ended.told


def test_a_warehouse_that_is_not_configured_is_told_apart_from_one_that_is_wrong(
    site: Site,
) -> None:
    elsewhere = Elsewhere(site.folder, site.pipedrive)
    ended = elsewhere.command("check", cwd=site.folder)
    assert "no warehouse is configured" in ended.told
    assert "DESTINATION__WAREHOUSE__CREDENTIALS" in ended.told
    assert f"{site.folder}/.dlt/secrets.toml (not there)" in ended.told
    assert list(site.folder.glob("*.duckdb")) == []
    # what dlt takes where none is configured is taken where it is there
    duckdb.connect(str(site.folder / "warehouse.duckdb")).close()
    ended = elsewhere.command("check", cwd=site.folder)
    assert f"opened, dataset pipedrive_leads, file {site.database}" in ended.told


@pytest.mark.parametrize(
    "credentials",
    [f"postgresql://ada:{SECRET}@127.0.0.1/db", f"host=x password={SECRET}", f"ada:{SECRET}@x"],
)
def test_credentials_of_another_warehouse_are_not_shown(site: Site, credentials: str) -> None:
    environment = {"DESTINATION__WAREHOUSE__CREDENTIALS": credentials}
    elsewhere = Elsewhere(site.folder, site.pipedrive)
    stopped(command(elsewhere, "runs", environment=environment))


def test_the_file_is_named_where_all_is_well_and_where_it_is_no_database(site: Site) -> None:
    site.desire_titles({lead_id("a"): "New"})
    ended = site.command("check", cwd=site.folder)
    assert (ended.code, f"file {site.database}" in ended.told) == (0, True), ended.told
    site.database.write_text("no database" * 1000)
    assert str(site.database) in stopped(site.command("runs", cwd=site.folder))


def test_check_in_the_wrong_folder_says_where_it_looked(site: Site) -> None:
    ended = site.command("check", cwd=site.folder, base_url=None, api_token=None)
    assert ended.code == 1
    assert f"{site.folder}/.dlt/secrets.toml (not there)" in ended.told
    assert f"{site.folder}/.dlt/config.toml (not there)" in ended.told


def test_a_token_is_not_sent_in_clear_to_the_host_before_a_backslash(
    site: Site, stranger: tuple[str, list[str]]
) -> None:
    url, asked = stranger
    site.desire_titles({lead_id("a"): "New"})
    for base_url in (f"{url}\\@127.0.0.1", f"http://ada:{SECRET}@{url.removeprefix('http://')}"):
        stopped(site.command("run", cwd=site.folder, base_url=base_url))
    assert asked == []


def test_blanks_around_a_url_and_a_slash_do_no_harm(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    summary = site.run(base_url=f" {site.pipedrive.base_url}/\n")
    assert summary.statuses["applied"] == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"workers": "abc"}, "workers 'abc' is no whole number"),
        ({"workers": 2.5}, "workers 2.5 is no whole number"),
        ({"limit": 2.5}, "limit 2.5 is no whole number"),
        ({"limit": True}, "limit True is no whole number"),
        ({"limit": 0}, "limit 0 must be more than 0"),
        ({"fields": ""}, "fields '' names no field"),
        ({"fields": [5]}, "fields [5] is no list of names"),
        ({"fields": {"title": 1}}, "fields {'title': 1} is no list of names"),
        ({"fields": False}, "fields False is no list of names"),
        ({"stop": True}, "stop True is no event; give a threading.Event()"),
        ({"stop": threading.Event}, "is no event; give a threading.Event()"),
        ({"progress": None}, "progress None is no function"),
        ({"full_refresh": "perhaps"}, "full_refresh 'perhaps' is neither true nor false"),
        ({"tolerate": "rejectd"}, "tolerate 'rejectd' names rejectd"),
        ({"max_patch": 1}, "no such setting: max_patch; the nearest: max_patches"),
    ],
)
def test_python_is_refused_as_the_environment_is(
    site: Site, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        site.run(**given)
    assert site.pipedrive.requests() == []


@pytest.mark.parametrize("given", [5, None, b"latest"])
@pytest.mark.parametrize(
    ("job", "name"), [("apply", "plan_id"), ("revert", "run_id"), ("plan_revert", "run_id")]
)
def test_what_names_no_run_is_refused(site: Site, job: str, name: str, given: Any) -> None:
    with site.in_place() as account, pytest.raises(ConfigError, match=f"^{name} .* names no run"):
        getattr(connector, job)(given, **account)
    assert site.pipedrive.requests() == []


def test_a_show_that_cannot_be_called_is_refused_before_anything_is_planned(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"^show 5 is no function"):
        site.plan(show=5)
    assert site.pipedrive.requests() == []


def test_names_given_as_text_are_names_and_not_letters(site: Site) -> None:
    first, second = list(site.pipedrive.leads())[:2]
    site.desire(
        {"lead_id": "VARCHAR", "title": "VARCHAR", "was_seen": "BOOLEAN"},
        [{"lead_id": first, "title": "New"}, {"lead_id": "no-lead", "title": "New"}],
    )
    summary = site.run(fields="title", limit="5", full_refresh="false", tolerate="rejected")
    assert (summary.statuses["applied"], summary.statuses["rejected"]) == (1, 1)
    assert summary.exit_code == 0
    site.desire_titles({second: "New"})
    assert site.plan(fields="title, was_seen").planned == 1


def test_the_source_reads_into_a_pipeline_of_the_callers_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in site.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESTINATION__WAREHOUSE__CREDENTIALS", "postgresql://another/warehouse")
    monkeypatch.setenv("BASE_URL", "https://another.example")
    database = site.folder / "mine.duckdb"
    pipeline = dlt.pipeline(
        "mine",
        pipelines_dir=str(site.folder / "mine"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="raw",
    )
    pipeline.run(pipedrive_leads())
    settings = load_settings()
    with open_warehouse(pipeline, settings) as warehouse:
        assert warehouse.place == f"file {database}"
        assert warehouse.column_names("leads")
    pipeline.deactivate()


LIBRARY = """
import json, logging, socket, sys
connected = []
connect = socket.socket.connect
def noted(self, address):
    connected.append(address)
    return connect(self, address)
socket.socket.connect = noted
import connector
summary = connector.run()
print(json.dumps([summary.state, sorted({address[1] for address in connected})]))
"""


def test_the_library_is_as_quiet_as_the_command_and_writes_no_configuration(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    environment = site.environment()
    del environment["RUNTIME__DLTHUB_TELEMETRY"]
    environment |= {"HOME": str(site.folder), "LOG_LEVEL": "DEBUG"}
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY],
        env=environment,
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    port = int(site.pipedrive.base_url.rpartition(":")[2])
    assert json.loads(done.stdout) == ["done", [port]], done.stderr
    assert done.stderr == ""
    assert not (site.folder / ".dlt").exists() or not list((site.folder / ".dlt").glob("*.toml"))


def test_the_working_folder_does_not_grow(site: Site) -> None:
    leads = list(site.pipedrive.leads())
    counts = []
    for number in range(4):
        site.desire_titles({leads[number]: f"New {number}"})
        assert site.command("run", cwd=site.folder).code == 0
        counts.append(sum(len(files) for _, _, files in os.walk(site.data_dir)))
    assert counts[1:] == [counts[1]] * 3


def test_the_wheel_holds_the_package_alone() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = [folder.parent.name for folder in ROOT.glob("*/__init__.py")]
    assert {"connector", "pipelines", "tests"} <= set(packages)
    held = [name for name in packages if any(fnmatch(name, pattern) for pattern in patterns)]
    assert held == ["connector"]
