"""Runs of the command that are watched while they work, and the phases they go through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connector.sync import increment
from tests.support.eager import read_increments
from tests.support.front import Raw, front_of
from tests.support.harness import Ended, Row, Site, ended_at_last, wait_until

PATIENCE_SECONDS = 60.0
AnySite = TypeVar("AnySite", bound=Site)


def new_leads(site: Site, count: int, **settings: Any) -> list[str]:
    """Give Pipedrive so many leads and no other; return their ids in order."""
    site.pipedrive.reset(leads=0, **settings)
    leads = [f"{number:08x}-1234-4234-8234-123456789abc" for number in range(count)]
    for lead in leads:
        site.pipedrive.set_lead(lead, title="As it is")
    return leads


def desire(site: Site, leads: list[str], word: str = "Title") -> dict[str, str]:
    """Ask for a title of its own for each lead, and return the titles."""
    titles = {lead: f"{word} of {lead}" for lead in leads}
    site.desire_titles(titles)
    return titles


WISH_COLUMNS = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
BEFORE: Row = {"title": "As it was", "channel_id": "1"}
WISH: Row = {"title": "Wished", "channel_id": "2"}


def with_one_wish(site: Site, lead: str, **settings: Any) -> Site:
    """Return a site with one lead that is as it was, and a row that wishes two fields otherwise."""
    site.pipedrive.reset(leads=0, **settings)
    site.pipedrive.set_lead(lead, **BEFORE)
    site.desire(WISH_COLUMNS, [{"lead_id": lead, **WISH}])
    return site


def assert_titles(site: Site, titles: Mapping[str, str]) -> None:
    shown = site.pipedrive.leads()
    assert {lead: shown[lead]["title"] for lead in titles} == dict(titles)


def other_machine(site: AnySite) -> AnySite:
    """Return another machine that works on a site's dataset: its working folder is its own."""
    return replace(site, working="elsewhere")


