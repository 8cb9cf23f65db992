"""Whose settings: full names alone, and what is misspelt stops."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import ConfigProvider
from dlt.common.configuration.providers.vault import VaultDocProvider
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime import anon_tracker

from connector.configuration.origin import may_hold_password, redact
from connector.configuration.providers import NOT_TUNED, own_configuration
from connector.errors import ConfigError
from connector.settings import load_settings, load_warehouse_settings
from connector.source import pipedrive_leads
from connector.warehouse.destination import make_pipeline, working_folder
from connector.warehouse.store import open_warehouse
from tests.support.cases import check_each
from tests.support.harness import PATIENCE_SECONDS

TOKEN = "b1946ac92492d2347c6235b4d2611184c0ffee42"
BASE_URL = "https://acme.pipedrive.com"
PREFIX = "SOURCES__PIPEDRIVE_LEADS__"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, whose files dlt reads when `write` has written them."""
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dlt").mkdir()
    context = Container()[PluggableRunContext]
    context.reload_providers()
    yield tmp_path
    monkeypatch.undo()
    context.reload_providers()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}BASE_URL", BASE_URL)
    monkeypatch.setenv(f"{PREFIX}API_TOKEN", TOKEN)


def write(folder: Path, text: str, name: str = "config.toml") -> None:
    (folder / ".dlt" / name).write_text(text)
    Container()[PluggableRunContext].reload_providers()


def refusal(load: Any = load_settings) -> str:
    with pytest.raises(ConfigError) as raised:
        load()
    message = str(raised.value)
    assert SECRET not in message
    assert len(message.splitlines()) == 1
    return message


def test_a_bare_name_or_a_shorter_section_is_another_programs(
    account: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, 'base_url = "https://evil.example"\n[sources]\nmax_clears = "off"\n')
    for name, value in {
        "BASE_URL": "https://evil.example",
        "API_TOKEN": SECRET,
        "MAX_CLEARS": "off",
        "MAX_CLEARS_PERCENT": "off",
        "WORKERS": "50",
        "COLUMNS": "80",
        "SOURCES__WORKERS": "60",
        "PIPEDRIVE_LEADS__SOURCES__PIPEDRIVE_LEADS__WORKERS": "70",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.base_url, settings.api_token) == (BASE_URL, TOKEN)
    assert (settings.max_clears, settings.max_clears_percent) == (None, None)
    assert (settings.limits.max_clears, settings.limits.max_clears_percent) == (20, 10.0)
    assert (settings.workers, settings.columns) == ("auto", {})


def test_a_bare_name_does_not_stand_in_for_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_URL", "https://evil.example")
    monkeypatch.setenv("API_TOKEN", SECRET)
    assert "missing setting base_url, api_token" in refusal()
    assert "missing setting base_url, api_token" in refusal(pipedrive_leads)


