"""What a person reads of the columns and of `check`, and how a script ends as the command does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.records.fields import NOTHING
from connector.records.text import message, visible
from connector.report.endings import print_next, print_summary
from connector.report.exits import exit_code
from connector.report.screen import console, is_narrow, say
from connector.sync.stopping import stop_on_signal
from connector.sync.summary import Summary

if TYPE_CHECKING:
    from connector.sync.check import Finding
    from connector.sync.explanation import Explanation

PASSED_OVER = {
    "lead_id": "the lead",
    "updated_at": "picks the newest of several rows for a lead",
    "changes": "a JSON merge patch over the other columns",
}


def exit_code_of(job: Callable[..., Summary]) -> int:
    """Runs a job for a script as the command does: a signal stops it, and it tells how it ended.

    Args:
        job: Takes the event that a signal sets as `stop`.
    """

    def command() -> int:
        with stop_on_signal() as stop:
            summary = job(stop=stop)
        print_summary(console(), summary)
        return summary.exit_code

    return exit_code(command)


def print_columns(console: Console, found: Explanation) -> None:
    """Prints what each column of the desired table manages, and what NULL does to it.

    All that is wrong follows below, a line each.
    """
    columns, has_type = found.columns, not is_narrow(console)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("column", no_wrap=True)  # a name that is cut short cannot be copied
    for title in ("field", *(("type",) if has_type else ()), "NULL", "values"):
        table.add_column(title, overflow="fold")

    def add(name: str, field: str, kind: str, *rest: str | Text) -> None:
        cells = [name, field, *((kind,) if has_type else ()), *rest]
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))

    for column in columns.managed:
        field = column.field
        part = f" ({column.part})" if column.part else ""
        null = columns.null_rule(field)
        blank = ", only if blank" if field.key in columns.only_if_blank else ""
        names = list(map(visible, field.options.names.values()))
        values = ", ".join(names[:3] + ["…"] * (len(names) > 3))
        title = visible(field.name) + part
        add(visible(column.name), title, visible(field.type), null + blank, values)
    for name in found.passed_over:
        about = PASSED_OVER.get(name, "dlt's own")
        add(visible(name), NOTHING, "", "", about)
    for name in dict.fromkeys(one.column for one in found.problems):
        if name and name not in {column.name for column in columns.managed}:
            add(visible(name), NOTHING, "", "", Text("problem", "red"))
    console.print(table, soft_wrap=False)
    for problem in found.problems:
        text = problem.wrong if problem.is_of_config else str(problem)
        say(console, ("problem", "red"), f"  {message(text)}", hang=9)
    for name, doubt in found.doubts.items():
        say(console, ("look", "yellow"), f"     {message(f'{name}: {doubt}')}", hang=9)
    if not found.problems:
        print_next(console, "`lead-sync plan` shows what a run would change")


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Prints a line for each thing that `check` has looked at, and what to look at next."""
    wrong = []
    for finding in findings:
        mark = ("ok", "green") if finding.good else ("problem", "red")
        told, hang = f"  {finding.subject}: {message(finding.text)}", len(mark[0]) + 2
        say(console, mark, told, hang=hang)
        wrong += [] if finding.good else [finding.subject]
    columns = "`lead-sync columns` shows what each column manages"
    if not wrong:
        print_next(console, f"{columns}, `lead-sync plan` what a run would change")
    elif {*wrong} == {"columns"}:
        print_next(console, f"{columns}, and all that is wrong")
