"""`lead-sync init`: from nothing to a first plan, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
import yaml  # type: ignore[import-untyped]

from connector.configuration.providers import DESIRED, WAREHOUSE
from connector.scaffold.models import Model, dbt_model, dbt_schema
from connector.scaffold.project import Place, complete_address, parse_place
from tests.support.cases import check_each
from tests.support.forking import COMMAND
from tests.support.harness import (
    PATIENCE_SECONDS,
    Ended,
    Row,
    Site,
    bodies,
    ended_at_last,
    run_to_end,
)

pytestmark = pytest.mark.xdist_group("scaffold")

OWN = "SOURCES__PIPEDRIVE_LEADS__API_TOKEN"


def environment(site: Site, **more: str) -> dict[str, str]:
    """The environment of somebody new: no setting of ours."""
    kept = {name: value for name, value in os.environ.items() if "__" not in name}
    own = {"DLT_DATA_DIR": str(site.data_dir), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    return {**kept, **own, **more}


def call(site: Site, *arguments: str, **more: str) -> Ended:
    """Call a command in the project's folder."""
    call = [str(COMMAND), *arguments]
    return run_to_end(call, environment(site, **more), cwd=site.folder, forked=True)


def init(site: Site, *arguments: str, **more: str) -> Ended:
    """Begin a project with all that is needed given by flags."""
    token = {"MY_TOKEN": site.pipedrive.api_token}
    given = ("--base-url", site.pipedrive.base_url, "--token-env", "MY_TOKEN", "--yes")
    return call(site, "init", *given, *arguments, **token, **more)


def build(site: Site, sql: str) -> None:
    """Run a model's SQL in the warehouse."""
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(sql)


def test_from_nothing_to_a_first_plan(site: Site) -> None:
    begun = init(site)
    assert (begun.code, begun.stderr) == (0, "")
    assert site.pipedrive.api_token not in begun.stdout
    before = call(site, "check")
    assert [line[:20] for line in before.stdout.splitlines() if line.startswith("problem")] == [
        "problem  warehouse: "
    ]
    assert f"there is no DuckDB file {site.database}" in before.told
    build(site, (site.folder / "lead_changes.sql").read_text())
    checked = call(site, "check")
    assert checked.code == 0, checked.told
    assert "columns: manages title" in checked.told
    assert call(site, "columns").code == 0
    planned = call(site, "plan")
    assert planned.code == 0, planned.told
    assert "0 leads to change, 1 unchanged" in planned.told
    assert bodies(site.pipedrive) == {}


def test_the_settings_are_where_they_belong(site: Site) -> None:
    init(site, "--desired-table", "mart.wishes")
    secrets = site.folder / ".dlt/secrets.toml"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert tomllib.loads(secrets.read_text()) == {
        "sources": {"pipedrive_leads": {"api_token": site.pipedrive.api_token}},
        "destination": {"warehouse": {"credentials": {"database": str(site.database)}}},
    }
    assert tomllib.loads((site.folder / ".dlt/config.toml").read_text()) == {
        "sources": {
            "pipedrive_leads": {
                "base_url": site.pipedrive.base_url,
                "desired_table": "mart.wishes",
            }
        },
        "destination": {"warehouse": {"destination_type": "duckdb"}},
    }
    assert (site.folder / ".gitignore").read_text() == ".dlt/secrets.toml\n"
    assert "CREATE TABLE mart.wishes AS" in (site.folder / "wishes.sql").read_text()


QUOTED_TABLES = {
    '"Marts"."Leads"': "Leads",
    '"a.b"."le""ads.x"': "le_ads_x",
    'main."""../Order"""': "____Order_",
    '"order"."a b"': "a b",
}
"""Names that only quotes can spell, and their models' files."""


def test_a_table_whose_name_needs_quotes(site: Site) -> None:
    """What the model builds is what the settings name."""

    def check(case: tuple[str, str]) -> None:
        table, name = case
        told = init(site, "--desired-table", table)
        assert (told.code, told.stderr) == (0, "")
        model = site.folder / f"{name}.sql"
        build(site, model.read_text())
        with duckdb.connect(str(site.database)) as connection:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
        assert call(site, "columns").code == 0
        shutil.rmtree(site.folder / ".dlt")

    check_each(QUOTED_TABLES.items(), check)


