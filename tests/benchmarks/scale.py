"""What a run costs against the number of leads, beside a client that only fetches and parses.

`python -m tests.benchmarks.scale [leads …]` prints CPU seconds, memory and tokens of a first run,
of one that finds all leads as they shall be, and of one after 100 edits at Pipedrive, with twelve
managed columns and with two. `--json FILE` and `--svg FILE` write the table and its plot.
`--postgres` has the books in a PostgreSQL of its own, and the desired rows in DuckDB still.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from connector.sandbox import LocalPipedrive
from tests.benchmarks.plot import plot
from tests.support.postgres import Postgres, new_database, serving_postgres

NARROW = ("title",)
WIDE = (
    *("title", "owner_id", "person_id", "organization_id", "value_amount", "value_currency"),
    *("expected_close_date", "visible_to", "was_seen", "channel_id", "is_archived"),
)
PATCH_TOKENS = 10
BARE = """
import sys, requests, orjson
origin, token = sys.argv[1:]
session, start = requests.Session(), 0
while start is not None:
    params = {"start": start, "limit": 500}
    answer = session.get(f"{origin}/api/v1/leads", params=params, headers={"x-api-token": token})
    page = orjson.loads(answer.content)["additional_data"]["pagination"]
    start = page.get("next_start")
"""


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Attributes:
        what: Which one.
        leads: How many leads there were.
        cpu: Seconds of CPU, its own and the kernel's for it.
        mebibytes: The most memory that it held.
        tokens: Pipedrive's tokens that it spent.
        ratio: Its CPU seconds to those of the bare client.
    """

    what: str
    leads: int
    cpu: float
    mebibytes: int
    tokens: int
    ratio: float = 1.0


def main() -> None:
    """Prints the table, and writes what is asked for."""
    asked = argparse.ArgumentParser()
    asked.add_argument("leads", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    asked.add_argument("--json", type=Path)
    asked.add_argument("--svg", type=Path)
    asked.add_argument("--postgres", action="store_true")
    given = asked.parse_args()
    rows: list[Cost] = []
    with serving_postgres() if given.postgres else nullcontext() as server:
        for row in chain.from_iterable(measure(leads, server) for leads in given.leads):
            rows.append(row)
            print(
                f"{row.leads:>9,} leads  {row.what:<31} {row.cpu:7.2f} s CPU  "
                f"{row.ratio:5.1f} x bare  {row.mebibytes:>5} MiB  {row.tokens:>6} tokens",
                flush=True,
            )
    if given.svg:
        given.svg.write_text(plot(panels_of(rows)))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def panels_of(rows: Sequence[Cost]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Returns what is drawn: a line for each kind of run with the narrow table in each panel."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        what, _, columns = row.what.partition(", with ")
        if columns not in ("", told(NARROW)):
            continue
        shown = {"CPU seconds": row.cpu, "MiB at most": row.mebibytes, "tokens": row.tokens}
        for title, value in shown.items():
            panels.setdefault(title, {}).setdefault(what, []).append((row.leads, value))
        if not columns:
            blindly = panels["tokens"].setdefault("a PATCH for each lead", [])
            blindly.append((row.leads, PATCH_TOKENS * row.leads))
    return panels


def told(columns: Sequence[str]) -> str:
    """Returns how many columns a table has."""
    return f"{len(columns)} column{'s' * (len(columns) != 1)}"


def measure(leads: int, server: Postgres | None) -> Iterator[Cost]:
    """Yields what each kind of run costs with so many leads, its books in DuckDB or on a server."""
    with LocalPipedrive(leads=leads, limits=False) as pipedrive:
        records = [lead for lead in pipedrive.leads().values() if not lead["is_archived"]]
        bare = spent("bare client", leads, [sys.executable, "-c", BARE, *account(pipedrive)])
        yield bare
        for columns in (NARROW, WIDE):
            with warehouse(pipedrive, records, columns, server) as environment:
                names = ["first run", "again, all read", "again, all read", "after 100 edits"]
                for number, name in enumerate(names):
                    if number == 3:
                        edit(pipedrive, records[:100])
                    command = [sys.executable, "-m", "connector", "run", "--output", "json"]
                    if number < 3:
                        command.append("--full-refresh")
                    if number != 1:
                        what = f"{name}, with {told(columns)}"
                        yield spent(what, leads, command, environment, bare)
                    else:
                        spent(name, leads, command, environment)


def spent(
    what: str,
    leads: int,
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    bare: Cost | None = None,
) -> Cost:
    """Runs a command and returns what it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = [sys.executable, "-c", PEAK, *command]
    ended = subprocess.run(measured, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{what} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tokens = json.loads(ended.stdout)["tokens"] if "--output" in command else leads // 500 * 20
    peak = int(ended.stderr.strip().splitlines()[-1]) // 1024
    return Cost(
        what, leads, round(cpu, 2), peak, tokens, round(cpu / (bare.cpu if bare else cpu), 1)
    )


PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def account(pipedrive: LocalPipedrive) -> tuple[str, str]:
    """Returns where a client finds its account, and its token."""
    return pipedrive.base_url, pipedrive.api_token


@contextmanager
def warehouse(
    pipedrive: LocalPipedrive,
    records: list[dict[str, Any]],
    columns: Sequence[str],
    server: Postgres | None,
) -> Iterator[dict[str, str]]:
    """Yields the settings of a warehouse that wants what the leads say already.

    Args:
        pipedrive: The account.
        records: The leads, as they are.
        columns: The columns of the desired table.
        server: Where the books are; None for the file that has the desired table.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl")
        with file.open("w") as lines:
            for record in records:
                value = record.get("value") or {}
                flat = {**record, "value_amount": value.get("amount")}
                flat |= {"value_currency": value.get("currency"), "lead_id": record["id"]}
                lines.write(
                    json.dumps({name: flat.get(name) for name in ("lead_id", *columns)}) + "\n"
                )
        place = Path(folder, "warehouse.duckdb")
        with duckdb.connect(str(place)) as connection:
            connection.execute("CREATE SCHEMA crm")
            connection.execute(
                f"CREATE TABLE crm.lead_changes AS SELECT * FROM read_json('{file}', "
                "format = 'newline_delimited')"
            )
        origin, token = account(pipedrive)
        places = {"DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{place}"}
        if server:
            places = {
                "DESTINATION__DESIRED__CREDENTIALS": f"duckdb:///{place}",
                "DESTINATION__WAREHOUSE__DESTINATION_TYPE": "postgres",
                "DESTINATION__WAREHOUSE__CREDENTIALS": server.url(new_database(server)),
            }
        yield {
            **os.environ,
            "SOURCES__PIPEDRIVE_LEADS__BASE_URL": origin,
            "SOURCES__PIPEDRIVE_LEADS__API_TOKEN": token,
            "SOURCES__PIPEDRIVE_LEADS__MAX_OVERWRITES": "off",
            "DLT_DATA_DIR": str(Path(folder, "dlt")),
            **places,
        }


def edit(pipedrive: LocalPipedrive, records: list[dict[str, Any]]) -> None:
    """Has a person edit some leads; a run gives them back what they had."""
    for record in records:
        pipedrive.set_lead(record["id"], title=f"{record['title']} (edited)")


if __name__ == "__main__":
    main()
