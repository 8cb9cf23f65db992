"""One story told by the real commands, so that what each of them prints can be looked at."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable
from typing import Any

from connector.demo import COLUMNS, as_row, fields_by_name
from connector.sandbox import LocalPipedrive
from tests.support.harness import Ended, Row, Site

TYPES = {**COLUMNS, "is_archived": "BOOLEAN"}
MISNAMED = {
    "lead_id": "VARCHAR",
    "titel": "VARCHAR",
    "label": "VARCHAR[]",
    "owner": "VARCHAR",
    "value_curency": "VARCHAR",
    "account_manager": "VARCHAR",
    "lead_score": "DOUBLE",
}
LONG = "Renewal of the framework agreement for all sites in Hamburg, Lübeck and Kiel, " * 2
CONFIG = {"on_conflict": "crm", "unarchive": True}
GUARDS = {"max_patches": "4", "max_clears": "1"}
WITH_LOG = {"run"}
RUN_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b")
DURATION = re.compile(r" +\d+\.\d s\b")
HEADER = re.compile(r"state +took")
LEFT = re.compile(r"\b\d+(?= left today)")  # answers that cross tell it in any order
LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", re.MULTILINE)
LOOKED_IN = re.compile(r"(?<=looked in )the environment, [^;\n]*")
MOMENT = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+Z)?")


class Story:
    """A site, and what its commands have printed so far.

    Attributes:
        told: Name → what a person has seen.
        run_ids: The ids of the runs so far, oldest first.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.told: dict[str, str] = {}
        self.run_ids: list[str] = []

    def command(self, name: str, *arguments: str, **settings: Any) -> Ended:
        """Run a command and keep what a person sees of it, under a name."""
        ended = self.site.command(*arguments, **{**CONFIG, **settings})
        seen = "\n".join(
            [
                f"$ lead-sync {' '.join(arguments)}",
                *as_seen(ended, log=name in WITH_LOG),
                f"[exit code {ended.code}]",
            ]
        )
        for run_id in sorted({*RUN_ID.findall(seen)} - {*self.run_ids}):
            self.run_ids.append(run_id)
        self.told[name] = self.steady(seen)
        return ended

    def steady(self, text: str) -> str:
        """Put fixed words in the place of what differs from day to day."""
        for number, run_id in enumerate(self.run_ids, 1):
            text = text.replace(run_id, f"<run-{number}>")
        text = text.replace(self.site.pipedrive.base_url, "<base_url>")
        text = text.replace(str(self.site.folder), "<folder>")
        text = text.replace(f"{getpass.getuser()} on {socket.gethostname()}", "<user> on <host>")
        text = LOOKED_IN.sub("<places>", LEFT.sub("<n>", LOG_TIME.sub("<time>", text)))
        return MOMENT.sub("<time>", HEADER.sub("state took", DURATION.sub(" <n> s", text))) + "\n"


def as_seen(ended: Ended, *, log: bool) -> Iterable[str]:
    """Yield both outputs without the log, unless it is asked for, and without trailing blanks."""
    for output in (ended.stderr, ended.stdout) if log else (ended.stdout, ended.stderr):
        for line in output.splitlines():
            if log or not LOG_TIME.match(line):
                yield line.rstrip()


