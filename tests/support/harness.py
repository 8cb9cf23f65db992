"""An installation of the job for tests: a DuckDB file, the real command, and what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, AnyStr

import duckdb
import pytest

import connector
from connector.sandbox import LocalPipedrive
from connector.sync.summary import Summary
from tests.support.forking import COMMAND, Forked

ROOT = Path(__file__).parents[2]
DESIRED = "crm.lead_changes"
PATIENCE_SECONDS = 60.0
Row = dict[str, Any]
AN_OLDER_RESULT = json.dumps(
    {
        "format": 1,
        "version": "0.2.0",
        "command": "run",
        "started_at": "2026-01-02T03:04:05+00:00",
        "seconds": 1.5,
        "exit_code": 0,
        "state": "done",
    }
)
"""A file of results that an earlier run has left."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def told(self) -> str:
        """Both outputs as one line, whatever the width they were printed for."""
        return " ".join(f"{self.stdout} {self.stderr}".split())


@dataclass(frozen=True)
class Site:
    """A warehouse file and a working folder of their own, and the Pipedrive they belong to.

    Each further machine of a site has a working folder of its own.
    """

    folder: Path
    pipedrive: LocalPipedrive
    working: str = field(default="dlt", kw_only=True)
    """The machine's own folder: another one has another."""
    program: Sequence[str] = field(default=(str(COMMAND),), kw_only=True)
    """`lead-sync`, or what stands in its place."""

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / "warehouse.duckdb"

    @property
    def data_dir(self) -> Path:
        """Where dlt keeps its working folders."""
        return self.folder / self.working

    def desire(self, columns: Mapping[str, str], rows: Iterable[Row], table: str = DESIRED) -> None:
        """Make the desired table anew: names and types of its columns, and rows by name."""
        names = list(columns)
        shown = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        marks = ", ".join("?" for _ in names)
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
            connection.execute(f"CREATE OR REPLACE TABLE {table} ({shown})")
            for row in rows:
                values = [row.get(name) for name in names]
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)

    def desire_titles(self, titles: Mapping[str, str]) -> None:
        """Make a desired table that manages nothing but the titles of these leads."""
        rows = [{"lead_id": lead, "title": title} for lead, title in titles.items()]
        self.desire({"lead_id": "VARCHAR", "title": "VARCHAR"}, rows)

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Return the rows of a query on the warehouse."""
        with duckdb.connect(str(self.database)) as connection:
            cursor = connection.execute(sql, list(values))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def outcomes(self, run_id: str | None = None) -> list[Row]:
        """Return the rows of `lead_outcomes`, of one run or of all."""
        where = "WHERE run_id = ?" if run_id else ""
        sql = f"SELECT * FROM pipedrive_leads.lead_outcomes {where} ORDER BY outcome_id"
        return self.query(sql, *([run_id] if run_id else []))

    def statuses(self, run_id: str | None = None) -> Counter[str]:
        """Return how many outcomes there are of each status."""
        return Counter(row["status"] for row in self.outcomes(run_id))

    def last_run(self) -> Row:
        """Return the newest row of `sync_runs`."""
        return self.runs()[-1]

    def runs(self) -> list[Row]:
        """Return the rows of `sync_runs`, oldest first."""
        return self.query("SELECT * FROM pipedrive_leads.sync_runs ORDER BY started_at")

    def mirror(self) -> dict[str, Row]:
        """Return the mirror by lead, `record` and `custom_fields` as parsed JSON."""
        rows = self.query("SELECT * FROM pipedrive_leads.leads")
        parsed = ("record", "custom_fields", "label_ids")
        return {
            row["id"]: {**row, **{name: json.loads(row[name] or "null") for name in parsed}}
            for row in rows
        }

    def outcomes_of_patches(self) -> list[int]:
        """Return for each released row of `lead_patches` how many outcomes it has."""
        rows = self.query(
            "SELECT count(o.outcome_id) AS n FROM pipedrive_leads.lead_patches p "
            "LEFT JOIN pipedrive_leads.lead_outcomes o ON o.outcome_id = p.patch_id "
            "WHERE p.plan_id IN "
            "(SELECT plan_id FROM pipedrive_leads.sync_runs WHERE command <> 'plan') "
            "GROUP BY p.patch_id"
        )
        return [row["n"] for row in rows]

    def environment(self, **settings: Any) -> dict[str, str]:
        """Return the environment of a command: the settings, and None for one left out."""
        told = {
            "base_url": self.pipedrive.base_url,
            "api_token": self.pipedrive.api_token,
            "desired_table": DESIRED,
            **settings,
        }
        given = {
            f"SOURCES__PIPEDRIVE_LEADS__{name.upper()}": _as_text(value)
            for name, value in told.items()
            if value is not None
        }
        return {**os.environ, **self._places(), **given}

    def start(
        self,
        *arguments: str,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> subprocess.Popen[str]:
        """Start `lead-sync` as a process of its own."""
        return Forked(
            [*self.program, *arguments],
            env=self.environment(**settings) | dict(env or {}),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, **given: Any) -> Ended:
        """Run `lead-sync` to its end."""
        with ended_at_last(self.start(*arguments, **given)) as process:
            return finish(process)

    def run(self, **given: Any) -> Summary:
        """Run the job within this process, as an orchestrator does."""
        return self._call("run", **given)

    def plan(self, **given: Any) -> Summary:
        """Make a plan within this process."""
        return self._call("plan", **given)

    def apply(self, plan_id: str, **given: Any) -> Summary:
        """Apply a stored plan within this process."""
        return self._call("apply", plan_id, **given)

    def revert(self, run_id: str, **given: Any) -> Summary:
        """Take a run back within this process."""
        return self._call("revert", run_id, **given)

    @contextmanager
    def in_place(self) -> Iterator[Row]:
        """Let this process work on this site, and yield the settings of its account."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in self._places().items():
                environment.setenv(name, value)
            yield {
                "base_url": self.pipedrive.base_url,
                "api_token": self.pipedrive.api_token,
                "desired_table": DESIRED,
            }

    def _call(self, job: str, *arguments: str, **given: Any) -> Summary:
        with self.in_place() as account:
            summary: Summary = getattr(connector, job)(*arguments, **{**account, **given})
            return summary

    def _places(self) -> dict[str, str]:
        return {
            "DLT_DATA_DIR": str(self.data_dir),
            "DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{self.database}",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }


