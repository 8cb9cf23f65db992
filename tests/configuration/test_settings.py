"""Settings: where they come from, what is refused before anything is opened or sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from connector.configuration.providers import variable
from connector.errors import ConfigError
from connector.settings import SECTION, Settings, load_settings, load_warehouse_settings

TOKEN = "b1946ac92492d2347c6235b4d2611184c0ffee42"
GIVEN: dict[str, Any] = {"base_url": "https://acme.pipedrive.com", "api_token": TOKEN}


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@contextmanager
def set_in_file(
    folder: Path, values: Mapping[str, Any], name: str = "config.toml"
) -> Iterator[None]:
    """Sets values in one of dlt's files, and lets dlt read it."""
    (folder / ".dlt").mkdir()
    document = {"sources": {"pipedrive_leads": values}}
    (folder / ".dlt" / name).write_text(tomlkit.dumps(document))
    context = Container()[PluggableRunContext]
    context.reload_providers()
    yield
    (folder / ".dlt" / name).unlink()
    context.reload_providers()


def load(**given: Any) -> Settings:
    return load_settings(**{**GIVEN, **given})


def test_defaults() -> None:
    settings = load()
    assert (settings.desired_table, settings.dataset_name) == (
        "crm.lead_changes",
        "pipedrive_leads",
    )
    assert settings.unarchive is False


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
        "https://acme.pipedrive.com:8443",
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
    ],
)
def test_urls_that_keep_the_token_safe(url: str) -> None:
    assert load(base_url=url).base_url == url


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://acme.pipedrive.com/", "https://acme.pipedrive.com"),
        (" https://acme.pipedrive.com\n", "https://acme.pipedrive.com"),
        ("\thttps://acme.pipedrive.com/ ", "https://acme.pipedrive.com"),
        ("HTTPS://Acme.Pipedrive.com", "https://acme.pipedrive.com"),
        ("https://acme.pipedrive.com:0443", "https://acme.pipedrive.com:443"),
        ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]:80"),
    ],
)
def test_the_client_is_given_the_rebuilt_origin(url: str, origin: str) -> None:
    assert load(base_url=url).base_url == origin


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
        ("", "no URL"),
        ("https://acme.pipedrive.com/api/v1", "leave out /api/v1"),
        ("https://acme.pipedrive.com/api/v1/", "leave out /api/v1"),
        ("https://acme.pipedrive.com//", "leave out /"),
        ("https://acme.pipedrive.com?x", r"leave out \?x"),
        ("https://acme.pipedrive.com#y", "leave out #y"),
        ("https://acme.pipedrive.com/a?x#y", r"leave out /a and \?x and #y"),
        ("https://ada@acme.pipedrive.com", "leave out the user name"),
        ("https://acme.pipedrive.com:", "a port that cannot be"),
        ("https://acme.pipedrive.com:0", "a port that cannot be"),
        ("https://acme.pipedrive.com:65536", "a port that cannot be"),
        ("https://acme.pipedrive.com:٤٤٣", "no address has"),
        ("https://acme pipedrive.com", "no address has"),
        ("https://acme.pipedrive.com\n.example.com", "no address has"),
        ("https://acmé.pipedrive.com", "no address has"),
        ("https://acme%2epipedrive.com", "a host that cannot be"),
        ("https://acme..pipedrive.com", "a host that cannot be"),
        ("https://[::1", "a port that cannot be"),
        ("https://[fe80::1%25eth0]", "a host that cannot be"),
        ("http://127.0.0.2:80\\@127.0.0.1", "no address has"),
        ("http://127.1", "use https"),
        ("http://localhost.", "use https"),
    ],
)
def test_urls_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2@acme.pipedrive.com",
        "http://ada:hunter2@acme.pipedrive.com/api/v1?hunter2",
        "https://ada:hun/ter2hunter2@acme.pipedrive.com",
        "https://ada:hunter2",
        "https://acme.pipedrive.com?api_token=hunter2",
        "https://acme.pipedrive.com#token=hunter2",
        "ada:hunter2@acme.pipedrive.com",
        "ftp://ada:hunter2@acme.pipedrive.com",
        "https://ada:hunter2\\@acme.pipedrive.com",
    ],
)
def test_no_message_about_a_url_repeats_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(base_url=url)
    assert "hunter2" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "table",
    ["leads", "crm.leads", "db.crm.leads", "crm.leads$2", "_a.b1", '"A b"."c"', "`p-1`.d.t"],
)
def test_table_names(table: str) -> None:
    assert load(desired_table=table).desired_table == table