def play(site: Site) -> Story:
    """Play it: a first run, a colleague's edits, guards, a stored plan, and the way back."""
    story, pipedrive = Story(site), site.pipedrive
    active = [lead["id"] for lead in pipedrive.leads().values() if not lead["is_archived"]]
    for lead_id in active[7:9]:
        pipedrive.archive_lead(lead_id)
    rows = as_they_are(pipedrive, active)
    site.desire(TYPES, first_wishes(rows))
    story.command("check", "check")
    story.command("fields", "fields")
    story.command("columns", "columns")
    site.desire(MISNAMED, [misnamed(row) for row in rows[:3]])
    story.command("columns_misnamed", "columns")
    site.desire(TYPES, first_wishes(rows))
    story.command("run", "run")
    pipedrive.set_lead(active[0], title="Renamed by a colleague")
    pipedrive.set_lead(active[1], title="Renamed as well")
    site.desire(TYPES, second_wishes(rows))
    pipedrive.settings(limits=True)
    story.command("plan", "plan", "--detailed-exitcode")
    plan_id = story.run_ids[-1]
    story.command("plan_guarded", "plan", **GUARDS)
    story.command("run_guarded", "run", **GUARDS)
    pipedrive.set_lead(active[2], value=None)
    pipedrive.delete_lead(active[3])
    given = ("--max-patches", "off", "--max-clears", "off")
    story.command("apply", "apply", plan_id, *given, **GUARDS)
    applied = story.run_ids[-1]
    pipedrive.set_lead(active[4], label_ids=[])
    story.command("revert", "revert", applied, "--yes")
    story.command("runs", "runs")
    story.command("runs_guarded", "runs", story.run_ids[-4])
    story.command("runs_applied", "runs", applied)
    story.command("runs_reverted", "runs", story.run_ids[-1])
    tell_errors(story, plan_id)
    return story


def tell_errors(story: Story, plan_id: str) -> None:
    """Meet what stops a command."""
    story.command("error_token", "run", api_token="wrong")
    story.command("error_host", "run", base_url="http://127.0.0.1:9", max_attempts=1)
    story.command("error_no_plan", "apply", "no-such-plan")
    story.command("error_applied", "apply", plan_id)
    story.command("error_config", "run", on_null="never", max_clears="many", workers=0)
    story.command("error_usage", "run", "--limit", "0")


def as_they_are(pipedrive: LocalPipedrive, lead_ids: list[str]) -> list[Row]:
    """Return the rows that want leads just as they are."""
    fields = fields_by_name(pipedrive)
    leads = map(pipedrive.lead, lead_ids)
    return [{**as_row(lead, fields), "is_archived": lead["is_archived"]} for lead in leads]


def misnamed(row: Row) -> Row:
    """Return a row as somebody may write it for the first time."""
    return {
        **row,
        "titel": row["title"],
        "label": ["Hot"],
        "owner": "ada.lind@example.com",
        "value_curency": "EUR",
        "account_manager": "Ada Lind",
    }


def first_wishes(rows: list[Row]) -> list[Row]:
    """The first table: two leads get another title, two rows cannot be used."""
    return [
        rows[0] | {"title": "Title by the warehouse"},
        rows[1] | {"title": "Title by the warehouse", "expected_close_date": "2027-01-31"},
        rows[2],
        rows[3] | {"lead_id": "00000000-0000-4000-8000-000000000000"},
        rows[4] | {"tier": "Goldd"},
    ]


def second_wishes(rows: list[Row]) -> list[Row]:
    """The second table: every kind of change, and every reason for none."""
    return [
        rows[0] | {"title": "Another title by the warehouse"},
        rows[1] | {"title": "Another title by the warehouse", "lead_score": 0},
        rows[2] | {"value_amount": "1200.50", "value_currency": "SEK"},
        rows[3] | {"title": LONG.strip(" ,"), "owner_email": "elena.rossi@example.com"},
        rows[4] | {"labels": ["Hot", "Renewal"], "tier": "Gold", "products": ["Core"]},
        rows[5] | {"labels": [], "expected_close_date": None, "deal_cost": None},
        rows[6] | {"value_amount": None, "value_currency": None, "account_manager": None},
        rows[7] | {"is_archived": False, "title": "Back from the archive"},
        rows[8] | {"is_archived": None, "title": "Archived, so it may not be edited"},
        rows[9],
        rows[10] | {"lead_id": "00000000-0000-4000-8000-000000000000"},
        rows[11] | {"tier": "Goldd"},
        rows[12] | {"lead_id": "not-a-lead"},
        rows[13] | {"lead_id": None},
    ]
