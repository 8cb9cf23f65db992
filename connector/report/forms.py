"""A stored plan or run as Markdown, CSV and HTML, from its document.

Strangers have written titles, names, values and reasons. In each form they are data: in Markdown
as code, in which nothing is a link, a mention or markup; in CSV never a formula; in HTML escaped.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connector.records.text import visible
from connector.report.words import KINDS, counted, statuses_told

Document = Mapping[str, Any]
Cells = Sequence[str]
LARGEST_COMMENT = 65_536
"""Characters of a comment at GitHub (documented nowhere, told by its error); bytes here, which are
never fewer."""
SPARE = 1_000
"""Bytes kept for what says what was cut."""
LONGEST_CELL = 32_000
"""Characters of a cell; a spreadsheet takes 32,767."""
CHANGES = ("lead", "id", "field", "old", "new", "status")
MISSES = ("status", "lead", "id", "reason")


def markdown(document: Document) -> str:
    """Returns Markdown that fits a comment on a pull request, and says what it leaves out."""
    run = document["run"]
    head = "\n".join(_markdown_head(document))
    room = LARGEST_COMMENT - SPARE - len(head.encode())
    misses = [_markdown_row(_miss_cells(one)) for one in document["misses"]]
    changes = [_markdown_row(cells) for cells in _changes(document)]
    shown_misses = _fitting(misses, room // 2 if changes else room)
    shown = _fitting(changes, room - sum(len(row.encode()) + 1 for row in shown_misses))
    parts = [head]
    if shown:
        parts.append("\n".join([*_markdown_header(CHANGES), *shown]))
    if shown_misses:
        parts.append("\n".join(["**Not as wanted**\n", *_markdown_header(MISSES), *shown_misses]))
    left = len(changes) - len(shown), len(misses) - len(shown_misses)
    if any(left):
        told = [
            f"{counted(count, noun)}"
            for count, noun in zip(left, ("change", "missed lead"), strict=True)
            if count
        ]
        all_of_it = f"`lead-sync show {run['run_id']} --output csv` has all"
        parts.append(f"Cut to fit a comment: {' and '.join(told)} more; {all_of_it}.")
    return "\n\n".join(parts) + "\n"


def _markdown_head(document: Document) -> Iterator[str]:
    run, kind = document["run"], document["kind"]
    yield f"### lead-sync {kind} `{run['run_id']}`\n"
    told = f"**{counted(run['planned'], 'lead')} to change**, {run['unchanged'] or 0} unchanged"
    yield f"{told}{statuses_told(run)}. State: {run['state']}.\n"
    for trip in run["tripped"] or ():
        yield f"- Guard {_code(trip['guard'])}: {_code(trip['text'])}"
        for sample in trip.get("samples", ()):
            yield f"  - such as {_code(sample)}"
    if run["message"] and not run["tripped"]:
        yield f"{_code(run['message'])}\n"
    fields = _by_field(document)
    if fields:
        yield ""
        yield from _markdown_header(("field", *KINDS))
        for name, kinds in fields:
            yield f"| {_code(name)} | {' | '.join(str(kinds[kind] or '') for kind in KINDS)} |"


def _markdown_header(names: Iterable[str]) -> list[str]:
    names = list(names)
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]


def _markdown_row(cells: Cells) -> str:
    return f"| {' | '.join(_code(cell) for cell in cells)} |"


def _code(text: object) -> str:
    """Returns text as code in a table's cell.

    How a pipe, a backslash and a backtick go together there differs between readers of Markdown.
    A text with one of them is spelled by numbers, which nobody takes for markup.
    """
    shown = visible(text).strip()
    if shown and not {*shown} & {*"|`\\"}:
        return f"`{shown}`"
    spelled = re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found[0])};", shown)
    return f"<code>{spelled}</code>" if shown else ""


def _fitting(rows: Sequence[str], room: int) -> list[str]:
    fitting = []
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            break
        fitting.append(row)
    return fitting


def _by_field(document: Document) -> list[tuple[str, Counter[str]]]:
    """Returns how many values of each field are set, changed and cleared, the most first."""
    found: dict[str, Counter[str]] = {}
    for patch in document["patches"]:
        for change in patch["changes"]:
            found.setdefault(change["field"], Counter())[change["kind"]] += 1
    return sorted(found.items(), key=lambda one: (-one[1].total(), one[0]))


def _changes(document: Document) -> Iterator[Cells]:
    for patch in document["patches"]:
        for change in patch["changes"]:
            new = "clear" if change["new"] is None else change["new"]
            status = patch["status"] or "planned"
            named = (patch["title"] or "", patch["lead_id"], change["field"])
            yield (*named, "—" if change["old"] is None else change["old"], new, status)


def _miss_cells(miss: Document) -> Cells:
    return miss["status"], miss["title"] or "", miss["lead_id"] or "—", miss["reason"] or ""


CSV_COLUMNS = (
    *("run_id", "lead_id", "title", "key", "field", "kind", "old", "new", "status", "reason"),
)


def csv_text(document: Document) -> str:
    """Returns a row a field that is changed, and a row for each lead that is not as wanted.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    run_id = document["run"]["run_id"]
    for patch in document["patches"]:
        known = {name: patch[name] for name in ("lead_id", "title", "status", "reason")}
        known["status"] = known["status"] or "planned"
        for change in patch["changes"]:
            changed = {name: change[name] for name in ("key", "field", "kind", "old", "new")}
            writer.writerow(_csv_row({"run_id": run_id, **known, **changed}))
    for miss in document["misses"]:
        known = {name: miss[name] for name in ("lead_id", "title", "status", "reason")}
        writer.writerow(_csv_row({"run_id": run_id, "field": ", ".join(miss["fields"]), **known}))
    return out.getvalue()