def test_a_dbt_model_whose_name_needs_quotes() -> None:
    """dbt builds a model under the name of its file, unless an alias says otherwise."""
    model = Model('"It\'s"."a.b"', "Acme", ())
    config = "{{ config(materialized='table', alias='a.b', schema='It\\'s') }}"
    assert config in dbt_model(model).splitlines()
    assert yaml.safe_load(dbt_schema(model))["models"][0]["name"] == model.file_name == "a_b"


def test_every_column_of_the_model_maps_to_its_field(site: Site) -> None:
    """With all dashes taken away, over a source that has the columns."""
    definition = {
        "key": "a1" * 20,
        "name": 'Order {{ env_var("HOME") }} \n; DROP TABLE x; --',
        "field_type": "enum",
        "options": [{"id": 1, "label": "{% raw %}\nSELECT"}],
    }
    more = {"key": "b2" * 20, "name": "Select", "field_type": "varchar"}
    answer = {"success": True, "data": [definition, more]}
    site.pipedrive.fault("status", status=200, route="leadFields", body=answer, times=100)
    init(site)
    model = (site.folder / "lead_changes.sql").read_text()
    assert "{{" not in model
    assert "{%" not in model
    assert '"select"' in model
    shown = re.sub(r"^--  ,", "    ,", model, flags=re.MULTILINE)
    names = re.findall(r"^    , (\S+)", shown, re.MULTILINE)
    assert len(names) == 15
    rows = ", ".join(f"NULL AS {name}" for name in names if name != "title")
    build(site, shown.replace(" AS title\n", f" AS title, {rows}\n"))
    told = call(site, "columns")
    assert (told.code, "problem" in told.stdout) == (0, False), told.told


def test_nothing_that_was_there_is_overwritten(site: Site) -> None:
    files = (".dlt/config.toml", ".dlt/secrets.toml", "lead_changes.sql", "models/schema.yml")
    for name in files:
        file = site.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("# mine\n")
    (site.folder / ".gitignore").write_bytes(b"*.log\r\nbuild")
    (site.folder / "models/lead_changes.sql").symlink_to("elsewhere.sql")
    for form in ((), ("--dbt",)):
        told = init(site, *form)
        assert told.code == 0
        assert site.pipedrive.api_token not in told.told
    assert [(site.folder / name).read_text() for name in files] == ["# mine\n"] * len(files)
    assert not (site.folder / "models/elsewhere.sql").exists()
    assert (site.folder / "models/lead_changes.yml").is_file()
    ignored = (site.folder / ".gitignore").read_bytes()
    assert ignored == b"*.log\r\nbuild\r\n.dlt/secrets.toml\r\n"
    assert "left      .dlt/config.toml: it needs these lines:" in told.stdout
    assert f'base_url = "{site.pipedrive.base_url}"' in told.stdout
    assert "others can read it: chmod 600 .dlt/secrets.toml; it needs" in told.told
    assert 'api_token = "…"' in told.stdout


def test_a_second_time_changes_nothing(site: Site) -> None:
    init(site)
    before = {file: file.read_bytes() for file in site.folder.rglob("*") if file.is_file()}
    told = init(site)
    assert told.code == 0
    assert told.stdout.count("left ") == 4
    assert told.stdout.count("it is just so") == 2
    after = {file: file.read_bytes() for file in site.folder.rglob("*") if file.is_file()}
    assert after == before