def test_the_source_takes_full_names_and_what_stands_for_them(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_URL", "not even a URL")
    assert list(pipedrive_leads().resources) == ["leads", "lead_patches"]
    given = {"base_url": dlt.config.value, "api_token": dlt.secrets.value}
    assert list(pipedrive_leads(**given).resources) == ["leads", "lead_patches"]


def test_files_give_settings(folder: Path) -> None:
    write(folder, f'[sources.pipedrive_leads]\nbase_url = "{BASE_URL}"\nworkers = 3\n')
    write(
        folder, f'[sources.pipedrive_leads]\napi_token = "{TOKEN}"\nworkers = 4\n', "secrets.toml"
    )
    settings = load_settings()
    assert (settings.base_url, settings.api_token, settings.workers) == (BASE_URL, TOKEN, 4)


def test_a_table_in_a_file(account: None, folder: Path) -> None:
    write(folder, '[sources.pipedrive_leads.on_conflict]\ntitle = "crm"\n')
    assert load_settings().on_conflict == {"title": "crm"}


class Vault(VaultDocProvider):
    """A vault that shows what it has only where it is asked for a secret."""

    def __init__(self, held: dict[str, str], **given: bool) -> None:
        super().__init__(**{"only_secrets": True, "only_toml_fragments": True, **given})
        self._held = held

    @property
    def name(self) -> str:
        return "Vault"

    def _look_vault(self, full_key: str, hint: type) -> str:
        return self._held.get(full_key, None)  # type: ignore[return-value]

    def _list_vault(self) -> set[str]:
        return set(self._held)


class Single(ConfigProvider):
    """A provider of somebody's own, which knows full names and no sections."""

    name = "Single"
    supports_secrets = True
    supports_sections = True

    def __init__(self, held: dict[str, Any]) -> None:
        self._held = held

    def get_value(self, key: str, hint: Any, pipeline_name: Any, *sections: str) -> Any:
        return self._held.get(".".join((*sections, key))), key


def test_a_vault_gives_settings_and_credentials(folder: Path) -> None:
    (folder / "w.duckdb").touch()
    fragment = f'base_url = "{BASE_URL}"\napi_token = "{TOKEN}"\nworkers = 3\n'
    warehouse = f'credentials = "duckdb:///{folder}/v.duckdb"'
    held = {
        "sources.pipedrive_leads": f"[sources.pipedrive_leads]\n{fragment}",
        "destination.warehouse": f"[destination.warehouse]\n{warehouse}",
    }
    dlt.config.register_provider(Vault(held))
    settings = load_settings()
    assert (settings.base_url, settings.api_token, settings.workers) == (BASE_URL, TOKEN, 3)
    with (
        pytest.raises(Exception, match=r"v\.duckdb"),
        open_warehouse(make_pipeline(settings), settings),
    ):
        pass


def test_a_vaults_misspelt_name_stops(folder: Path) -> None:
    fragment = f'[sources.pipedrive_leads]\napi_token = "{TOKEN}"\nmax_patch = "{SECRET}"\n'
    dlt.config.register_provider(Vault({"sources.pipedrive_leads": fragment}))
    assert "max_patch in [sources.pipedrive_leads] of Vault is no setting" in refusal()


def test_a_provider_of_ones_own(account: None) -> None:
    held = {"sources.pipedrive_leads.max_clears": "off", "max_patches": 1, "workers": 2}
    dlt.config.register_provider(Single(held))
    settings = load_settings()
    assert (settings.max_clears, settings.max_patches, settings.workers) == ("off", None, "auto")


def test_a_vault_that_fails_is_named_without_its_words(account: None) -> None:
    class Broken(Single):
        def get_value(self, key: str, hint: Any, pipeline_name: Any, *sections: str) -> Any:
            raise RuntimeError(f"no access with {SECRET}")

    dlt.config.register_provider(Broken({}))
    assert "cannot be read from Single (RuntimeError)" in refusal()


def test_a_token_in_the_open_is_refused(folder: Path) -> None:
    text = f'[sources.pipedrive_leads]\nbase_url = "{BASE_URL}"\napi_token = "{SECRET}"\n'
    write(folder, text)
    assert "move it to secrets.toml" in refusal()


def test_a_missing_setting_says_where_it_was_looked_for(folder: Path) -> None:
    write(folder, "")
    message = refusal()
    assert f"{folder}/.dlt/secrets.toml (not there)" in message
    assert f"{folder}/.dlt/config.toml," in message
    assert "the environment" in message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        (f"{PREFIX}MAX_PATCH", "max_patches"),
        (f"{PREFIX}ON_CONFLIT", "on_conflict"),
        (f"{PREFIX}WORKER", "workers"),
        (f"{PREFIX}API_TOKN", "api_token"),
        (f"{PREFIX}ON_NULL__TITLE", "on_null"),
        (f"{PREFIX}", "is no setting"),
        (f"{PREFIX}max_patches", f"write it {PREFIX}MAX_PATCHES"),
        (f"{PREFIX.lower()}max_patch", "max_patches"),
        ("SOURCES__PIPEDRIVE_LEAD__MAX_PATCHES", PREFIX),
        ("SOURCES__PIPEDRIVELEADS__MAX_PATCHES", PREFIX),
        ("SOURCES__PIPDRIVE_LEADS__MAX_PATCHES", PREFIX),
        ("SOURCE__PIPEDRIVE_LEADS__MAX_PATCHES", PREFIX),
        ("SOURCES_PIPEDRIVE_LEADS_MAX_PATCHES", PREFIX),
        ("SOURCES_PIPEDRIVE_LEADS__MAX_PATCHES", PREFIX),
        ("SOURCES__PIPEDRIVE_LEADS_MAX_PATCHES", PREFIX),
        ("SOURCES__PIPEDRIVE_LEADS", PREFIX),
    ],
)
def test_a_misspelt_variable_stops_with_the_nearest_name(
    account: None, name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    for load in (load_settings, load_warehouse_settings):
        message = refusal(load)
        assert name in message
        assert nearest in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sources.pipedrive_leads]\nmax_patch = 5", "nearest is max_patches"),
        ("[sources.pipedrive_leads]\non_conflit = 'hunter2'", "nearest is on_conflict"),
        ("[sources.pipedrive_leads]\nWorkers = 5", "nearest is workers"),
        ("[sources.pipedrive_leads.on_nul]\ntitle = 'keep'", "nearest is on_null"),
        ("[sources.pipedrive_lead]\nmax_patches = 5", "write [sources.pipedrive_leads]"),
        ("[sources.pipedrive-leads]\nmax_patches = 5", "write [sources.pipedrive_leads]"),
        ("[sources.Pipedrive_Leads]\nmax_patches = 5", "write [sources.pipedrive_leads]"),
        ("[source.pipedrive_leads]\nmax_patches = 5", "write [sources.pipedrive_leads]"),
        ("[pipedrive_leads]\nmax_patches = 5", "write [sources.pipedrive_leads]"),
        ("[sources]\npipedrive_leads = 'hunter2'", "is no section"),
    ],
)
@pytest.mark.parametrize("name", ["config.toml", "secrets.toml"])
def test_a_misspelt_name_in_a_file_stops_with_the_nearest(
    account: None, folder: Path, text: str, told: str, name: str
) -> None:
    write(folder, text, name)
    message = refusal()
    assert told in message
    assert name in message


