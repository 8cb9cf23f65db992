"""A terminal of 80 columns: lines are broken between words, and no word is cut."""

from __future__ import annotations

import re

import pytest

from tests.support.harness import NewSite, Site
from tests.support.scene import new_leads
from tests.support.terminal import on_a_terminal, screen_of

pytestmark = pytest.mark.xdist_group("report narrow")

COLUMNS = 80
EMAIL = "ada.lind@example.com (Ada Lind) [1001]"
WORDS = "Renewal of the framework agreement for all sites in Hamburg and Kiel"
ROWS = ("check", "fields", "columns", "plan", "rehearse", "runs", "runs latest", "run")


@pytest.fixture(scope="module")
def site(new_site: NewSite) -> Site:
    site = new_site()
    leads = new_leads(site, 3)
    rows = [{"lead_id": lead, "title": f"{WORDS} {lead}", "tier": "Gold"} for lead in leads]
    rows += [{"lead_id": "not-a-lead", "title": WORDS, "tier": "Goldd"}]
    columns = ("lead_id", "title", "tier", "owner_email", "expected_close_date")
    site.desire(dict.fromkeys(columns, "VARCHAR"), rows)
    assert site.plan().planned == 3
    return site


def lines_of(site: Site, *arguments: str, columns: int = COLUMNS) -> list[str]:
    """Return the lines that a command draws, however long, but for what leads on: a command there
    is one line, to be copied.
    """
    own = {name: value for name, value in site.environment().items() if name != "COLUMNS"}
    drawn = on_a_terminal(own, *arguments, columns=columns, with_errors=True)
    lines = screen_of(drawn, 10_000).splitlines()
    return [line for line in lines if not line.startswith("next:")]


@pytest.mark.parametrize("command", ROWS)
def test_no_line_is_wider_than_the_terminal(site: Site, command: str) -> None:
    lines = lines_of(site, *command.split())
    assert len(lines) > 2
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_what_a_column_takes_is_below_it_where_there_is_no_room(site: Site) -> None:
    narrow = lines_of(site, "fields")
    assert EMAIL in " ".join(line.strip() for line in narrow)
    at = next(number for number, line in enumerate(narrow) if line.startswith("qualification "))
    assert narrow[at].split()[:3] == ["qualification", "Qualification", "text"]
    assert narrow[at + 1] == "    text"
    wide = lines_of(site, "fields", columns=160)
    [row] = [line for line in wide if line.startswith(" qualification ")]
    assert row.split() == ["qualification", "Qualification", "text", "NULL", "or", "''", "text"]


def test_no_address_is_cut_in_a_narrow_table(site: Site) -> None:
    narrow, wide = lines_of(site, "columns"), lines_of(site, "columns", columns=160)
    assert "ada.lind@example.com," in " ".join(narrow).split()
    assert " type " not in narrow[1]
    assert " type " in wide[1]


def test_what_a_run_was_about_has_a_line_of_its_own(site: Site) -> None:
    _, run, about, *_ = lines_of(site, "runs")
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}  (plan|run) .*\d", run)
    assert about.startswith("    4 rows, ")
    wide = lines_of(site, "runs", columns=160)
    assert re.search(r"  \d  4 rows, ", wide[1])