def test_a_dbt_model_with_its_schema(site: Site) -> None:
    told = init(site, "--dbt")
    assert told.code == 0
    assert "dbt build --select lead_changes" in told.stdout
    assert not (site.folder / "lead_changes.sql").exists()
    model = (site.folder / "models/lead_changes.sql").read_text()
    assert "{{ config(materialized='table', schema='crm') }}" in model
    [config] = re.findall(r"\{.*\}", model)
    build(
        site,
        f"CREATE SCHEMA main_crm; CREATE TABLE main_crm.lead_changes AS {_without(model, config)}",
    )
    checked = call(site, "check")
    assert "set desired_table to main_crm.lead_changes" in checked.told
    schema = (site.folder / "models/schema.yml").read_text()
    [described] = yaml.safe_load(schema)["models"]
    assert described["name"] == "lead_changes"
    assert [one["name"] for one in described["columns"]] == ["lead_id", "title"]
    [whole] = yaml.safe_load(re.sub(r"^      # ", "      ", schema, flags=re.MULTILINE))["models"]
    tiers = next(one for one in whole["columns"] if one["name"] == "tier")
    assert tiers["tests"] == [{"accepted_values": {"values": ["Gold", "Silver", "Bronze"]}}]


def _without(model: str, config: str) -> str:
    return model.replace(config, "")


def manifest(site: Site, *nodes: Row) -> str:
    file = site.folder / "target/manifest.json"
    file.parent.mkdir(exist_ok=True)
    whole = {
        f"{node.get('resource_type', 'model')}.shop.{number}": {
            "resource_type": "model",
            "unique_id": f"model.shop.{number}",
            "name": "lead_changes",
            "alias": "lead_changes",
            "schema": "main_crm",
            "database": "warehouse",
            "original_file_path": "models/lead_changes.sql",
            **node,
        }
        for number, node in enumerate(nodes)
    }
    file.write_text(json.dumps({"nodes": whole}))
    return "target/manifest.json"


def test_the_relation_comes_from_a_dbt_project(site: Site) -> None:
    site.desire_titles({})
    build(site, "CREATE SCHEMA main_crm; CREATE TABLE main_crm.wishes AS FROM crm.lead_changes")
    file = manifest(site, {"alias": "wishes"}, {"name": "other"})
    told = init(site, "--dbt-manifest", file, "lead_changes")
    assert told.code == 0
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    table = config["sources"]["pipedrive_leads"]["desired_table"]
    assert table == "warehouse.main_crm.wishes"
    assert not list(site.folder.rglob("*.sql"))
    checked = call(site, "check")
    assert checked.code == 0, checked.told


def test_what_is_wrong_with_a_manifest_is_told_before_anything_is_written(site: Site) -> None:
    broken = site.folder / "broken.json"
    broken.write_text("{")
    empty = site.folder / "empty.json"
    empty.write_text('{"nodes": []}')

    def refused(file: str, model: str = "lead_changes") -> str:
        told = init(site, "--dbt-manifest", file, model)
        assert told.code == 1
        assert told.stderr.count("\n") == 1
        assert not (site.folder / ".dlt").exists()
        return told.stderr

    assert "run `dbt parse` first" in refused("none.json")
    assert "is no JSON" in refused("broken.json")
    assert "is no manifest of dbt" in refused("empty.json")
    assert "did you mean lead_changes?" in refused(manifest(site, {}), "lead_chnages")
    two = manifest(site, {}, {})
    assert "2 models lead_changes; give model.shop.0 or model.shop.1" in refused(two)
    ephemeral = {"config": {"materialized": "ephemeral"}}
    assert "is ephemeral" in refused(manifest(site, ephemeral))
    assert "which only quotes can name" in refused(manifest(site, {"schema": "a b"}))


def test_what_is_missing_is_told_with_its_flag(site: Site) -> None:
    nothing = call(site, "init", "--yes")
    assert (nothing.code, nothing.stdout) == (1, "")
    assert "--base-url is missing, and nobody is there to ask" in nothing.stderr
    url = ("init", "--yes", "--base-url", site.pipedrive.base_url)
    tokenless = call(site, *url)
    assert f"there is no API token; set {OWN}, or give it to --token-stdin" in tokenless.told
    assert (
        "--token-env names NONE, which is not set" in call(site, *url, "--token-env", "NONE").told
    )
    wrong = init(site, "--warehouse", "postgres://user:pass@host/db")
    assert "--warehouse is a URL; give the type, such as postgres" in wrong.told
    assert "pass@" not in wrong.told
    assert "--desired-table is no table name" in init(site, "--desired-table", "a b").told
    assert not list(site.folder.iterdir())


