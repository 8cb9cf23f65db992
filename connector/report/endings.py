"""How a run ended, as a person reads it: what it came to, what it missed, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from connector.planning.model import Status
from connector.records.fields import NOTHING, fields_of
from connector.records.leads import lead_url
from connector.records.text import message, visible
from connector.report.screen import say
from connector.report.words import counted, spent, statuses_told, took
from connector.sync.summary import EXIT_INCOMPLETE, EXIT_STOPPED, Summary
from connector.warehouse.journal import Miss, Missed

STILL_WANTED = "mend the desired table before the next run, which sends again what it still wants"


def print_summary(console: Console, summary: Summary) -> None:
    """Prints what a run did, what it missed, and what to do about it."""
    about = f"{counted(summary.planned, 'lead')} to change"
    if summary.plan_id != summary.run_id:
        about = f"plan {summary.plan_id}, {about}"
    else:
        rows = counted(summary.desired_rows, "desired row")
        about = f"{rows}, {about}, {summary.unchanged} unchanged"
    say(
        console,
        f"Run {summary.run_id} {summary.state} in {took(summary.seconds)}: {about}.",
        hang=4,
    )
    say(
        console,
        f"Outcomes: {statuses_told(summary.statuses).removeprefix(', ') or 'none'}.",
        hang=4,
    )
    say(console, f"Spent: {spent_told(summary)}.", hang=4)
    print_notes(console, summary)
    print_guards(console, summary)
    print_missed(console, summary.missed, summary.domain)
    if step := next_step(summary):
        print_next(console, step)


def spent_told(summary: Summary) -> str:
    """Says what reading and writing took, and what a PATCH for each desired lead would."""
    read, written = summary.tokens - summary.tokens_written, summary.tokens_written
    of_all = spent(summary.tokens, summary.requests, summary.retries)
    told = f"{of_all}: {read} to read, {written} to write"
    blind = summary.blind_cost
    return f"{told} (sent blindly: {blind})" if blind else told


def print_notes(console: Console, summary: Summary) -> None:
    """Prints what is to be known of a plan or a run beside its counts."""
    if (whole := summary.whole_as_of) and whole < summary.started_at:
        updated = "Read what was updated since the run before"
        say(console, f"{updated}; all leads as of {whole:%Y-%m-%d %H:%M} UTC.", hang=4)
    if summary.left_over:
        told = f"Planned before by a run that was cut off: {counted(summary.left_over, 'lead')}."
        say(console, told, hang=4)
    if summary.beyond_limit:
        say(console, f"Left for later by `--limit`: {counted(summary.beyond_limit, 'lead')}.")
    if summary.kept_nulls:
        nulls = counted(summary.kept_nulls, "NULL")
        say(console, f"Left alone: {nulls}, by `on_null` or for good.")
    if summary.unagreed:
        fields, are = counted(summary.unagreed, "field"), "is" if summary.unagreed == 1 else "are"
        told = f"{fields} on which nothing was agreed yet {are} written by this plan"
        say(console, f"{told}: see `on_conflict`.", hang=4)
    for trip in summary.overridden:
        say(console, overridden_line(trip), hang=4)
    if summary.message and not summary.tripped:
        say(console, f"{stopped(summary.state, summary.message)}.", style="yellow", hang=4)


def stopped(state: str, why: str) -> str:
    """Says what ended a run, whoever asked for it."""
    told = message(why).rstrip(".")
    told = told if told.startswith(state) else f"{state}: {told}"
    return told[:1].upper() + told[1:]


def print_guards(console: Console, summary: Summary) -> None:
    """Prints what a plan does not pass: each guard, and leads to look at."""
    if not summary.tripped:
        return
    effect = "Stopped, nothing was sent" if summary.state == "stopped" else "A run would stop here"
    print_trips(console, effect, summary.tripped)


def print_trips(console: Console, effect: str, tripped: Sequence[Mapping[str, Any]]) -> None:
    """Prints guards that tripped, and to what effect.

    Args:
        console: Where to print.
        effect: What comes of it, as the line begins.
        tripped: Of each guard its name and what it says.
    """
    say(console, f"{effect}: {counted(len(tripped), 'guard')} tripped", style="red")
    for trip in tripped:
        say(console, "    ", (trip["guard"], "red"), ": ", message(trip["text"]))
        if fields := trip.get("fields"):
            lost = ", ".join(f"{visible(name)} on {leads}" for name, leads in fields.items())
            say(console, f"        {message(lost)}", hang=8)
        for sample in trip.get("samples", ()):
            say(console, f"        such as {message(sample)}", hang=8)


def overridden_line(trip: Mapping[str, Any]) -> Text:
    """Tells which guard was let pass, and by whom."""
    who = f"{visible(trip['user'])} on {visible(trip['host'])}"
    return Text(f"Guard {trip['guard']} let pass by {who}: {message(trip['text'])}", "yellow")


def print_missed(console: Console, missed: Missed, domain: str | None) -> None:
    """Prints the first leads that are not as they should be, those with one reason together.

    Args:
        console: Where to print.
        missed: How many leads there are of each reason, and the first of them.
        domain: The company's, for links; None where it is not known.
    """
    if not missed.counts:
        return
    total, shown = sum(missed.counts.values()), len(missed.first)
    which = f"{shown} of {total}" if shown < total else f"{total}"
    say(console, f"Not as wanted, {which}:")
    named = groupby(sorted(missed.first, key=_by_reason), key=_by_reason)
    groups = {reason: list(group) for reason, group in named}
    for key, count in missed.counts.items():
        group, (status, reason) = groups.get(key, []), key
        if not group and status != "deferred":
            continue
        head, many = f"    {status:<9}  ", f" ({counted(count, 'lead')})" if count > 1 else ""
        say(console, (head, "yellow"), f"{message(reason) or NOTHING}{many}", hang=len(head))
        for miss in group:
            say(console, " " * len(head), *_named(miss, missed, domain), hang=len(head))


def _by_reason(miss: Miss) -> tuple[Status, str]:
    return miss.status, miss.reason


def _named(miss: Miss, missed: Missed, domain: str | None) -> list[str | tuple[str, str]]:
    url = lead_url(domain, miss.lead_id)
    names = ", ".join(visible(one.name) for one in fields_of(miss.keys, missed.fields))
    lead, fields = visible(miss.lead_id or NOTHING), f"  ({names})" if names else ""
    if not miss.title:
        return [lead, fields]
    return [(visible(miss.title), f"link {url}" if url else ""), "  ", lead, fields]


def print_next(console: Console, step: str) -> None:
    """Prints what to do next, on one line."""
    say(console, ("next:", "bold"), f" {step}")


def next_step(summary: Summary, *, seen: bool = False) -> str | None:
    """Returns what to do after a plan or a run; a command to look comes before one that acts.

    Args:
        summary: What it came to.
        seen: Whether all that it did, or would do, stands above.
    """
    if summary.tripped:
        return _past_guards(summary, seen=seen)
    if summary.command == "plan" and summary.state == "done":
        if not summary.planned or summary.reverts:
            return None
        return f"`lead-sync apply {summary.plan_id}` sends it"
    took_back = summary.command != "plan" and summary.reverts and summary.planned
    mend = STILL_WANTED if took_back else ""
    if summary.exit_code == EXIT_INCOMPLETE:
        look = "" if seen else f"{_look(summary)} shows all of it"
        return _joined(look, _retry(summary), mend)
    if summary.exit_code == EXIT_STOPPED:
        look = "" if seen else f"{_look(summary)} shows how far it came"
        return _joined(look, _retry(summary) or go_on(summary), mend)
    return mend or None


def _joined(*steps: str) -> str | None:
    return "; ".join(filter(None, steps)) or None


def next_after_error(summary: Summary) -> str:
    """Returns what to do after a run that an error has ended."""
    found = any(summary.statuses.values())
    return f"{_look(summary)} shows how far it came" if found else "`lead-sync check` looks closer"


def _look(summary: Summary) -> str:
    return f"`lead-sync runs {summary.run_id}`"


def _past_guards(summary: Summary, *, seen: bool) -> str:
    flags = " ".join(dict.fromkeys(trip.get("accept", "") for trip in summary.tripped))
    if not summary.planned or summary.left_over:
        return f"look at the desired table; if it is right, run it again and accept it with {flags}"
    look = "" if seen else f"`lead-sync show {summary.plan_id} --all` shows all of it; "
    apply = f"`lead-sync apply {summary.plan_id}`"
    return f"{look}if it is right, send it by {apply} and accept it with {flags}"


def _retry(summary: Summary) -> str:
    """A refused PATCH is not sent again before its row or its lead changes."""
    refused = any(
        status == "failed" and reason.startswith("4") for status, reason in summary.missed.counts
    )
    if not refused:
        return ""
    again = f"`{_again(summary, '--retry-failed')}` "
    again += "plans it anew" if summary.command == "apply" else "sends it again"
    return f"once what was refused is mended, {again}"


def go_on(summary: Summary) -> str:
    """Says which command goes on with what is left of a run; it does no more than that one did."""
    if summary.command == "apply" and summary.released:
        # What is deferred by a plan is used up with it.
        return f"`{_again(summary)}` plans the rest anew"
    return resume(summary)


def resume(summary: Summary) -> str:
    """Says which command goes on with what a run left that was cut off."""
    if summary.command == "apply":
        return f"`lead-sync apply {summary.plan_id}` goes on with the rest"
    if summary.command == "plan":
        return f"`{_again(summary)}` begins again"
    return f"`{_again(summary)}` goes on with the rest"


def _again(summary: Summary, retry: str = "") -> str:
    """Returns the command that looks again at what a run has looked at, and at nothing else."""
    narrowed = message(summary.narrowed_by or "")
    if summary.reverts:
        return " ".join(filter(None, ["lead-sync revert", summary.reverts, narrowed]))
    command = "lead-sync run" if summary.command == "run" else "lead-sync plan"
    return " ".join(filter(None, [command, retry, narrowed]))