NewSite = Callable[[], Site]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def run_to_end(
    call: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT, *, forked: bool = False
) -> Ended:
    """Run a program to its end.

    Args:
        call: The program and its arguments.
        env: The whole of its environment.
        cwd: Where it works.
        forked: Whether its start is of no interest.
    """
    start: Callable[..., subprocess.Popen[str]] = Forked if forked else subprocess.Popen
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ended_at_last(start(call, env=env, cwd=cwd, text=True, **outputs)) as process:
        return finish(process)


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command's end."""
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    return Ended(process.returncode, stdout, stderr)


@contextmanager
def ended_at_last(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """See to it that a process does not outlive a test that fails."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a port of its own and yield the address.

    However the block ends, the server is shut down before its socket is closed: it would spin on a
    closed one for as long as the process lives.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


def lead_id(name: str) -> str:
    """Return the lead id that stands for a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lead/{name}"))


def bodies(pipedrive: LocalPipedrive) -> dict[str, list[Any]]:
    """Return the bodies that were sent to each lead, in order."""
    sent: dict[str, list[Any]] = {}
    for entry in pipedrive.requests("PATCH"):
        sent.setdefault(entry["lead_id"], []).append(entry["body"])
    return sent


def writes(pipedrive: LocalPipedrive) -> Counter[str]:
    """Return how many PATCHes took effect on each lead."""
    return Counter(entry["lead_id"] for entry in pipedrive.requests("PATCH") if entry["wrote"])


def wire(document: Any) -> str:
    """Return JSON text that tells 1 from 1.0, "1" and true."""
    return json.dumps(document, sort_keys=True)