def test_a_wrong_token_is_found_out_before_anything_is_written(site: Site) -> None:
    told = call(
        site, "init", "--yes", "--base-url", site.pipedrive.base_url, **{OWN: "wrong-token"}
    )
    assert (told.code, told.stderr.count("\n")) == (1, 1)
    assert "wrong-token" not in told.told
    assert not (site.folder / ".dlt").exists()


def test_a_file_that_cannot_be_written_is_one_line(site: Site) -> None:
    (site.folder / ".dlt").write_text("a file")
    told = init(site)
    assert (told.code, told.stderr.count("\n")) == (1, 1)
    assert ".dlt/config.toml cannot be written" in told.stderr


def test_the_token_comes_from_standard_input(site: Site) -> None:
    flags = ("--base-url", site.pipedrive.base_url, "--token-stdin")
    done = subprocess.run(
        [str(COMMAND), "init", *flags],
        input=f"{site.pipedrive.api_token}\n",
        env=environment(site),
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    secrets = tomllib.loads((site.folder / ".dlt/secrets.toml").read_text())
    assert secrets["sources"]["pipedrive_leads"]["api_token"] == site.pipedrive.api_token


def test_no_flag_takes_a_secret() -> None:
    told = subprocess.run(
        [str(COMMAND), "init", "--help"], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"--[a-z-]+", told.stdout)) == {
        *("--base-url", "--warehouse", "--desired-table", "--token-stdin", "--token-env"),
        *("--desired", "--dbt", "--dbt-manifest", "--no-model", "--yes", "--help"),
    }


def test_another_warehouse_is_told_apart(site: Site) -> None:
    url = "postgresql://me:hunter2@db/crm"
    told = init(site, "--warehouse", "postgres", DESTINATION__WAREHOUSE__CREDENTIALS=url)
    assert told.code == 0
    assert "hunter2" not in told.told
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    assert config["destination"] == {"warehouse": {"destination_type": "postgres"}}
    secrets = tomllib.loads((site.folder / ".dlt/secrets.toml").read_text())
    assert secrets["destination"] == {"warehouse": {"credentials": url}}