@dataclass
class Watched:
    """A run of the command on its way, and the lines that it has logged."""

    site: Site
    process: subprocess.Popen[str]
    mark: int
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    def logged(self, text: str) -> bool:
        """Tell whether a line with this text has been logged."""
        return any(text in line for line in self.lines)

    def called(self, method: str, path: str = "/leads") -> int:
        """Tell how many calls of a kind it has made."""
        log = self.site.pipedrive.requests(method)
        return sum(row["seq"] > self.mark and row["path"].endswith(path) for row in log)

    def packed(self, table: str, *places: str) -> bool:
        """Tell whether rows of a table are on their way through dlt's folder."""
        return bool(packed_files(self.site, table, *places))

    def ended(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(PATIENCE_SECONDS)
        stdout = self.process.stdout.read() if self.process.stdout else ""
        if self.reader:
            self.reader.join(PATIENCE_SECONDS)
        return Ended(code, stdout, "".join(self.lines))


def dlt_folder(site: Site) -> Path:
    """Return where dlt keeps a site's packages."""
    return site.data_dir / "pipelines" / "pipedrive_leads"


def packed_files(site: Site, table: str, *places: str) -> list[Path]:
    """Return the files of a table in packages that are not loaded yet."""
    found: list[Path] = []
    for place in places or ("normalize", "load/new", "load/normalized"):
        with suppress(OSError):  # moved while it is looked at
            found.extend((dlt_folder(site) / place).rglob(f"{table}.*"))
    return found


@contextmanager
def watched(site: Site, *arguments: str, **settings: Any) -> Iterator[Watched]:
    """Start `lead-sync run` and read its log as it comes; it does not outlive the block."""
    mark = max((row["seq"] for row in site.pipedrive.requests()), default=0)
    process = site.start("run", "--log-format", "json", *arguments, **settings)
    with ended_at_last(process):
        found = Watched(site, process, mark)
        found.reader = threading.Thread(target=_read, args=(found,), daemon=True)
        found.reader.start()
        yield found


def _read(found: Watched) -> None:
    if found.process.stderr is not None:
        found.lines.extend(iter(found.process.stderr.readline, ""))


Seen = Callable[[Watched], bool]
PHASES: Mapping[str, Seen] = {
    "drain": lambda run: run.logged("loading what an earlier run left"),
    "begin": lambda run: run.logged(" begins"),
    "refresh": lambda run: run.called("GET") > 0,
    "refresh load": lambda run: run.logged("desired rows") and run.packed("leads"),
    "reconcile": lambda run: run.logged('"read '),
    "plan load": lambda run: run.logged('"read ') and run.packed("lead_patches"),
    "plan package": lambda run: run.packed("lead_patches", "load/normalized"),
    "sent": lambda run: run.called("PATCH", "123456789abc") > 0,
    "sending": lambda run: run.called("PATCH", "123456789abc") > 5,
    "chunk load": lambda run: (
        run.logged("leads to change") and run.packed("lead_outcomes", "load/normalized")
    ),
}
"""How each phase of a run shows: in its log, in Pipedrive's, or in dlt's folder."""


def wait_for(run: Watched, phase: str) -> None:
    """Wait until a run is in a phase.

    Raises:
        AssertionError: It ended before that.
    """
    seen = PHASES[phase]
    wait_until(lambda: seen(run) or run.process.poll() is not None, f"never in phase {phase}")
    assert run.process.poll() is None, f"ended before {phase}: {run.ended()}"


def stand_still_in(run: Watched, phase: str) -> None:
    """Let a run stand still in a phase, until SIGCONT or its end.

    A phase may be over by the time that it was seen, so it is looked at again in a run that stands.
    """
    while True:
        wait_for(run, phase)
        run.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, run.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if PHASES[phase](run):
            return
        run.process.send_signal(signal.SIGCONT)


def let_arrive(site: Site) -> None:
    """Wait until the PATCHes that a run left on their way have an answer.

    A run that reads before they are written sends them again, which no client could avoid. A
    request that was reset never gets an answer, and one of which a run that stands has sent the
    head alone waits for the rest.
    """

    def arrived(row: Row) -> bool:
        half_sent = row["body"] is None and time.time() - row["at"] > 5
        return row["status"] is not None or half_sent or str(row["fault"]).startswith("reset")

    wait_until(
        lambda: all(arrived(row) for row in site.pipedrive.requests("PATCH")),
        "a PATCH is still on its way",
    )


def messages(ended: Ended) -> list[str]:
    """Return what a run logged, and its other lines as they are."""
    return [
        json.loads(line)["message"] if line.startswith("{") else line.rstrip("\n")
        for line in ended.stderr.splitlines()
    ]


def kill_in_effect(site: Site, is_in_effect: Callable[[], bool], **settings: Any) -> str:
    """Kill a run once its PATCH took effect, before the answer; return its id."""
    site.pipedrive.fault("hang", method="PATCH", seconds=30.0, write="before")
    process = site.start("run", **settings)
    with ended_at_last(process):
        wait_until(is_in_effect, "no PATCH took effect")
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    site.pipedrive.clear_faults()
    return str(site.last_run()["run_id"])


def kill_unsent(site: Site, *arguments: str, **settings: Any) -> str:
    """Kill a run at its first PATCH, which never reaches Pipedrive; return the run's id."""
    runs: list[subprocess.Popen[str]] = []

    def kill(method: str, _path: str) -> Raw | None:
        if method != "PATCH":
            return None
        runs[0].kill()
        return Raw(b"", status=503)

    with front_of(site.pipedrive.base_url, kill) as url:
        process = site.start("run", *arguments, base_url=url, **settings)
        runs.append(process)
        with ended_at_last(process):
            process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGKILL
    assert not site.pipedrive.requests("PATCH")
    return str(site.last_run()["run_id"])


def make_unread(site: Site, leads: int, patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make leads of which no increment brings one; return the titles that are wanted of them."""
    read_increments(patch)
    found = new_leads(site, leads)
    site.desire_titles(dict.fromkeys(found, "As it is"))
    site.run()
    patch.setattr(increment, "OVERLAP", -timedelta(days=1))
    site.run()  # from here on nothing is listed
    site.pipedrive.clear_requests()
    return desire(site, found)