def _csv_row(row: Document) -> dict[str, str]:
    return {name: _csv_cell(value) for name, value in row.items()}


def _csv_cell(value: Any) -> str:
    shown = "" if value is None else visible(value, LONGEST_CELL)
    # A blank in front is passed over by some programs before they look for a formula.
    return f"'{shown}" if shown.lstrip()[:1] in {*"=+-@|%", "＝", "＋", "－", "＠"} else shown


STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
.clear { color: #c22; } .guard { color: #c22; font-weight: 600; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html_page(document: Document) -> str:
    """Returns one page without any script, and with nothing that it would have to load."""
    run, kind = document["run"], document["kind"]
    title = f"lead-sync {kind} {run['run_id']}"
    told = f"{counted(run['planned'], 'lead')} to change, {run['unchanged'] or 0} unchanged"
    body = [f"<h1>{_escaped(title)}</h1>", f"<p>{told}{statuses_told(run)}. {run['state']}.</p>"]
    for trip in run["tripped"] or ():
        body.append(f"<p class=guard>Guard {_escaped(trip['guard'])}: {_escaped(trip['text'])}</p>")
        body += [f"<p>such as {_escaped(sample)}</p>" for sample in trip.get("samples", ())]
    if run["message"] and not run["tripped"]:
        body.append(f"<p>{_escaped(run['message'])}</p>")
    by_field = [
        [name, *(str(kinds[one] or "") for one in KINDS)] for name, kinds in _by_field(document)
    ]
    body.append(_table("By field", ("field", *KINDS), by_field))
    body.append(_table("Changes", CHANGES, _changes(document)))
    body.append(_table("Not as wanted", MISSES, map(_miss_cells, document["misses"])))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body>\n</html>\n"
    )


def _table(caption: str, names: Cells, rows: Iterable[Cells]) -> str:
    lines = [f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows]
    if not lines:
        return ""
    header = "".join(f"<th scope=col>{name}</th>" for name in names)
    return (
        f"<h2>{caption}</h2>\n<table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody>\n</table>"
    )


def _escaped(text: object) -> str:
    return html.escape(visible(text), quote=True)
