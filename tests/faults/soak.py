"""All faults at random, with kills and signals in between, until so many have been met.

`python -m tests.faults.soak [faults] [seed]`: each round edits the desired table, queues faults,
runs the real command (and kills it, stops it or lets it be), then runs it once more without
faults and holds the books against each other. Meanwhile colleagues edit some of the leads, a
second machine begins as well or takes over, and another company's account is put in the place of
the own one. The seed tells a round's faults and moments; how far a run is when a signal or an edit
reaches it is up to the machine.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector.sandbox import LocalPipedrive
from tests.support.books import Books, assert_books
from tests.support.harness import Ended, Row, Site
from tests.support.scene import let_arrive, new_leads, other_machine, wait_for, watched

LEADS, EDITED_A_ROUND, FAULTS_A_ROUND, SHARED = 300, 260, 140, 60
"""Colleagues edit the last ones of the leads."""
OURS, THEIRS = 54235233, 77
"""Companies."""
SETTINGS: Mapping[str, Any] = {
    "workers": 16,
    "chunk_size": 40,
    "max_attempts": 3,
    "timeout_seconds": 1.5,
    "max_clears": "off",
    "max_overwrites": "off",
}
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "value_amount": "DECIMAL(12, 2)",
    "value_currency": "VARCHAR",
    "was_seen": "BOOLEAN",
    "Lead score": "INTEGER",
}
TOKEN_SCOPE = {"success": False, "error": "Scope and URL mismatch"}
NO_LEAD = {"success": False, "error": "requested lead not found"}

Fault = dict[str, Any]
USUAL: tuple[Fault, ...] = (
    *({"kind": "status", "status": code} for code in (408, 500, 502, 503, 504)),
    {"kind": "status", "status": 500, "write": True},
    {"kind": "status", "status": 503, "html": True},
    {"kind": "status", "status": 200, "body": "no JSON"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncated"},
    {"kind": "truncated", "close": True},
    {"kind": "null_data"},
    {"kind": "null_data", "write": False},
    {"kind": "hang", "seconds": 0.3},
)
REFUSALS: tuple[Fault, ...] = tuple({"kind": "status", "status": code} for code in (400, 422, 403))
SELDOM: tuple[Fault, ...] = (
    *REFUSALS,
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "ignore"},
    {"kind": "hang", "seconds": 2.0, "write": "before"},
    {"kind": "hang", "seconds": 2.0, "write": "after"},
)
ENDINGS: tuple[Fault, ...] = (
    {"kind": "status", "status": 401},
    {"kind": "status", "status": 402},
    {"kind": "status", "status": 403, "body": TOKEN_SCOPE},
    {"kind": "status", "status": 404, "body": {"success": False, "error": "Unknown method ."}},
    {"kind": "html403"},
    {"kind": "redirect"},
)


@dataclass
class Soak:
    """One site under fire, and what has come of it so far."""

    site: Site
    seed: int
    rng: random.Random
    leads: list[str] = field(default_factory=list)
    wanted: dict[str, Row] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    theirs: set[str] = field(default_factory=set)

    def round(self) -> Books:
        """Edit, let it burn, run cleanly, and hold the books against each other."""
        self.counts["rounds"] += 1
        self._edit()
        self._queue()
        for _ in range(self.rng.choice((1, 1, 2))):
            self._disturbed_run()
        self.site.pipedrive.clear_faults()
        if self.rng.random() < 0.3:
            self._run_for_another_company()
        self._clean_run()
        return self._check()

    def _edit(self) -> None:
        word = f"round {self.counts['rounds']}"
        for lead in self.rng.sample(self.leads, EDITED_A_ROUND):
            self.wanted[lead] = {
                "lead_id": lead,
                "title": f"{word} of {lead[:8]}",
                "value_amount": self.rng.choice((None, self.rng.randrange(1, 10**6) / 100)),
                "value_currency": "EUR",
                "was_seen": self.rng.random() < 0.5,
                "Lead score": self.rng.choice((None, self.rng.randrange(100))),
            }
            if self.wanted[lead]["value_amount"] is None:
                self.wanted[lead]["value_currency"] = None
        self.site.desire(COLUMNS, self.wanted.values())

    def _queue(self) -> None:
        for _ in range(FAULTS_A_ROUND):
            reads = self.rng.random() < 0.25
            usual = USUAL + REFUSALS if reads else USUAL
            kind = self.rng.choice(usual if reads or self.rng.random() < 0.85 else SELDOM)
            lead = self.rng.choice(list(self.wanted))
            self.site.pipedrive.fault(**kind, method="GET" if reads else "PATCH", lead_id=lead)
        if self.rng.random() < 0.3:
            self.site.pipedrive.fault(**self.rng.choice(USUAL[:5]), method="GET")
        if self.rng.random() < 0.25:
            lead = self.rng.choice(list(self.wanted))
            self.site.pipedrive.fault(**self.rng.choice(ENDINGS), method="PATCH", lead_id=lead)

    def _disturbed_run(self) -> None:
        what = self.rng.choice((*["nothing"] * 3, "kill", "kill", "SIGTERM", "SIGINT"))
        budget = self.rng.choice((0, 0, 0, 0, self.rng.randrange(20, 2_500)))
        site = self._machine()
        with (
            watched(site, token_budget=budget, breaker_failures=50, **SETTINGS) as run,
            self._colleagues(),
        ):
            wait_for(run, "begin")
            if self.rng.random() < 0.3:
                self._run_beside(site)
            if what != "nothing":
                time.sleep(self.rng.uniform(0, 3))
            if what != "nothing" and run.process.poll() is None:
                self.counts[what] += 1
                run.process.send_signal(getattr(signal, what) if what != "kill" else signal.SIGKILL)
            self._ended(run.ended())
        let_arrive(self.site)

    def _machine(self) -> Site:
        return self.rng.choice((self.site, self.site, other_machine(self.site)))

    @contextmanager
    def _colleagues(self) -> Iterator[None]:
        """Edit leads until the block ends, each with a value that nobody else gives it."""
        ended, rng = threading.Event(), random.Random(self.rng.random())

        def edit() -> None:
            while not ended.wait(rng.uniform(0.02, 0.2)):
                lead = rng.choice(self.leads[-SHARED:])
                self.counts["edits"] += 1
                word = f"a person's {self.counts['edits']}"
                key = rng.choice(("title", "title", "channel_id"))
                self.site.pipedrive.set_lead(lead, **{key: word})
                self.theirs.add(lead)

        people = threading.Thread(target=edit)
        people.start()
        try:
            yield
        finally:
            ended.set()
            people.join()

    def _run_beside(self, site: Site) -> None:
        """Start a run of each machine while one is under way."""
        for other in (site, other_machine(self.site)):
            ended = other.command("run", **SETTINGS)
            self.counts["beside"] += ended.code == 6
            # The first one may have come to its end meanwhile.
            assert ended.code == 6 or "under way" not in ended.told, ended.told
            self._ended(ended)

    def _run_for_another_company(self) -> None:
        self.counts["strangers"] += 1
        self.site.pipedrive.settings(company=THEIRS)
        mark = len(self.site.pipedrive.requests())
        ended = self._machine().command("run", **SETTINGS)
        self.site.pipedrive.settings(company=OURS)
        assert ended.code == 1, ended.told
        assert f"company {OURS}" in ended.told, ended.told
        assert f"company {THEIRS}" in ended.told, ended.told
        paths = {row["path"] for row in self.site.pipedrive.requests()[mark:]}
        assert all(path.endswith("/users/me") for path in paths), paths

    def _clean_run(self) -> None:
        """Run to the end; what colleagues have edited of what was in doubt comes with the next."""
        site = self._machine()
        for tries in (1, 2):
            ended = site.command("run", "--retry-failed", "--log-format", "json", **SETTINGS)
            self._ended(ended)
            if ended.code == 0:
                return
            last = Counter(self.site.statuses(self.site.last_run()["run_id"]))
            assert ended.code == 3, f"seed {self.seed}, a clean run ended with: {ended.told}"
            assert tries == 1, f"seed {self.seed}, a second clean run left {last}: {ended.told}"

    def _ended(self, ended: Ended) -> None:
        self.counts["runs"] += 1
        self.codes[ended.code] += 1
        assert "Traceback" not in ended.stderr or ended.code < 0, f"seed {self.seed}: {ended.told}"
        assert ended.code in (0, 1, 3, 5, 6, -9, -15, -2, 130), f"seed {self.seed}: {ended.told}"

    def _check(self) -> Books:
        late = sum(row["fault"] == "hang" for row in self.site.pipedrive.requests("PATCH"))
        note = f"seed {self.seed}, {dict(self.counts)}"
        books = assert_books(self.site, edited=self.theirs, doubles=late, note=note)
        self._check_took()
        shown = self.site.pipedrive.leads()
        wrong = [lead for lead, row in self.wanted.items() if shown[lead]["title"] != row["title"]]
        assert not wrong, f"seed {self.seed}: titles not brought there: {wrong}"
        log = self.site.pipedrive.requests()
        self.counts["faults"] = sum(row["fault"] is not None for row in log)
        self.counts["PATCHes"] = sum(row["method"] == "PATCH" for row in log)
        self.counts["doubles"] = len(books.doubled)
        return books

    def _check_took(self) -> None:
        """See to it that `took` has nothing but what a PATCH has written; each title is unique."""
        wrote = {
            (row["lead_id"], row["body"]["title"])
            for row in self.site.pipedrive.requests("PATCH")
            if row["wrote"] and row["body"] and "title" in row["body"]
        }
        for row in self.site.outcomes():
            if row["took"] and "title" in json.loads(row["took"]):
                found = row["lead_id"], json.loads(row["body"])["title"]
                assert found in wrote, f"seed {self.seed}: taken, and never written: {row}"


def main() -> None:
    """Runs until enough faults have been met, and prints what came of them."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"seed {seed}, until {wanted} faults are met", flush=True)
    began = time.monotonic()
    with LocalPipedrive(leads=0, limits=False) as pipedrive, tempfile.TemporaryDirectory() as place:
        soak = Soak(Site(Path(place), pipedrive), seed, random.Random(seed))
        soak.leads = new_leads(soak.site, LEADS)
        while soak.counts["faults"] < wanted:
            books = soak.round()
            print(_line(soak, time.monotonic() - began), flush=True)
    outcomes = ", ".join(f"{count} {status}" for status, count in sorted(books.statuses.items()))
    codes = ", ".join(f"{count} × {code}" for code, count in sorted(soak.codes.items()))
    print(f"done: {_line(soak, time.monotonic() - began)}; outcomes: {outcomes}; exits: {codes}")


def _line(soak: Soak, seconds: float) -> str:
    names = (
        *("faults", "edits", "kill", "SIGTERM", "SIGINT", "runs", "beside", "strangers"),
        *("PATCHes", "doubles"),
    )
    counted = ", ".join(f"{soak.counts[name]} {name}" for name in names)
    return f"seed {soak.seed}: {counted}, {seconds:.0f} s"


if __name__ == "__main__":
    main()
