"""Settings: where they come from, what is refused before anything is opened or sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.settings import Settings, load_settings, load_warehouse_settings, problems_of

TOKEN = "b1946ac92492d2347c6235b4d2611184c0ffee42"
GIVEN: dict[str, Any] = {"base_url": "https://acme.pipedrive.com", "api_token": TOKEN}


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def load(**given: Any) -> Settings:
    return load_settings(**{**GIVEN, **given})


def test_defaults() -> None:
    settings = load()
    assert (settings.desired_table, settings.dataset_name) == (
        "crm.lead_changes",
        "pipedrive_leads",
    )
    assert settings.unarchive is False
    assert problems_of(settings) == []


@pytest.mark.parametrize("name", ["base_url", "api_token"])
def test_what_is_missing_is_told_with_its_place(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(**{name: None})
    assert name in str(raised.value)
    assert f"SOURCES__PIPEDRIVE_LEADS__{name.upper()}" in str(raised.value)
    assert "[sources.pipedrive_leads]" in str(raised.value)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**GIVEN, "desired_table": "a.b", "workers": "3", "tolerate": '["archived"]'}
    for name, value in given.items():
        monkeypatch.setenv(f"SOURCES__PIPEDRIVE_LEADS__{name.upper()}", value)
    settings = load_settings()
    assert (settings.base_url, settings.api_token) == (GIVEN["base_url"], TOKEN)
    assert (settings.desired_table, settings.workers) == ("a.b", 3)
    assert settings.tolerate == ["archived"]
    assert load_settings(workers=5).workers == 5
    assert load_settings(workers=None).workers == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.pipedrive.com",
        "https://acme.pipedrive.com/",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
    ],
)
def test_urls_that_keep_the_token_safe(url: str) -> None:
    assert load(base_url=url).base_url == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://acme.pipedrive.com", "use https"),
        ("http://127.0.0.1.example.com", "use https"),
        ("http://10.0.0.1", "use https"),
        ("http://localhost@example.com", "use https"),
        ("ftp://acme.pipedrive.com", "no URL"),
        ("acme.pipedrive.com", "no URL"),
        ("https://", "no URL"),
        ("acme", "no URL"),
    ],
)
def test_urls_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(base_url=url)


@pytest.mark.parametrize("table", ["leads", "crm.leads", "db.crm.leads", "crm.leads$2", "_a.b1"])
def test_table_names(table: str) -> None:
    assert load(desired_table=table).desired_table == table


@pytest.mark.parametrize(
    "table",
    ["", " ", "a b", "a;b", "crm.leads; DROP TABLE x", "a.b.c.d", ".a", "a.", '"a"', "a--", "a\n"],
)
def test_table_names_that_are_refused(table: str) -> None:
    with pytest.raises(ConfigError, match="no table name"):
        load(desired_table=table)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 0),
        ("workers", -1),
        ("chunk_size", 0),
        ("max_attempts", 0),
        ("timeout_seconds", 0.0),
        ("timeout_seconds", -1.0),
        ("burst_limit", -1),
        ("breaker_percent", -1),
        ("recheck_hours", -1.0),
        ("recheck_hours", float("nan")),
        ("recheck_hours", 1e12),
        ("max_seconds", -1.0),
        ("max_seconds", float("nan")),
        ("max_seconds", float("inf")),
        ("breaker_percent", 100),
        ("timezone", "Mars/Olympus"),
        ("timezone", ""),
        ("tolerate", ["perhaps"]),
        ("api_token", "to ken"),
        ("api_token", "tök€n"),
    ],
)
def test_values_out_of_bounds(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        load(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 1),
        ("burst_limit", 0),
        ("burst_limit", 20),
        ("breaker_percent", 0),
        ("recheck_hours", 0),
        ("recheck_hours", 0.5),
        ("breaker_percent", 1),
        ("breaker_percent", 99),
        ("timezone", "Europe/Berlin"),
        ("tolerate", ["archived", "not_found"]),
        ("columns", {"score": "Lead score"}),
    ],
)
def test_values_within_bounds(name: str, value: Any) -> None:
    assert getattr(load(**{name: value}), name) == value


def test_a_share_that_could_never_be_met_is_refused_with_what_may_be_given() -> None:
    with pytest.raises(ConfigError, match="breaker_percent 100 must be 1 to 99, or 0 for off"):
        load(breaker_percent=100)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="burst, tokn"):
        load(tokn="x", burst=1)


def test_values_of_a_wrong_type_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__PIPEDRIVE_LEADS__WORKERS", "many")
    with pytest.raises(ConfigError, match="workers"):
        load()


def test_the_token_is_not_shown() -> None:
    settings = load()
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(settings)
    assert TOKEN not in f"{settings!s:>10}"


def test_a_token_with_a_line_break_at_its_end_is_taken_without_it() -> None:
    assert load(api_token=f" {TOKEN}\n").api_token == TOKEN


@pytest.mark.parametrize("given", [{"workers": 0}, {"base_url": "x"}, {"tokn": 1}])
def test_a_problem_does_not_show_the_token(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        load(**given)
    assert TOKEN not in str(raised.value)


def test_reading_what_runs_wrote_needs_no_token() -> None:
    assert load_warehouse_settings(dataset_name="d").dataset_name == "d"
