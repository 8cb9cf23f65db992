"""What a role or a database sets for its sessions changes nothing of what a run decides."""

from __future__ import annotations

import pytest

from tests.support.harness import Site, bodies, lead_id
from tests.support.leads import SCORE
from tests.support.postgres import Postgres, PostgresSite
from tests.support.scene import assert_titles, desire, new_leads

LEAD = lead_id("sessions")
TITLE = "back\\slash, 'quoted', \\n, ü, 🚚"
AMOUNT = 12345678.123456789
SINGLE = 50.123455
SETTINGS = {
    "extra_float_digits": ["0", "-15"],
    "client_encoding": ["LATIN1", "SQL_ASCII", "SJIS"],
    "standard_conforming_strings": ["off"],
    "backslash_quote": ["off"],
    "default_transaction_isolation": ["serializable", "repeatable read"],
    "datestyle": ["SQL, DMY", "German"],
    "timezone": ["Pacific/Apia", "America/Los_Angeles"],
    "bytea_output": ["escape"],
    "row_security": ["off"],
    "search_path": ["other"],
}


def set_for_sessions(site: PostgresSite, name: str, value: str) -> None:
    sql = f"ALTER DATABASE {site.name} SET {name} = '{value}'"
    site.server.execute("postgres", sql)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in SETTINGS.items() for value in values]
)
def test_no_setting_of_the_session_changes_what_is_sent(
    postgres_site: PostgresSite, name: str, value: str
) -> None:
    site = postgres_site
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="Old")
    types = {
        "lead_id": "VARCHAR",
        "title": "VARCHAR",
        "lead_score": "DOUBLE PRECISION",
        "win_probability": "REAL",
        "expected_close_date": "TIMESTAMPTZ",
        "updated_at": "TIMESTAMPTZ",
    }
    wish = {
        "lead_id": LEAD,
        "title": TITLE,
        "lead_score": AMOUNT,
        "win_probability": SINGLE,
        "expected_close_date": "2026-04-03 23:30:00+00",
        "updated_at": "2026-02-03 23:30:00+00",
    }
    older = {"lead_id": LEAD, "title": "Older", "updated_at": "2026-02-03 23:29:59+00"}
    site.desire(types, [older, wish])
    site.query("CREATE SCHEMA other; CREATE TABLE other.lead_changes (lead_id text, title text)")
    set_for_sessions(site, name, value)
    first = site.command("run")
    assert first.code == 0, first.told
    [[body]] = bodies(site.pipedrive).values()
    assert (body["title"], body[SCORE]) == (TITLE, AMOUNT)
    assert body["expected_close_date"] == "2026-04-03"
    assert SINGLE in body.values()
    second = site.command("run")
    assert second.code == 0, second.told
    assert "1 unchanged" in second.told
    assert len(bodies(site.pipedrive)[LEAD]) == 1


def test_a_connection_may_be_idle_for_as_long_as_a_run_sends(postgres_site: PostgresSite) -> None:
    site = postgres_site
    titles = desire(site, new_leads(site, 2))
    site.pipedrive.fault("hang", method="PATCH", seconds=3, times=1)
    set_for_sessions(site, "idle_session_timeout", "1s")
    done = site.command("run", workers="1")
    assert done.code == 0, done.told
    assert_titles(site, titles)
    assert site.last_run()["state"] == "done"


def test_a_database_that_cannot_hold_every_text_is_refused(site: Site, postgres: Postgres) -> None:
    make = "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc"
    postgres.execute("postgres", f"{make} LOCALE 'C'")
    at = PostgresSite(site.folder, site.pipedrive, postgres, "latin")
    desire(at, new_leads(at, 1))
    for command in ("check", "run"):
        ended = at.command(command)
        assert (ended.code, "encoded in LATIN1" in ended.told) == (1, True)
    assert not at.pipedrive.requests("PATCH")
