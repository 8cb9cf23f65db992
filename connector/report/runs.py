"""Runs as a person reads them: a list of them, and one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pendulum
from rich.console import Console

from connector.planning.model import STATUSES
from connector.records.leads import lead_url
from connector.records.text import message, visible
from connector.report.endings import overridden_line, print_trips
from connector.report.plans import LeadLines, print_settled
from connector.report.screen import say
from connector.report.words import counted, duration, spent, statuses_told, took
from connector.sync.summary import Entry
from connector.warehouse.journal import Miss
from connector.warehouse.schema import TableRow
from connector.warehouse.standing import Standing

HEADER = ("run", "command", "state", "took", "exit", "about")
ROOM = 50
"""Columns for what a run was about; with fewer it has lines of its own."""
CUT_OFF = "cut off"
"""The state of a run that is gone and has not said how it ended."""


def state_of(run: TableRow, holder: str | None) -> str:
    """Returns how a run stands; one that is not at its end is under way only while it has its turn.

    Args:
        run: Its row.
        holder: The run that has its turn.
    """
    if run["state"] == "running":
        return "running" if run["run_id"] == holder else CUT_OFF
    cut_off = run["exit_code"] is None and str(run["message"] or "").startswith("interrupted;")
    return CUT_OFF if cut_off else str(run["state"])


def print_runs(console: Console, runs: Iterable[TableRow], holder: str | None = None) -> None:
    """Prints a line a run, newest first, below a header.

    Args:
        console: Where to print.
        runs: Rows of `sync_runs`, newest first.
        holder: The run that has the turn; None where nobody has it.
    """
    rows = [HEADER, *(_cells(run, state_of(run, holder)) for run in runs)]
    if len(rows) == 1:
        say(console, "no runs")
        return
    widths = [max(len(row[number]) for row in rows) for number in range(len(HEADER) - 1)]
    for number, (*cells, about) in enumerate(rows):
        padded = [
            f"{cell:>{width}}" if name in ("took", "exit") else f"{cell:<{width}}"
            for cell, width, name in zip(cells, widths, HEADER, strict=False)
        ]
        head, style = f"{'  '.join(padded)}  ", "" if number else "bold"
        if console.is_terminal and console.width < len(head) + ROOM:
            # Too narrow for what it was about beside the rest.
            say(console, head.rstrip() if number else f"{head}{about}", style=style)
            if number:
                say(console, f"    {about}", hang=4)
            continue
        say(console, head, about, hang=len(head), style=style)


def _cells(run: TableRow, state: str) -> tuple[str, ...]:
    ends = run["finished_at"]
    now = datetime.now(UTC) if state == "running" else None
    seconds = _seconds(run["started_at"], ends or now)
    code = "—" if run["exit_code"] is None else str(run["exit_code"])
    about = ", ".join(_about(run, state))
    why = "" if state == CUT_OFF else _why(run)
    told = visible(f"{about}  {why}".rstrip(), 1000)
    lasted = "—" if seconds is None else took(seconds)
    return run["run_id"], run["command"], state, lasted, code, told


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    return None if began is None or ended is None else max((ended - began).total_seconds(), 0)


def _about(run: TableRow, state: str) -> Iterator[str]:
    if run["reverts"]:
        yield f"takes back {run['reverts']}"
    elif run["plan_id"] != run["run_id"]:
        yield f"plan {run['plan_id']}"
    else:
        yield counted(run["desired_rows"], "row")
    if run["lead"]:
        yield f"lead {run['lead']} alone"
    if state == "running":
        yield _progress(run)
    else:
        yield f"{run['planned']} to change"
    yield from filter(None, [statuses_told(run).removeprefix(", ")])
    yield counted(run["tokens"], "token")


def _progress(run: TableRow) -> str:
    done = sum(run[status] or 0 for status in STATUSES)
    if not run["sends_from"]:
        return f"{counted(run['leads_read'], 'lead')} read"
    return f"{done} of {run['planned']} done"


def _why(run: TableRow) -> str:
    """Says in short what stopped a run; `runs RUN_ID` has it all."""
    names = ", ".join(trip["guard"] for trip in run["tripped"] or ())
    return f"guards: {names}" if names else str(run["message"] or "")


def print_run(
    console: Console,
    run: TableRow,
    entries: Iterable[Entry],
    misses: Iterable[Miss],
    *,
    holder: str | None = None,
    domain: str | None = None,
    most: int | None = None,
) -> None:
    """Prints all that is known of a run: its facts, what it changed, and what it missed.

    Args:
        console: Where to.
        run: Its row.
        entries: What it has changed.
        misses: Leads that are not as they should be.
        holder: The run that has its turn.
        domain: The company's part of the address.
        most: So many leads of either kind; None for all.
    """
    state = state_of(run, holder)
    say(console, (f"{run['command']} {run['run_id']}", "bold"), f" {state}")
    for name, text in _facts(run, state):
        say(console, f"    {name:<10}  {message(text)}", hang=16)
    if run["tripped"]:
        effect = "Stopped, nothing was sent" if state == "stopped" else "A run would stop here"
        print_trips(console, effect, run["tripped"])
    for trip in run["overridden"] or ():
        say(console, overridden_line(trip))
    lines = LeadLines(console, most)
    for entry in entries:
        lines.add(entry)
    lines.flush()
    if lines.leads:
        say(console, f"Changed, {counted(lines.leads, 'lead')}:")
        lines.print()
    ranked = sorted(misses, key=lambda one: STATUSES.index(one.status))
    if ranked:
        say(console, f"Not as wanted, {len(ranked)}:")
    for miss in ranked[:most]:
        print_settled(console, vars(miss), miss.title, lead_url(domain, miss.lead_id))
    left = lines.left_out + len(ranked) - len(ranked[:most])
    if left:
        all_of_it = f"`lead-sync show {run['run_id']} --all`"
        say(console, f"… and {counted(left, 'lead')} more: {all_of_it} shows all", style="dim")


def _facts(run: TableRow, state: str) -> Iterator[tuple[str, str]]:
    began = pendulum.instance(run["started_at"]).in_timezone("UTC")
    seconds = _seconds(run["started_at"], run["finished_at"])
    lasted = "" if seconds is None or state == CUT_OFF else f", took {took(seconds)}"
    code = "" if run["exit_code"] is None else f", exit code {run['exit_code']}"
    yield "started", f"{began:%Y-%m-%d %H:%M:%S} UTC{lasted}{code}"
    yield "plan", run["plan_id"]
    if run["reverts"]:
        yield "takes back", run["reverts"]
    if run["narrowed_by"] or run["lead"]:
        yield "only", run["narrowed_by"] or f"--lead {run['lead']}"
    if run["desired_table"]:
        yield "table", f"{run['desired_table']}, {counted(run['desired_rows'], 'row')}"
    yield "planned", f"{counted(run['planned'], 'lead')} to change, {run['unchanged']} unchanged"
    if state == "running":
        yield "so far", _progress(run)
    yield "outcomes", statuses_told(run).removeprefix(", ") or "none"
    yield "spent", spent(run["tokens"], run["requests"], run["retries"])
    if run["message"] and not run["tripped"]:
        yield "message", run["message"]


def print_standing(console: Console, standing: Standing) -> None:
    """Prints how far a run is that holds the warehouse, so that nothing else can be read there."""
    told = standing_told(standing)
    say(console, f"{standing.command} {standing.run_id} is under way: {told}")


def standing_told(standing: Standing) -> str:
    """Says how far a run is: its outcomes, its pace, what is left of time and tokens."""
    of = "" if standing.total is None else f" of {standing.total}"
    parts = [f"{standing.step} {standing.done}{of}", *details(standing)]
    return ", ".join(parts)


def details(standing: Standing, *, with_rate: bool = True) -> Iterator[str]:
    """Yields a run's outcomes so far, its pace, and what is left of time and tokens.

    Args:
        standing: How far it is.
        with_rate: Whether there is room for the pace.
    """
    yield from filter(None, [statuses_told(standing.statuses).removeprefix(", ")])
    if standing.rate and with_rate:
        yield f"{standing.rate:.1f} a second"
    if standing.seconds_left:
        yield f"{duration(standing.seconds_left)} left"
    if standing.tokens_left is not None:
        yield f"{standing.tokens_left} tokens left"
