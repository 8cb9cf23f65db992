"""`runs`: what has run, what it was about, how it ended, and what is under way just now."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.configuration.readers import parse_since
from tests.support.harness import Ended, NewSite, Row, Site, ended_at_last, finish, wait_until
from tests.support.scene import desire, new_leads

pytestmark = pytest.mark.xdist_group("report runs")

TYPES = {"lead_id": "VARCHAR", "title": "VARCHAR", "labels": "VARCHAR[]"}


@dataclass
class Seen:
    """A site and its runs by name, with what the commands have told of them."""

    site: Site
    leads: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    told: dict[str, Ended] = field(default_factory=dict)

    def command(self, name: str, *arguments: str, **settings: Any) -> None:
        self.told[name] = self.site.command(*arguments, **settings)
        self.runs[name] = str(self.site.last_run()["run_id"])


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    leads = sorted(site.pipedrive.leads())[:3]
    for lead in leads:
        site.pipedrive.set_lead(lead, title="Old", label_ids=[])
    seen = Seen(site, leads)
    rows = [{"lead_id": lead, "title": "New", "labels": ["Hot"]} for lead in leads[:2]]
    site.desire(TYPES, [*rows, {"lead_id": "x"}])
    seen.command("plan", "plan")
    seen.command("guarded", "run", max_patches=1)
    seen.command("run", "run")
    seen.command("revert", "revert", seen.runs["run"], "--yes", "--lead", leads[0])
    seen.command("alone", "run", "--lead", leads[0])
    seen.command("broken", "run", api_token="wrong")
    seen.command("list", "runs")
    return seen


def line_of(seen: Seen, name: str, listed: str = "list") -> str:
    lines = seen.told[listed].stdout.splitlines()
    return next(line for line in lines if line.startswith(seen.runs[name]))


def test_the_list_has_a_header_and_every_run_its_duration_and_exit_code(seen: Seen) -> None:
    header, *lines = seen.told["list"].stdout.splitlines()
    assert header.split() == ["run", "command", "state", "took", "exit", "about"]
    at = header.index("about")
    for line in lines:
        assert re.fullmatch(r"\S+ +\w+ +\w+ +\d+\.\d s +\d  ", line[:at]), line
    named = [name for name in seen.runs if name != "list"]
    codes = {name: int(line_of(seen, name)[:at].split()[-1]) for name in named}
    assert codes == {"plan": 0, "guarded": 4, "run": 3, "revert": 0, "alone": 0, "broken": 1}


def test_a_run_says_what_it_was_about(seen: Seen) -> None:
    assert "3 rows, 2 to change, 2 applied, 1 rejected" in line_of(seen, "run")
    assert "guards: max_patches" in line_of(seen, "guarded")
    assert f"takes back {seen.runs['run']}, 1 to change" in line_of(seen, "revert")
    assert f"lead {seen.leads[0]} alone" in line_of(seen, "alone")
    assert "401 unauthorized access" in line_of(seen, "broken")


def test_only_those_that_failed(seen: Seen) -> None:
    _, *lines = seen.site.command("runs", "--failed").stdout.splitlines()
    failed = [seen.runs[name] for name in ("broken", "run", "guarded")]
    assert [line.split()[0] for line in lines] == failed
    printed = json.loads(seen.site.command("runs", "--failed", "--output", "json").stdout)
    assert [row["run_id"] for row in printed] == failed
    assert [row["exit_code"] for row in printed] == [1, 3, 4]


def test_only_those_since(seen: Seen) -> None:
    began = {row["run_id"]: row["started_at"] for row in seen.site.runs()}
    since = began[seen.runs["revert"]].isoformat()
    _, *lines = seen.site.command("runs", "--since", since).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        *(seen.runs[name] for name in ("broken", "alone", "revert"))
    ]
    assert seen.site.command("runs", "--since", "2999-01-01").stdout == "no runs\n"
    refused = seen.site.command("runs", "--since", "yesterday")
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: since 'yesterday' is no time; write it like 24h")


def test_a_filter_is_for_the_list_alone(seen: Seen) -> None:
    refused = seen.site.command("runs", "latest", "--failed")
    assert (refused.code, refused.stdout) == (1, "")
    assert "without a RUN_ID" in refused.stderr


def test_a_time_is_a_span_a_date_or_a_moment() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert parse_since("36h", now) == now - timedelta(hours=36)
    assert parse_since("7d", now) == now - timedelta(days=7)
    assert parse_since("2026-11-29", now) == datetime(2026, 11, 29, tzinfo=UTC)
    assert parse_since(" 2026-11-29T08:00+02:00", now) == datetime(2026, 11, 29, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "time", ["", " ", "999999d", "9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00"]
)
def test_a_time_that_no_calendar_has_is_one_line(seen: Seen, time: str) -> None:
    refused = seen.site.command("runs", "--since", time)
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"error: since {time!r} is no time; write it like 24h")


def test_an_unset_variable_is_no_filter(seen: Seen) -> None:
    refused = seen.site.command("runs", "latest", "--since", "")
    assert "without a RUN_ID" in refused.stderr
    page = seen.site.folder / "page.html"
    refused = seen.site.command("report", "--run", "", "--out", str(page))
    assert (refused.code, refused.stdout) == (1, "")
    assert not page.exists()


def test_one_run_shows_what_it_changed_and_missed(seen: Seen) -> None:
    told = seen.site.command("runs", seen.runs["run"][:-1]).told
    assert "Changed, 2 leads:" in told
    assert f"Old {seen.leads[0]} Title Old → New Labels — → Hot" in told
    assert "Not as wanted, 1: rejected x" in told
    assert ", exit code 3" in told
    document = json.loads(seen.site.command("runs", seen.runs["run"], "--output", "json").stdout)
    changes = {row["lead_id"]: row["changes"] for row in document["changes"]}
    assert changes.keys() == {*seen.leads[:2]}
    named = [(one["field"], one["kind"], one["old"], one["new"]) for one in changes[seen.leads[0]]]
    assert named == [("Title", "changed", "Old", "New"), ("Labels", "set", None, "Hot")]
    assert [one["status"] for one in document["misses"]] == ["rejected"]


def test_the_latest_run_is_the_last_of_all(seen: Seen) -> None:
    told = seen.site.command("runs", "latest").stdout
    assert told.startswith(f"run {seen.runs['broken']} failed\n")


def test_a_run_that_was_killed_is_cut_off_and_not_running(site: Site) -> None:
    leads = new_leads(site, 3)
    site.desire_titles(dict.fromkeys(leads, "New"))
    site.pipedrive.fault("hang", method="PATCH", seconds=30.0, write="before", times=10)
    process = site.start("run")
    with ended_at_last(process):
        wait_until(lambda: bool(site.pipedrive.requests("PATCH")), "nothing is sent")
        process.kill()
        process.communicate()
    killed = str(site.last_run()["run_id"])
    line = site.command("runs").stdout.splitlines()[1]
    assert line.startswith(f"{killed}  run      cut off  ")
    looked = site.command("runs", killed[:-1]).stdout
    assert "next: the next run finds out what took effect; `lead-sync run` goes on" in looked
    site.pipedrive.clear_faults()
    site.run()
    lines = site.command("runs", "--failed").stdout.splitlines()
    assert lines[1].startswith(f"{killed}  run      cut off  ")
    assert "next:" not in site.command("runs", killed).stdout


def test_a_run_that_a_guard_stopped_leads_on_until_another_has_run(site: Site) -> None:
    site.desire_titles(dict.fromkeys(new_leads(site, 3), "New"))
    assert site.command("run", max_patches=1).code == 4
    stopped = str(site.last_run()["run_id"])
    looked = site.command("runs", "latest").stdout.splitlines()[-1]
    assert looked.startswith(f"next: `lead-sync show {stopped} --all` shows all of it; if it is")
    shown = site.command("show", "latest").stdout.splitlines()[-1]
    assert shown.startswith(f"next: if it is right, send it by `lead-sync apply {stopped}`")
    assert site.command("run").code == 0
    assert "next:" not in site.command("runs", stopped).stdout


def running(site: Site) -> Row:
    """Make the last run one that this process is in the middle of."""
    site.query(
        "UPDATE pipedrive_leads.sync_runs SET state = 'running', finished_at = NULL, "
        "exit_code = NULL WHERE command = 'run'"
    )
    run = site.last_run()
    stat = Path(f"/proc/{os.getpid()}/stat").read_text()
    site.query(
        "UPDATE pipedrive_leads.sync_lease SET holder = ?, pid = ?, pid_started = ?, "
        "since = CURRENT_TIMESTAMP, until = CURRENT_TIMESTAMP + to_seconds(600)",
        *(run["run_id"], os.getpid(), int(stat.rpartition(")")[2].split()[19])),
    )
    return run


def test_a_run_under_way_elsewhere_is_told_with_its_progress(site: Site) -> None:
    """As in a warehouse that others can read meanwhile: by its rows."""
    lead = min(site.pipedrive.leads())
    site.desire_titles({lead: "New"})
    site.run()
    run = running(site)
    line = site.command("runs").stdout.splitlines()[1]
    assert line.startswith(f"{run['run_id']}  run      running  ")
    assert "1 row, 1 of 1 done, 1 applied" in line
    told = site.command("runs", run["run_id"]).told
    assert f"run {run['run_id']} running" in told
    assert "so far 1 of 1 done" in told


def test_a_run_that_holds_the_file_is_told_from_another_terminal(site: Site) -> None:
    leads = new_leads(site, 20)
    site.desire_titles(dict.fromkeys(leads, "New"))
    site.pipedrive.fault("status", status=400, method="PATCH", times=2)
    site.pipedrive.settings(latency_ms=500)
    process = site.start("run", workers=1)
    with ended_at_last(process):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 4, "nothing is sent")
        ended = site.command("runs")
        shown = site.command("show", "latest")
        machine = site.command("runs", "--output", "json")
        finish(process)
    assert ended.code == 6, ended.told
    assert re.match(
        r"run \d{8}-\d{6}-[0-9a-f]{6} is under way: apply \d+ of 20, .*\d a second, .* left",
        ended.stdout,
    )
    assert "2 failed" in ended.stdout
    assert "another run is under way: process" in ended.stderr
    assert ended.stderr.rstrip().endswith("next: `lead-sync runs` tells how far it is")
    assert (shown.code, shown.stdout[:4]) == (6, "run ")
    assert (machine.code, machine.stdout) == (6, "")
    assert not list(site.data_dir.rglob("*.standing"))
    assert process.returncode != -signal.SIGKILL


@pytest.mark.parametrize("late", [True, False])
def test_a_doubt_that_is_settled_is_told_by_what_was_found(site: Site, late: bool) -> None:
    lead, other = leads = new_leads(site, 2)
    titles = desire(site, leads)
    site.pipedrive.fault("status", status=502, method="PATCH", lead_id=lead, times=9)
    assert site.command("run", max_attempts=2).code == 3
    run = site.last_run()["run_id"]
    assert "may be in effect" in site.command("runs", run).stdout
    site.pipedrive.clear_faults()
    if late:
        site.pipedrive.set_lead(lead, title=titles[lead])
    desire(site, [other])
    assert site.command("run").code == 0
    told = site.command("runs", run).stdout
    document = json.loads(site.command("show", run, "--output", "json").stdout)
    changed = {one["lead_id"]: one["status"] for one in document["patches"]}
    assert "may be in effect" not in told
    if late:
        assert ("Changed, 2 leads:" in told, "Not as wanted" in told) == (True, False)
        assert (changed, document["misses"]) == ({lead: "confirmed", other: "applied"}, [])
    else:
        assert ("Changed, 1 lead:" in told, "Not as wanted, 1:" in told) == (True, True)
        [miss] = document["misses"]
        assert (changed, miss["lead_id"]) == ({other: "applied"}, lead)