@pytest.mark.parametrize(
    "table",
    [
        "",
        " ",
        "a b",
        "a;b",
        "crm.leads; DROP TABLE x",
        "a.b.c.d",
        ".a",
        "a.",
        '"a',
        "a--",
        "a\n",
        '""',
        '"a%b"',
        '"a" b',
    ],
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
    with pytest.raises(ConfigError, match="burst, tokn; the nearest: burst_limit, api_token"):
        load(tokn="x", burst=1)


WRONG: list[tuple[str, Any]] = [
    ("workers", "abc"),
    ("workers", 2.5),
    ("workers", True),
    ("workers", [3]),
    ("workers", ""),
    ("workers", 10**30),
    ("chunk_size", 10**6),
    ("max_attempts", 1e300),
    ("timeout_seconds", "inf"),
    ("timeout_seconds", "nan"),
    ("timeout_seconds", 1e9),
    ("timeout_seconds", True),
    ("timeout_seconds", "soon"),
    ("recheck_hours", "-inf"),
    ("max_seconds", {}),
    ("token_budget", "1e400"),
    ("token_budget", 0.5),
    ("burst_limit", False),
    ("unarchive", "perhaps"),
    ("unarchive", 2),
    ("unarchive", [True]),
    ("on_null", "{"),
    ("on_null", "drop"),
    ("on_null", ""),
    ("on_null", 5),
    ("on_null", True),
    ("on_null", ["clear"]),
    ("on_null", '{"title": "drop"}'),
    ("on_null", {"title": ["keep"]}),
    ("on_conflict", "{}}"),
    ("on_conflict", "mine"),
    ("columns", "{"),
    ("columns", 80),
    ("columns", "80"),
    ("columns", {"score": 5}),
    ("columns", {"score": "a", "Score": "b"}),
    ("columns", {"lead_x": "channel_id", "leadx": "title"}),
    ("columns", ["score"]),
    ("only_if_blank", 5),
    ("only_if_blank", [5]),
    ("only_if_blank", '["title"'),
    ("only_if_blank", {"title": 1}),
    ("tolerate", "perhaps"),
    ("tolerate", True),
    ("timezone", 1),
    ("dataset_name", 1),
    ("desired_table", 5),
    ("pipeline_name", 5),
    ("api_token", 12345),
    ("base_url", 5),
    ("empty_desired", "never"),
    ("empty_desired", True),
    ("max_clears", "many"),
    ("max_clears", True),
    ("max_clears", []),
    ("max_patches", 10**30),
    ("max_changed_percent", "nan"),
    ("max_age", "soon"),
    ("max_age", True),
]


def test_two_mapped_names_that_are_one_are_both_told() -> None:
    told = r"maps 'lead_x' to 'title' and 'Lead X' to 'channel_id', which are one name but for case"
    with pytest.raises(ConfigError, match=told):
        load_settings(**GIVEN, columns={"lead_x": "title", "Lead X": "channel_id"})
    alike = {"lead_x": "title", "Lead X": "title"}
    assert load_settings(**GIVEN, columns=alike).columns == {"lead_x": "title", "lead x": "title"}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_values_of_a_wrong_type_are_refused_wherever_they_come_from(
    name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**given: Any) -> str:
        with pytest.raises(ConfigError) as raised:
            load_settings(**{**GIVEN, name: None, **given})
        message = str(raised.value)
        assert message.startswith(name)
        assert len(message.splitlines()) == 1
        assert len(message) < 300
        return message

    from_python = refused(**{name: value})
    with set_in_file(tmp_path, {name: value}, "secrets.toml"):
        assert refused() == from_python
    if isinstance(value, str):
        monkeypatch.setenv(variable(SECTION, name), value)
        assert refused() == from_python


@pytest.mark.parametrize(
    ("name", "value", "text", "read"),
    [
        ("workers", 3, "3", 3),
        ("workers", 3.0, " 3 ", 3),
        ("workers", "auto", " auto ", "auto"),
        ("timeout_seconds", 5, "5", 5.0),
        ("recheck_hours", 0.5, "0.5", 0.5),
        ("unarchive", True, "true", True),
        ("unarchive", False, "False", False),
        ("tolerate", "rejected", "rejected", ["rejected"]),
        (
            "tolerate",
            ("rejected", "archived"),
            '["rejected", "archived"]',
            ["rejected", "archived"],
        ),
        ("only_if_blank", "title", "title", ["title"]),
        ("only_if_blank", ["title", "Deal cost"], "title, Deal cost", ["title", "Deal cost"]),
        ("columns", {"Score": "Lead score"}, '{"Score": "Lead score"}', {"score": "Lead score"}),
        ("columns", "", "", {}),
        ("on_null", "keep", "keep", "keep"),
        ("on_null", {"title": "keep"}, '{"title": "keep"}', {"title": "keep"}),
        ("on_conflict", {"title": "crm"}, '{"title": "crm"}', {"title": "crm"}),
        ("desired_table", "a.b", "a.b", "a.b"),
    ],
)
def test_a_value_is_read_alike_from_python_the_environment_and_a_file(
    name: str,
    value: Any,
    text: str,
    read: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert getattr(load(**{name: value}), name) == read
    assert type(getattr(load(**{name: value}), name)) is type(read)
    with set_in_file(tmp_path, {name: value}):
        assert getattr(load(), name) == read
        monkeypatch.setenv(variable(SECTION, name), text)
        assert getattr(load(), name) == read


def test_the_token_is_not_shown() -> None:
    settings = load()
    assert TOKEN not in repr(settings)
    assert TOKEN not in str(settings)
    assert TOKEN not in f"{settings!s:>10}"


def test_a_token_with_a_line_break_at_its_end_is_taken_without_it() -> None:
    assert load(api_token=f" {TOKEN}\n").api_token == TOKEN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset_name", "a\udcff"),
        ("pipeline_name", "a\udcff"),
        ("desired_table", 'crm."a\udcff"'),
        ("columns", '{"score": "Lead \udcff"}'),
        ("attached", '{"marts": "/data/\udcff.duckdb"}'),
    ],
)
def test_text_that_is_no_utf_8_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"^{name} .*is no UTF-8; write it anew$"):
        load(**{name: value})
    monkeypatch.setenv(variable(SECTION, name), value)
    with pytest.raises(ConfigError, match=f"^{name} .*is no UTF-8; write it anew$"):
        load()


@pytest.mark.parametrize("given", [{"workers": 0}, {"base_url": "x"}, {"tokn": 1}])
def test_a_problem_does_not_show_the_token(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        load(**given)
    assert TOKEN not in str(raised.value)


def test_reading_what_runs_wrote_needs_no_token() -> None:
    assert load_warehouse_settings(dataset_name="d").dataset_name == "d"
