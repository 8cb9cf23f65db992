"""What a person reads of earlier runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pendulum
from rich.console import Console

from connector.report import counted, overridden_line, print_guards, settled_line, statuses_told
from connector.screen import say
from connector.tables import STATUSES, Row
from connector.text import message, visible


def print_runs(console: Console, runs: Iterable[Row]) -> None:
    """Prints a line a run, newest first."""
    for run in runs:
        told = f"{run['run_id']}  {run['command']:<6}  {run['state']:<7}  {', '.join(_counts(run))}"
        say(console, f"{told}  {visible(_why(run))}".rstrip())


def print_run(console: Console, run: Row, misses: Iterable[Row]) -> None:
    """Prints all that is known of a run, and a line for each lead that it missed."""
    say(console, (f"{run['command']} {run['run_id']}", "bold"), f" {run['state']}")
    for name, text in _facts(run):
        say(console, f"    {name:<10}  {message(text)}")
    if run["tripped"]:
        print_guards(console, run["state"], run["tripped"])
    for trip in run["overridden"] or ():
        say(console, overridden_line(trip))
    for outcome in sorted(misses, key=lambda one: STATUSES.index(one["status"])):
        say(console, settled_line(outcome))


def _counts(run: Row) -> Iterator[str]:
    if run["reverts"]:
        yield f"takes back {run['reverts']}"
    elif run["plan_id"] != run["run_id"]:
        yield f"plan {run['plan_id']}"
    else:
        yield counted(run["desired_rows"], "row")
    yield f"{run['planned']} to change"
    yield from filter(None, [statuses_told(run).removeprefix(", ")])
    yield counted(run["tokens"], "token")


def _why(run: Row) -> str:
    """Says in short what stopped a run; `runs RUN_ID` has it all."""
    names = ", ".join(trip["guard"] for trip in run["tripped"] or ())
    return f"guards: {names}" if names else str(run["message"] or "")


def _facts(run: Row) -> Iterator[tuple[str, str]]:
    began, ended = run["started_at"], run["finished_at"]
    took = f", took {(ended - began).total_seconds():.1f} s" if ended else ""
    began = pendulum.instance(began).in_timezone("UTC")
    yield "started", f"{began:%Y-%m-%d %H:%M:%S} UTC{took}"
    yield "plan", run["plan_id"]
    if run["reverts"]:
        yield "takes back", run["reverts"]
    if run["desired_table"]:
        yield "table", f"{run['desired_table']}, {counted(run['desired_rows'], 'row')}"
    yield "planned", f"{counted(run['planned'], 'lead')} to change, {run['unchanged']} unchanged"
    yield "outcomes", statuses_told(run).removeprefix(", ") or "none"
    tokens, requests = counted(run["tokens"], "token"), counted(run["requests"], "request")
    yield "spent", f"{tokens} in {requests}, {run['retries']} retried"
    if run["message"] and not run["tripped"]:
        yield "message", run["message"]
