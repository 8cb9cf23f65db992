"""PostgreSQL: what `check` tries, the grants that it takes, and troubles on one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.support.harness import Site, lead_id, writes
from tests.support.postgres import PASSWORD, Postgres, PostgresSite

LEAD = lead_id("granted")
ROLE = "lead_sync_granted"
READ = f"GRANT USAGE ON SCHEMA crm TO {ROLE}; GRANT SELECT ON crm.lead_changes TO {ROLE}"
OWN_SCHEMAS = (
    f"CREATE SCHEMA pipedrive_leads AUTHORIZATION {ROLE};"
    f"CREATE SCHEMA pipedrive_leads_staging AUTHORIZATION {ROLE}"
)
NEW_SCHEMAS = f"GRANT CREATE ON DATABASE {{database}} TO {ROLE}"


@pytest.fixture
def site(postgres_site: PostgresSite) -> PostgresSite:
    """One lead, and a role that may do nothing but connect."""
    site = postgres_site
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="Old")
    site.desire_titles({LEAD: "New"})
    server = site.server
    if not server.execute("postgres", "SELECT 1 AS n FROM pg_roles WHERE rolname = %s", ROLE):
        server.execute("postgres", f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    site.query(f"REVOKE ALL ON DATABASE {site.name} FROM PUBLIC")
    site.query(f"GRANT CONNECT ON DATABASE {site.name} TO {ROLE}")
    site.query("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    return site


def granted(site: PostgresSite, *grants: str) -> PostgresSite:
    """Return the same site for the role, once it is granted something."""
    for grant in grants:
        site.query(grant.format(database=site.name))
    return replace(site, user=ROLE)


@pytest.mark.parametrize("grants", [(READ, OWN_SCHEMAS), (READ, NEW_SCHEMAS)])
def test_these_grants_are_enough(site: PostgresSite, grants: tuple[str, ...]) -> None:
    role = granted(site, *grants)
    assert role.command("check").code == 0
    done = role.run(on_conflict="crm")
    assert done.statuses["applied"] == 1
    assert role.revert(done.run_id).statuses["applied"] == 1
    made = role.plan(on_conflict="warehouse")
    assert role.apply(made.plan_id).statuses["applied"] == 1


LACKING: Mapping[str, tuple[str, ...]] = {
    "dataset pipedrive_leads cannot be written: permission denied for database": (READ,),
    "dataset pipedrive_leads_staging cannot be written: permission denied": (
        READ,
        f"CREATE SCHEMA pipedrive_leads AUTHORIZATION {ROLE}",
    ),
    "crm.lead_changes cannot be read: permission denied": (OWN_SCHEMAS,),
}


@pytest.mark.parametrize(("told", "grants"), LACKING.items())
def test_a_grant_that_lacks_is_found_by_check(
    site: PostgresSite, told: str, grants: tuple[str, ...]
) -> None:
    ended = granted(site, *grants).command("check")
    assert ended.code == 1
    assert told in ended.told
    assert "Traceback" not in ended.told
    assert writes(site.pipedrive).total() == 0


def test_tables_that_another_role_made_are_found_by_check(site: PostgresSite) -> None:
    assert site.run().statuses["applied"] == 1
    role = granted(
        site,
        READ,
        *(
            f"GRANT ALL ON SCHEMA {name} TO {ROLE}; GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO "
            + ROLE
            for name in ("pipedrive_leads", "pipedrive_leads_staging")
        ),
    )
    ended = role.command("check")
    assert ended.code == 1
    assert "pipedrive_leads cannot be written: permission denied for table" in ended.told


def told_in_a_line(site: Site, *parts: str) -> None:
    for command in ("check", "run", "runs"):
        ended = site.command(command)
        assert ended.code == 1, ended.told
        assert all(part in ended.told for part in parts), ended.told
        assert "Traceback" not in ended.told
        assert PASSWORD not in ended.told
        if command != "check":
            assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_wrong_password_a_server_that_is_down_and_no_database(site: PostgresSite) -> None:
    told_in_a_line(replace(site, password="gu3ssed"), "password authentication failed", "mend cred")
    told_in_a_line(replace(site, name="nowhere"), 'database "nowhere" does not exist')
    told_in_a_line(replace(site, server=Postgres(1)), "refused")
    assert writes(site.pipedrive).total() == 0


def test_a_desired_table_that_is_not_there(site: PostgresSite) -> None:
    site.query("DROP TABLE crm.lead_changes")
    told_in_a_line_of_run(site, "the warehouse has no table crm.lead_changes")
    site.query("DROP SCHEMA crm")
    told_in_a_line_of_run(site, "the warehouse has no table crm.lead_changes")


def told_in_a_line_of_run(site: Site, part: str) -> None:
    ended = site.command("run")
    assert (ended.code, part in ended.told) == (1, True), ended.told
    assert "Traceback" not in ended.told
