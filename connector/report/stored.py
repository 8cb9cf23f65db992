"""A stored plan or run, read again from the tables; Pipedrive is not asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from connector.errors import PlanError
from connector.planning.model import DONE, STATUSES, NotSent, Patch
from connector.records.fields import Field, fields_of
from connector.records.leads import lead_url
from connector.report.documents import change_documents
from connector.report.endings import next_step, print_next, resume
from connector.report.plans import PlanReport
from connector.report.runs import CUT_OFF, print_run, state_of
from connector.report.screen import say
from connector.sync.summary import Entry, Summary
from connector.warehouse import history, journal, noted
from connector.warehouse.journal import Miss, Missed, Written
from connector.warehouse.record import stored
from connector.warehouse.schema import TableRow
from connector.warehouse.store import Warehouse


@dataclass(frozen=True)
class Stored:
    """A plan or a run as the tables have it.

    Attributes:
        run: Its row of `sync_runs`.
        is_plan: Whether nothing of it was sent, so that what it would send is shown.
        written: What it would send, or has changed.
        misses: Leads that are not as they should be.
        fields: The fields by key, with the names of their values.
        applied_by: Runs that applied it, where it is a plan.
        domain: The company's part of the address.
        holder: The run that has its turn.
        is_latest: Whether no other run has begun since.
    """

    run: TableRow
    is_plan: bool
    written: Sequence[Written]
    misses: Sequence[Miss]
    fields: Mapping[str, Field]
    applied_by: Sequence[str]
    domain: str | None
    holder: str | None
    is_latest: bool

    def entries(self) -> Iterator[Entry]:
        """Yields what it would send, or has changed, for people to read."""
        for one in self.written:
            patch = one.patch
            fields = fields_of(patch.body, self.fields)
            url = lead_url(self.domain, patch.lead_id)
            yield Entry(patch.lead_id, one.title, patch, fields=fields, url=url)


def read_stored(warehouse: Warehouse, text: str, *, plan: bool = True) -> Stored:
    """Reads a plan or a run.

    Args:
        warehouse: Where it is.
        text: Its id, the beginning of one, or `latest`.
        plan: Whether what it would send is read of one that has sent nothing.

    Raises:
        PlanError: There is none, or several begin like that.
    """
    run_id = journal.find(warehouse, text)
    found = history.runs(warehouse, run_id)
    if not found:
        raise PlanError(f"no run {run_id}; `lead-sync runs` lists them")
    run = found[0]
    is_plan = plan and (run["command"] == "plan" or (bool(run["tripped"]) and not run["released"]))
    read, read_id = (journal.planned, run["plan_id"]) if is_plan else (journal.sent, run_id)
    others = history.runs_of_plan(warehouse, run_id) if is_plan else []
    return Stored(
        run,
        is_plan,
        list(read(warehouse, read_id)),
        [*journal.misses(warehouse, run_id), *(_left_out(warehouse, run) if is_plan else ())],
        noted.known_fields(warehouse),
        [row["run_id"] for row in others if row["run_id"] != run_id and row["released"]],
        journal.domain_of(warehouse),
        journal.holder_of(warehouse),
        journal.find(warehouse, journal.LATEST) == run_id,
    )


def _left_out(warehouse: Warehouse, run: TableRow) -> list[Miss]:
    """Returns what a plan has left out; an earlier version has stored the counts alone."""
    if not warehouse.column_names("plan_left_out"):
        return []
    return journal.left_out(warehouse, run["plan_id"])


def summary_of(found: Stored) -> Summary:
    """Returns the summary that the command of a stored run has told."""
    run = found.run
    known = {name: run[name] for name in stored() if run[name] is not None}
    statuses: Counter[str] = Counter({status: int(run[status] or 0) for status in STATUSES})
    summary = Summary(**known, statuses=statuses, planned=run["planned"], domain=found.domain)
    summary.patches = len(found.written) if found.is_plan else 0
    summary.exit_code = summary.exit_code if run["exit_code"] is None else run["exit_code"]
    reasons = Counter((one.status, one.reason) for one in found.misses)
    summary.missed = Missed(reasons, (), found.fields)
    return summary


def print_stored(console: Console, found: Stored, most: int | None) -> None:
    """Prints a plan as `plan` has printed it, and a run with what it changed and missed.

    Args:
        console: Where to.
        found: The plan or run.
        most: So many leads at most; None for all of them.
    """
    if not found.is_plan:
        print_run(
            console,
            found.run,
            found.entries(),
            found.misses,
            holder=found.holder,
            domain=found.domain,
            most=most,
        )
        if step := _next_of(found):
            print_next(console, step)
        return
    report = PlanReport(console, most)
    for entry in found.entries():
        report.show(entry)
    for miss in found.misses:
        settled = NotSent(miss.lead_id, miss.status, miss.reason)
        url = lead_url(found.domain, miss.lead_id)
        report.show(Entry(miss.lead_id, miss.title, settled=settled, url=url))
    summary = summary_of(found)
    report.finish(summary, found.applied_by)
    missed = summary.statuses.keys() - DONE
    if any(summary.statuses[status] for status in missed) and not found.misses:
        say(
            console,
            "An earlier version made it, which stored of what gets nothing the counts alone.",
        )


def _next_of(found: Stored) -> str | None:
    """Returns what to do about a run; nothing where a later one has had its turn."""
    if not found.is_latest:
        return None
    state = state_of(found.run, found.holder)
    summary = summary_of(found)
    if state == CUT_OFF:
        return f"the next run finds out what took effect; {resume(summary)}"
    return None if state == "running" else next_step(summary, seen=not summary.tripped)


def stored_document(found: Stored) -> dict[str, Any]:
    """Returns a plan or a run as JSON types, as `schemas/show.json` describes it."""
    run = {name: found.run[name] for name in (*stored(), *STATUSES, "planned")}
    return {
        "format": 1,
        "kind": "plan" if found.is_plan else "run",
        "run": run | {"state": state_of(found.run, found.holder)},
        "applied_by": [*found.applied_by],
        "patches": [_patch_document(one, found.fields) for one in found.written],
        "misses": [miss_document(one, found.fields) for one in found.misses],
    }


def _patch_document(one: Written, fields: Mapping[str, Field]) -> dict[str, Any]:
    patch: Patch = one.patch
    return {
        "patch_id": patch.patch_id,
        "lead_id": patch.lead_id,
        "title": one.title,
        "status": one.status,
        "reason": one.reason,
        "before": {key: patch.before.get(key) for key in patch.body},
        "body": patch.body,
        "changes": change_documents(patch, fields_of(patch.body, fields)),
    }


def miss_document(miss: Miss, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Returns a lead that is not as it should be as JSON types."""
    names = [one.name for one in fields_of(miss.keys, fields)]
    told = {"lead_id": miss.lead_id, "title": miss.title or None, "status": miss.status}
    return {**told, "reason": miss.reason, "fields": names}
