"""The whole job as a model: people edit, the network fails, processes die, in any order.

`LEAD_SYNC_STEPS` says how many steps are taken, and `LEAD_SYNC_SEED` which ones; each part of them
has the seed that it prints. After each command Pipedrive's own log, what people did and the tables
are held against each other.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import psycopg2
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tenacity import wait_none

from connector.errors import PlanError
from connector.pipedrive import retry
from connector.sync.summary import Summary
from tests.support.eager import PROGRAM, read_increments
from tests.support.front import Raw, front_of
from tests.support.harness import NewSite, Row, Site, ended_at_last, lead_id, wait_until
from tests.support.postgres import Postgres, on_postgres
from tests.support.scene import let_arrive, other_machine

STEPS = int(os.environ.get("LEAD_SYNC_STEPS", "2000"))
SEED = int(os.environ.get("LEAD_SYNC_SEED", "977990"))
STEPS_OF_AN_EXAMPLE = 40
LONG_AGO = "2026-01-01T00:00:00.000Z"
LEADS = [lead_id(f"model {number}") for number in range(3)]
KEYS = ("title", "channel_id")
COLUMNS = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
QUICK: Row = {
    "workers": 1,
    "max_attempts": 2,
    "timeout_seconds": 5.0,
    "breaker_failures": 1000,
    "breaker_percent": 0,
    "max_changed_percent": "off",
}
FAULTS: tuple[Row, ...] = (
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503, "write": True},
    {"kind": "status", "status": 400, "body": {"success": False, "error": "no"}},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncated"},
    {"kind": "null_data"},
    {"kind": "wrong_lead"},
)


THINGS = (
    *("edit", "later", "later", "wish", "wish", "fail", "fail", "unread", "away", "two"),
    *("run", "run", "crm", "one", "few", "plan", "apply", "apply", "revert", "kill"),
)
"""What may happen in a step, as often as it stands here."""


@dataclass(frozen=True)
class Mode:
    """Which warehouse it is, and how much of the list a run reads.

    Attributes:
        warehouse: `duckdb` or `postgres`.
        increments: Whether a run reads what was updated since the one before.
        is_quiet: Whether what a person does leaves `update_time` as it is.
    """

    warehouse: str = "duckdb"
    increments: bool = False
    is_quiet: bool = False

    def __str__(self) -> str:
        read = ("quiet increments" if self.is_quiet else "increments") if self.increments else "all"
        return f"{self.warehouse}, {read}"


PARTS = (
    *[Mode()] * 2,
    *[Mode(increments=True)] * 2,
    *[Mode(increments=True, is_quiet=True)] * 2,
    *[Mode("postgres")] * 2,
    *[Mode("postgres", increments=True)] * 2,
)
"""The steps are shared out among these, so that several processes may take them."""


@dataclass(frozen=True)
class Edit:
    """What a person did to a lead, after a request of the log and before the next."""

    after: int
    lead: str
    key: str
    value: str


class Model(RuleBasedStateMachine):
    """One site, its people and its network."""

    new_site: NewSite
    counts: Counter[str]
    mode: Mode

    @initialize()
    def begin(self) -> None:
        self.site: Site = self.new_site()
        self.machines = (self.site, other_machine(self.site))
        self.pipedrive = self.site.pipedrive
        self.pipedrive.reset(leads=0)
        for lead in LEADS:
            self.pipedrive.set_lead(lead, title="A", channel_id="A", update_time=LONG_AGO)
        self.wish = {lead: {"title": "B", "channel_id": "B"} for lead in LEADS}
        self.edits: list[Edit] = []
        self.queued: list[tuple[str, Callable[[], None]]] = []
        self.away: set[str] = set()
        self.killed: set[int] = set()
        self.plans: list[str] = []
        self.runs: list[str] = []
        self.is_settled = self.is_checked = True
        self._desire()

    @rule(
        what=st.sampled_from(THINGS),
        lead=st.sampled_from(LEADS),
        key=st.sampled_from(KEYS),
        value=st.sampled_from(["A", "B", "C"]),
        number=st.integers(0, 23),
        machine=st.integers(0, 1),
    )
    def step(self, what: str, lead: str, key: str, value: str, number: int, machine: int) -> None:
        """Do one thing; a single rule, as each thing shall be as likely in every example.

        Args:
            what: One of `THINGS`.
            lead: To whom.
            key: What of it a person or the table changes.
            value: To what.
            number: Chooses whatever else there is to choose.
            machine: Where a command runs.
        """
        self.counts[what] += 1
        self.site = self.machines[machine]
        if what == "edit":
            self._edit(lead, key, value)
        elif what == "later":
            call = ("GET", "PATCH")[number % 2]
            self.queued.append((call, lambda: self._edit(lead, key, value)))
        elif what == "wish":
            self.wish[lead][key] = value
            self._desire()
        elif what == "fail":
            fault, times = FAULTS[number % len(FAULTS)], 1 + number % 3
            self.pipedrive.fault(**fault, method="PATCH", lead_id=lead, times=times)
        elif what == "unread":
            self.pipedrive.fault("status", status=502, method="GET", lead_id=lead)
        elif what == "away":
            self._send_away(lead, is_deleted=number % 2 == 0)
        elif what == "two":
            self.queued.append((("GET", "PATCH")[number % 2], self._begin_elsewhere))
        else:
            self._command(what, lead, number)

    def _edit(self, lead: str, key: str, value: str) -> None:
        last = max((row["seq"] for row in self.pipedrive.requests()), default=0)
        now = self.pipedrive.lead(lead) if lead not in self.away else {key: value}
        if now[key] != value:
            quietly = {"update_time": now["update_time"]} if self.mode.is_quiet else {}
            self.pipedrive.set_lead(lead, **{key: value}, **quietly)
            self.edits.append(Edit(last, lead, key, value))

    def _begin_elsewhere(self) -> None:
        """Another machine begins while a run is under way; DuckDB lets no process into its file."""
        if self.mode.warehouse == "postgres":
            mark = len(self.pipedrive.requests())
            ended = self.machines[self.machines[0] is self.site].command("run", **QUICK)
            assert ended.code == 6, ended
            assert len(self.pipedrive.requests()) == mark, "two at once"

    def _send_away(self, lead: str, *, is_deleted: bool) -> None:
        if lead == LEADS[0] or lead in self.away:
            return
        self.away.add(lead)
        (self.pipedrive.delete_lead if is_deleted else self.pipedrive.archive_lead)(lead)

    def _command(self, what: str, lead: str, number: int) -> None:
        if what == "kill":
            lead = LEADS[0] if lead in self.away else lead
            self._kill(lead, ("before", "after")[number % 2], chunk_size=(1, 50)[number // 12])
        elif what == "apply" and self.plans:
            self._called("apply", self.plans[-1 - number % min(2, len(self.plans))])
        elif what == "revert" and self.runs:
            self._called("revert", self.runs[number % len(self.runs)])
        elif what == "plan":
            self._called("plan")
        else:
            given: dict[str, Row] = {
                "crm": {"on_conflict": "crm"},
                "one": {"lead": lead},
                "few": {"limit": 1},
            }
            self._called("run", **given.get(what, {}))

    def _kill(self, lead: str, write: str, **given: Any) -> None:
        """Kill a run while it sends, as it then surely wants to."""
        now = self.pipedrive.lead(lead)["title"]
        self.wish[lead]["title"] = "B" if now == "A" else "A"
        self._desire()
        mark = len(self.pipedrive.requests())
        self.pipedrive.fault("hang", method="PATCH", lead_id=lead, seconds=0.3, write=write)
        with ended_at_last(self.site.start("run", **QUICK, **given)) as process:
            wait_until(lambda: process.poll() is not None or self._hangs(mark), "no end")
            self.counts["killed"] += process.poll() is None
            process.kill()
            process.communicate()
        sent = self.pipedrive.requests("PATCH")[-1:]
        self.killed |= {row["seq"] for row in sent if row["fault"] == "hang"}
        self.pipedrive.clear_faults()
        let_arrive(self.site)
        self._note_runs()
        self.is_settled = self.is_checked = False

    def _hangs(self, mark: int) -> bool:
        time.sleep(0.03)  # the whole log is on its way each time
        return any(row["fault"] == "hang" for row in self.pipedrive.requests()[mark:])

    def _called(self, command: str, *arguments: str, **given: Any) -> None:
        def look(method: str, path: str) -> Raw | None:
            for one in [one for one in self.queued if one[0] == method][:1]:
                self.queued.remove(one)
                one[1]()
            return None

        with front_of(self.pipedrive.base_url, look) as url:
            try:
                done: Summary = getattr(self.site, command)(
                    *arguments, base_url=url, **{**QUICK, **given}
                )
                assert done.exit_code in (0, 3, 5), done
                self.is_settled = command != "plan" and not given.get("lead")
            except PlanError:  # it has not looked at any lead
                self.counts["refused"] += 1
        self.queued.clear()
        self.pipedrive.clear_faults()
        self._note_runs()
        self.is_checked = False

    def _note_runs(self) -> None:
        try:
            rows = self.site.runs()
        except (duckdb.CatalogException, psycopg2.errors.UndefinedTable):  # no tables yet
            rows = []
        self.plans = [row["run_id"] for row in rows if row["command"] == "plan"]
        self.runs = [row["run_id"] for row in rows if row["command"] in ("run", "revert")]

    def _desire(self) -> None:
        self.site.desire(COLUMNS, [{"lead_id": lead, **row} for lead, row in self.wish.items()])

    # What must hold

    def teardown(self) -> None:
        """Let the last run make all as wanted, and another one find nothing to do."""
        if not self.is_checked:
            return  # it has failed
        self.queued.clear()
        self.pipedrive.clear_faults()
        self._called("run", retry_failed=True, full_refresh=self.mode.is_quiet)
        self.the_books_agree()
        shown = self.pipedrive.leads()
        for lead in set(LEADS) - self.away:
            assert {key: shown[lead][key] for key in KEYS} == self.wish[lead], "not as wanted"
        sent = len(self.pipedrive.requests("PATCH"))
        self._called("run")
        assert len(self.pipedrive.requests("PATCH")) == sent, "sent again"

    @invariant()
    def the_books_agree(self) -> None:
        """Hold them against each other once a command has added to them."""
        if self.is_checked or not (self.runs or self.plans):
            return
        patches, outcomes = self._patches(), self._outcomes()
        self._check_outcomes(outcomes)
        changes: Counter[tuple[str, str, str]] = Counter()
        writers: dict[tuple[str, str], Row | None] = {}
        for happened in self._timeline():
            if isinstance(happened, Edit):
                changes[happened.lead, happened.key, happened.value] += 1
                writers[happened.lead, happened.key] = None
            else:
                self._check_send(happened, [*patches, *outcomes])
                for key in happened["changed"]:
                    changes[happened["lead_id"], key, happened["body"][key]] += 1
                    writers[happened["lead_id"], key] = happened
        took = Counter(
            (row["lead_id"], key, row["body"][key]) for row in outcomes for key in row["took"] or ()
        )
        assert not took - changes, f"told as taken, and never so: {took - changes}"
        unclear = {
            row["lead_id"]
            for row in outcomes
            if row["took"] is None
            or (row["status"] == "not_found" and "not known" in row["reason"])
        }
        for (lead, key), sent in writers.items():
            if sent is not None and self.is_settled and lead not in unclear:
                assert took[lead, key, sent["body"][key]], f"in no outcome: {key} of {sent}"
        self.is_checked = True

    def _timeline(self) -> list[Any]:
        """Return edits and PATCHes that took effect, in order; each PATCH with what it met.

        `met` has of each key what was there, and whether a process could have seen it.
        """
        waiting = list(self.edits)
        shown = {lead: dict.fromkeys(KEYS, "A") for lead in LEADS}
        seen = {lead: dict.fromkeys(KEYS, True) for lead in LEADS}
        found: list[Any] = []
        for row in self.pipedrive.requests():
            while waiting and waiting[0].after < row["seq"]:
                edit = waiting.pop(0)
                shown[edit.lead][edit.key], seen[edit.lead][edit.key] = edit.value, False
                found.append(edit)
            is_read = row["method"] == "GET" and row["status"] == 200 and "/leads" in row["path"]
            if is_read and not (self.mode.is_quiet and "updated_since" in row["query"]):
                for lead in [row["lead_id"]] if row["lead_id"] else LEADS:
                    seen[lead] = dict.fromkeys(KEYS, True)
            if row["method"] == "PATCH" and row["wrote"] and row["body"]:
                lead = row["lead_id"]
                met = {key: (shown[lead][key], seen[lead][key]) for key in row["body"]}
                changed = [key for key in row["body"] if shown[lead][key] != row["body"][key]]
                shown[lead].update(row["body"])
                found.append({**row, "met": met, "changed": changed})
        return [*found, *waiting]

    def _check_send(self, sent: Row, books: list[Row]) -> None:
        """Nobody is overwritten who could be seen, and nothing is sent that is so already."""
        befores = [
            row["before"]
            for row in books
            if row["lead_id"] == sent["lead_id"] and sent["body"].items() <= row["body"].items()
        ]
        assert befores, f"belongs to no patch: {sent}"
        for key, (value, is_seen) in sent["met"].items():
            if is_seen:
                assert value != sent["body"][key], f"sent though it is so: {key} of {sent}"
                if sent["seq"] in self.killed:
                    continue  # what its look has shown was in no book yet
                assert any(before[key] == value for before in befores), f"overwrites: {key} {sent}"

    def _check_outcomes(self, outcomes: list[Row]) -> None:
        by_patch: dict[str, list[Row]] = {}
        for row in outcomes:
            by_patch.setdefault(row["patch_id"], []).append(row)
        for rows in by_patch.values():
            told = [row["took"] for row in rows]
            assert len(rows) == 1 or (len(rows) == 2 and told.count(None) == 1), rows

    def _patches(self) -> list[Row]:
        rows = self.site.query("SELECT * FROM pipedrive_leads.lead_patches")
        return [
            {**row, "body": json.loads(row["body"]), "before": json.loads(row["before"])}
            for row in rows
        ]

    def _outcomes(self) -> list[Row]:
        documents = ("body", "before", "took")
        return [
            {**row, **{name: json.loads(row[name] or "null") for name in documents}}
            for row in self.site.outcomes()
            if row["patch_id"]
        ]


@pytest.mark.parametrize("part", range(len(PARTS)), ids=lambda one: f"{one}: {PARTS[one]}")
def test_the_books_agree_whatever_happens(
    part: int,
    new_site: NewSite,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(retry, "_backoff", wait_none())
    mode, steps, own_seed = PARTS[part], STEPS // len(PARTS), SEED + part
    if mode.increments:
        read_increments(monkeypatch)

    def make() -> Site:
        site = new_site()
        if mode.warehouse == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            site = on_postgres(site, server)
        return replace(site, program=PROGRAM) if mode.increments else site

    counts: Counter[str] = Counter()
    given = {"new_site": staticmethod(make), "counts": counts, "mode": mode}
    machine = type("Site", (Model,), given)
    began = _cpu_seconds()
    try:
        run_state_machine_as_test(
            seed(own_seed)(machine),
            settings=settings(
                max_examples=1 + steps // STEPS_OF_AN_EXAMPLE,  # the first is the simplest there is
                stateful_step_count=STEPS_OF_AN_EXAMPLE,
                phases=[Phase.generate, *[Phase.shrink] * (STEPS > 2000)],
                derandomize=False,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as error:
        error.add_note(f"LEAD_SYNC_SEED={SEED} LEAD_SYNC_STEPS={STEPS} part {part}: {mode}")
        raise
    assert counts["killed"] or counts["kill"] < 3, "no process was killed at work"
    with capsys.disabled():
        seconds = _cpu_seconds() - began
        print(f"\nmodel: {mode}, seed {own_seed}, {seconds:.0f} s of CPU: {dict(counts)}")


def _cpu_seconds() -> float:
    """Return what this process and those that it has waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