def answered(site: Site, *answers: tuple[str, str]) -> tuple[int, str]:
    """Answer each question at a terminal as it is asked; return the exit code and the screen."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [str(COMMAND), "init"],
        env=environment(site, TERM="xterm-256color"),
        cwd=site.folder,
        stdin=its,
        stdout=its,
        stderr=its,
        text=True,
        start_new_session=True,
    )
    os.close(its)
    with ended_at_last(process):
        screen = ""
        for question, answer in answers:
            screen += _read_until(ours, question)
            os.write(ours, f"{answer}\n".encode())
        screen += _read_until(ours, "")
        code = process.wait(timeout=PATIENCE_SECONDS)
    os.close(ours)
    return code, screen


def _read_until(terminal: int, text: str) -> str:
    seen = ""
    try:
        while not text or text not in seen:
            seen += os.read(terminal, 65536).decode()
    except OSError:  # nobody holds the other end any more
        assert not text, f"{text!r} was not asked: {seen}"
    return seen


def test_a_person_is_asked(site: Site) -> None:
    code, screen = answered(
        site,
        ("address at Pipedrive", "http://me:pw@127.0.0.1"),
        ("leave out the user name", site.pipedrive.base_url),
        ("which is not shown", site.pipedrive.api_token),
        ("Where the desired rows are", ""),
        ("Where runs write their tables: there as well", ""),
        ("The table of desired leads", "crm.wishes"),
    )
    assert code == 0, screen
    assert site.pipedrive.api_token not in screen
    build(site, (site.folder / "wishes.sql").read_text())
    checked = call(site, "check")
    assert checked.code == 0, checked.told


ADDRESSES: Sequence[tuple[str, str]] = [
    ("acme", "https://acme.pipedrive.com"),
    (" Acme-2 ", "https://acme-2.pipedrive.com"),
    ("acme.pipedrive.com", "https://acme.pipedrive.com"),
    ("https://acme.pipedrive.com/", "https://acme.pipedrive.com"),
    ("https://acme.pipedrive.com/leads/inbox/1?x=y", "https://acme.pipedrive.com"),
]


def test_an_address_is_completed() -> None:
    check_each(ADDRESSES, lambda case: _same(complete_address(case[0]), case[1]))
    for wrong in ("", "http://acme.pipedrive.com", "https://me:pw@acme.pipedrive.com/x", "a b"):
        with pytest.raises(ValueError, match=r"no URL|https|holds|leave out") as raised:
            complete_address(wrong)
        assert "pw" not in str(raised.value)


def _same(one: str, other: str) -> None:
    assert one == other


def test_a_place_is_a_file_or_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_place(WAREHOUSE, "postgres") == Place("postgres")
    assert parse_place(WAREHOUSE, "x.duckdb") == Place("duckdb", str(Path("x.duckdb").absolute()))
    file = f"{tmp_path}/x.db"
    assert parse_place(WAREHOUSE, f"duckdb:///{file}") == Place("duckdb", file)
    assert parse_place(WAREHOUSE, "x.duckdb").is_duckdb
    for wrong in ("", "duckdb", "snowflake://me:pw@x"):
        with pytest.raises(ValueError, match=r"DESTINATION__DESIRED__CREDENTIALS|file") as raised:
            parse_place(DESIRED, wrong)
        assert "pw" not in str(raised.value)

    assert "the nearest is postgres" in _refusal("postgresql")
    assert "the nearest is snowflake" in _refusal("Snowflak")
    assert "use duckdb, postgres" in _refusal("filesystem")
    (tmp_path / "warehouse").touch()
    for bare in ("warehouse", "./books", "duckdb:///books", f"{tmp_path}/books"):
        assert parse_place(WAREHOUSE, bare).is_duckdb


def _refusal(place: str) -> str:
    with pytest.raises(ValueError, match="warehouse") as raised:
        parse_place(WAREHOUSE, place)
    return str(raised.value)


def test_a_misspelt_type_makes_no_project(site: Site) -> None:
    for flag in ("--warehouse", "--desired"):
        told = init(site, flag, "postgresql")
        assert told.code == 1
        assert f"{flag} names no DuckDB file" in told.stderr
    assert not list(site.folder.iterdir())


MARTS = "postgresql://reader:hunter2@db/marts"


def test_the_desired_rows_may_be_elsewhere_than_the_books(site: Site) -> None:
    flags = ("--desired", "postgres", "--warehouse", "books.duckdb", "--no-model")
    told = init(site, *flags, DESTINATION__DESIRED__CREDENTIALS=MARTS)
    assert told.code == 0, told.told
    assert "hunter2" not in told.told
    assert "next      lead-sync check; lead-sync columns; lead-sync plan" in told.stdout
    assert not list(site.folder.glob("*.sql"))
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    assert config["destination"] == {
        "desired": {"destination_type": "postgres"},
        "warehouse": {"destination_type": "duckdb"},
    }
    secrets = tomllib.loads((site.folder / ".dlt/secrets.toml").read_text())
    assert secrets["destination"] == {
        "desired": {"credentials": MARTS},
        "warehouse": {"credentials": {"database": str(site.folder / "books.duckdb")}},
    }
    again = init(site, *flags, DESTINATION__DESIRED__CREDENTIALS=MARTS)
    assert again.stdout.count("it is just so") == 2


def test_what_secrets_lack_is_told_without_a_secret(site: Site) -> None:
    (site.folder / ".dlt").mkdir()
    (site.folder / ".dlt/secrets.toml").write_text("# mine\n")
    told = init(site, "--desired", "postgres", DESTINATION__DESIRED__CREDENTIALS=MARTS)
    assert "hunter2" not in told.told
    assert '[destination.desired] credentials = "…"' in told.told


def test_one_place_given_twice_is_one(site: Site) -> None:
    init(site, "--desired", "warehouse.duckdb", "--warehouse", "warehouse.duckdb")
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    assert config["destination"] == {"warehouse": {"destination_type": "duckdb"}}


def test_a_person_is_asked_where_runs_write(site: Site) -> None:
    """The way to a database is typed unseen, or left for later."""
    code, screen = answered(
        site,
        ("address at Pipedrive", site.pipedrive.base_url),
        ("which is not shown", site.pipedrive.api_token),
        ("Where the desired rows are", "postgres"),
        ("Where runs write their tables: there as well", "books.duckdb"),
        ("The table of desired leads", "marts.lead_changes"),
        ("The URL of postgres, or nothing for later", MARTS),
    )
    assert code == 0, screen
    assert "hunter2" not in screen
    secrets = tomllib.loads((site.folder / ".dlt/secrets.toml").read_text())
    assert secrets["destination"]["desired"] == {"credentials": MARTS}
    assert "books.duckdb" in secrets["destination"]["warehouse"]["credentials"]["database"]


PROFILES = """
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: build/shop.duckdb, schema: analytics}
    env: {type: duckdb, path: "{{ env_var('DB') }}", schema: "{{ env_var('S') }}"}
    far: {type: postgres, schema: dbt_ada}