def test_other_programs_names_are_left_alone(
    account: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        folder,
        "[sources.pipedrive]\npipedrive_api_key = 'x'\n[sources.pipedrive_deals]\nworkers = 2\n"
        "[sources.pipedrive_leads_eu]\nmax_patch = 2\n[sources.hubspot]\nx = 1\n"
        "[pipedrive_leads.load]\nworkers = 2\n[destination.warehouse2]\ncredential = 'x'\n"
        "[destination.duckdb]\ncredential = 'x'\n[extract]\nmax_patch = 2\n",
    )
    for name in (
        "SOURCES__PIPEDRIVE__API_TOKEN",
        "SOURCES__PIPEDRIVE__LEADS__MAX_PATCH",
        "SOURCES__PIPEDRIVE_DEALS__MAX_PATCH",
        "SOURCES__PIPEDRIVE_LEADS_EU__MAX_PATCH",
        "SOURCES__PIPEDRIVE_LEADS2__MAX_PATCH",
        "SOURCES__HUBSPOT__WORKER",
        "PIPEDRIVE_LEADS_MAX_PATCH",
        "DESTINATION__DUCKDB__CREDENTIAL",
        "DESTINATION__WAREHOUSE_EU__CREDENTIAL",
        "MAX_PATCH",
    ):
        monkeypatch.setenv(name, "x")
    make_pipeline(load_settings()).deactivate()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("DESTINATION__WAREHOUSE__CREDENTIAL", "nearest is credentials"),
        ("DESTINATION__WAREHOUSE__DESTINATON_TYPE", "nearest is destination_type"),
        ("DESTINATION__WAREHOUSE__TYPE", "nearest is destination_type"),
        ("DESTINATION__WAREHOUSE__DATABASE", "database under [destination.warehouse.credentials]"),
        ("DESTINATION__WAREHOUSE__PASSWORD", "password under [destination.warehouse.credentials]"),
        ("DESTINATION__WAREHOUS__CREDENTIALS", "begin with DESTINATION__WAREHOUSE__"),
        ("DESTINATIONS__WAREHOUSE__CREDENTIALS", "begin with DESTINATION__WAREHOUSE__"),
        ("DESTINATION_WAREHOUSE_CREDENTIALS", "begin with DESTINATION__WAREHOUSE__"),
    ],
)
def test_a_misspelt_name_of_the_destination_stops(
    account: None, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    settings = load_settings()
    assert told in refusal(lambda: make_pipeline(settings))


@pytest.mark.parametrize("kind", ["postgress", "DuckDB", "warehouse", "my.own.thing", " ", "a b"])
def test_an_unknown_destination_type_stops(
    account: None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__WAREHOUSE__DESTINATION_TYPE", kind)
    settings = load_settings()
    message = refusal(lambda: make_pipeline(settings))
    assert f"destination_type {kind!r}" in message
    assert {"postgress": "postgres", "DuckDB": "duckdb"}.get(kind, "") in message


HOSTILE = {
    "PASSWORD": SECRET,
    "HOST": "evil.example",
    "DATABASE": "evil",
    "USERNAME": "evil",
    "READ_ONLY": "true",
    "CREDENTIALS": "duckdb:////evil.duckdb",
    "CREDENTIALS__DATABASE": "evil",
    "DESTINATION__CREDENTIALS": "duckdb:////evil.duckdb",
    "DESTINATION__CREDENTIALS__PASSWORD": SECRET,
    "DESTINATION_TYPE": "postgres",
    "DESTINATION_NAME": "evil",
    "DATASET_NAME": "evil",
    "DATASET_NAME_LAYOUT": "evil_%s",
    "PIPELINES_DIR": "/evil",
    "DEV_MODE": "true",
    "REFRESH": "drop_sources",
    "PIPELINES__REFRESH": "drop_sources",
    "PIPELINES__PIPEDRIVE_LEADS__REFRESH": "drop_sources",
    "PIPEDRIVE_LEADS__DESTINATION__WAREHOUSE__CREDENTIALS": "duckdb:////evil.duckdb",
    "STAGING_TYPE": "filesystem",
    "NAMING": "evil",
    "SCHEMA__NAMING": "evil",
    "WORKERS": "many",
    "LOADER_FILE_FORMAT": "parquet",
    "REPLACE_STRATEGY": "evil",
}


def test_bare_names_reach_neither_the_destination_nor_a_load(
    account: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = folder / "w.duckdb"
    duckdb.connect(str(database)).close()
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESTINATION__WAREHOUSE__CREDENTIALS", f"duckdb:///{database}")
    settings = load_settings()
    pipeline = make_pipeline(settings)
    assert (pipeline.dataset_name, pipeline.dev_mode, pipeline.refresh) == (
        "pipedrive_leads",
        False,
        None,
    )
    assert Path(pipeline.working_dir) == working_folder(settings)
    with open_warehouse(pipeline, settings) as warehouse:
        pipeline.run([{"id": 1}], table_name="t")
        assert [row["id"] for row in warehouse.query("SELECT id FROM pipedrive_leads.t")] == [1]
        assert warehouse.place == f"file {database}"
    credentials = pipeline.sql_client().credentials
    assert isinstance(credentials, ConnectionStringCredentials)
    assert (credentials.password, credentials.host, credentials.username) == (None, None, None)
    pipeline.deactivate()


def test_bare_names_do_not_complete_the_credentials_of_another_warehouse(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESTINATION__WAREHOUSE__DESTINATION_TYPE", "postgres")
    settings = load_settings()

    def opened() -> None:
        with open_warehouse(make_pipeline(settings), settings):
            raise AssertionError

    message = refusal(opened)
    assert "the warehouse lacks credentials" in message
    assert "DESTINATION__WAREHOUSE__CREDENTIALS" in message
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    monkeypatch.delitem(sys.modules, "dlt.destinations.impl.postgres.sql_client", raising=False)
    monkeypatch.delitem(sys.modules, "dlt.destinations.impl.postgres.postgres", raising=False)
    monkeypatch.delitem(sys.modules, "connector.warehouse.postgres", raising=False)
    monkeypatch.setenv("DESTINATION__WAREHOUSE__CREDENTIALS", "postgresql://u:pw@h/db")
    assert "pip install 'dlt[postgres]'" in refusal(opened)


SHOWN_OF_CONNECTIONS = {
    'could not translate host name "pre@tail@127.0.0.1" to': 'host name "…@127.0.0.1" to',
    "postgresql://loader:***@tail@127.0.0.1:1/books": "…@127.0.0.1:1/books",
    "at postgresql://loader@db/books": "…@db/books",
    "host=db password=a@b c": "host=db password=…",
    "no file /home/me@example.com/a.duckdb": "no file /home/me@example.com/a.duckdb",
}


def test_what_stands_before_a_host_is_hidden() -> None:
    def check(case: tuple[str, str]) -> None:
        shown = redact(case[0])
        assert shown.endswith(case[1])
        assert "tail" not in shown

    check_each(SHOWN_OF_CONNECTIONS.items(), check)
    assert not may_hold_password("/home/me@example.com/a.duckdb")


def test_the_full_names_of_dlts_steps_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD__WORKERS", "3")
    monkeypatch.setenv("WORKERS", "4")
    with own_configuration():
        assert dlt.config.get("load.workers") == "3"
        assert dlt.config.get("load.delete_completed_jobs") is True
        assert dlt.config.get("workers") is None


@pytest.mark.parametrize("name", sorted(NOT_TUNED))
def test_what_would_lose_rows_or_hang_stays_as_dlt_has_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for section in ("load", "normalize"):
        monkeypatch.setenv(f"{section}__{name}".upper(), "of another pipeline")
        with own_configuration():
            assert dlt.config.get(f"{section}.{name}") is None
        assert dlt.config.get(f"{section}.{name}") == "of another pipeline"


def test_other_threads_and_other_times_see_dlt_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "4")
    seen: list[Any] = []

    def look() -> None:
        seen.extend([dlt.config.get("workers"), dlt.config.get("load.delete_completed_jobs")])

    with own_configuration():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert seen == ["4", None, "4", None]


@pytest.mark.parametrize("first_out", ["the thread", "its pool"])
def test_a_thread_and_dlts_pool_of_it_leave_the_job_in_any_order(
    monkeypatch: pytest.MonkeyPatch, first_out: str
) -> None:
    """A load job asks for the destination's settings while dlt's own thread does so."""
    monkeypatch.setenv("WORKERS", "4")
    entered, leave = threading.Event(), threading.Event()

    def be_within() -> None:
        with own_configuration():
            entered.set()
            assert leave.wait(PATIENCE_SECONDS)

    name = f"dlt-pool-{threading.get_ident()}-0"
    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool, ExitStack() as job:
        job.enter_context(own_configuration())
        left = pool.submit(be_within)
        assert entered.wait(PATIENCE_SECONDS)
        if first_out == "the thread":
            job.close()
        else:
            leave.set()
            left.result()
        assert dlt.config.get("workers") is None
        leave.set()
        left.result()
    assert dlt.config.get("workers") == "4"


def test_the_log_and_the_telemetry_of_dlt_are_silent_within_the_job_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RUNTIME__DLTHUB_TELEMETRY", raising=False)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("dlt")
    logger.addHandler(handler)
    try:
        with own_configuration():
            logger.error("within")
            assert anon_tracker.before_send({"event": "within"}) is None
            monkeypatch.setenv("RUNTIME__LOG_LEVEL", "WARNING")
            monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "true")
            logger.error("asked for")
            assert anon_tracker.before_send({"event": "asked for"}) == {"event": "asked for"}
        logger.error("outside")
        assert anon_tracker.before_send({"event": "outside"}) == {"event": "outside"}
    finally:
        logger.removeHandler(handler)
    assert lines == ["asked for", "outside"]