"""


def dbt_project(site: Site, profiles: str = PROFILES) -> None:
    (site.folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (site.folder / "profiles.yml").write_text(profiles)


def configured(site: Site) -> tuple[str, str]:
    """The desired table, and the schema that the model asks for."""
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    model = (site.folder / "models/lead_changes.sql").read_text()
    schema = re.search(r"schema='(\w*)'", model)
    return config["sources"]["pipedrive_leads"]["desired_table"], schema[1] if schema else ""


def test_a_dbt_project_says_what_it_builds_and_where(site: Site) -> None:
    """No setting is left to be changed by hand once dbt has built."""
    dbt_project(site)
    told = init(site, "--dbt")
    assert told.code == 0, told.told
    assert configured(site) == ("analytics_crm.lead_changes", "crm")
    assert "the settings; the desired table is analytics_crm.lead_changes" in told.stdout
    secrets = tomllib.loads((site.folder / ".dlt/secrets.toml").read_text())
    file = site.folder / "build/shop.duckdb"
    assert secrets["destination"]["warehouse"]["credentials"] == {"database": str(file)}


def test_a_schema_that_is_given_is_not_put_in_front_twice(site: Site) -> None:
    dbt_project(site)
    init(site, "--dbt", "--desired-table", "analytics_mart.lead_changes")
    assert configured(site) == ("analytics_mart.lead_changes", "mart")


def test_the_target_schema_itself_needs_no_schema_of_the_model(site: Site) -> None:
    dbt_project(site)
    init(site, "--dbt", "--desired-table", "analytics.lead_changes")
    assert configured(site) == ("analytics.lead_changes", "")


def test_another_type_of_warehouse_is_taken_from_dbt(site: Site) -> None:
    dbt_project(site, PROFILES.replace("target: dev", "target: far"))
    init(site, "--dbt")
    assert configured(site) == ("dbt_ada_crm.lead_changes", "crm")
    config = tomllib.loads((site.folder / ".dlt/config.toml").read_text())
    assert config["destination"]["warehouse"] == {"destination_type": "postgres"}


@pytest.mark.parametrize("lacking", ["templates", "broken", "macro", "folder"])
def test_what_dbt_does_not_say_is_left_as_it_is(site: Site, lacking: str) -> None:
    dbt_project(site)
    (site.folder / "macros").mkdir()
    if lacking == "templates":
        dbt_project(site, PROFILES.replace("target: dev", "target: env"))
    elif lacking == "broken":
        dbt_project(site, "shop: [\n")
    elif lacking == "macro":
        (site.folder / "macros/names.sql").write_text("{% macro generate_schema_name() %}")
    else:
        (site.folder / "dbt_project.yml").unlink()
    told = init(site, "--dbt")
    assert told.code == 0, told.told
    assert configured(site) == ("crm.lead_changes", "crm")
