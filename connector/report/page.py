"""The report: one HTML file that needs nothing from elsewhere, for the eye and for a screen reader.

Strangers' words go through `visible` and are escaped by the template. The page's own policy allows
its style and its script by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from connector.errors import LeadSyncError
from connector.planning.model import DONE, KINDS, STATUSES
from connector.records.text import message, visible
from connector.report.place import naming, put_file
from connector.report.words import statuses_told
from connector.warehouse.figures import Figures, Phases, Sample
from connector.warehouse.record import package_version
from connector.warehouse.schema import TableRow

OPTION: Final = "--out"
TEMPLATES: Final = Path(__file__).parent / "templates"
MARK: Final = b'<meta name="generator" content="lead-sync report">'
LOOKED_AT: Final = 4096
"""Bytes of a file in which the mark of a report stands."""
MOST_PHASES: Final = 15
STYLES: Final = {"applied": "good", "confirmed": "good", "deferred": "warn", "conflict": "warn"}


@dataclass(frozen=True)
class Part:
    """A part of a bar, in percent of its width."""

    style: str
    start: float
    width: float


def page_of(figures: Figures, about: str, made_at: datetime) -> str:
    """Returns the report as HTML.

    Args:
        figures: What it tells.
        about: Which runs it is of.
        made_at: When it is made.
    """
    style, script = _part_of_page("page.css"), _part_of_page("page.js")
    runs: Sample[TableRow] = Sample()
    for run in figures.runs:
        runs.add(run)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            figures=figures,
            runs=runs,
            about=about,
            made_at=made_at,
            version=package_version(),
            tiles=_tiles(figures),
            outcomes=_outcomes(figures.statuses),
            by_field=_by_field(figures.kinds),
            by_day=_by_day(figures),
            phases=_phases(figures.phases[:MOST_PHASES]),
            run_states=sorted({run["state"] for run in figures.runs}),
            miss_kinds=[one for one in STATUSES if one not in DONE and figures.statuses[one]],
            style=style,
            style_hash=_digest(style),
            script=script,
            script_hash=_digest(script),
        )
    )


def clear_way(path: Path) -> Path:
    """Returns where a report goes, through any symbolic link; it is looked at before all else.

    Raises:
        LeadSyncError: It cannot be written, or what is there is not ours to replace.
    """
    place = Path(os.path.realpath(path))
    with naming(OPTION, path):
        _refuse_others(place)
        with tempfile.TemporaryFile(dir=place.parent):
            return place


def write_page(place: Path, page: str) -> None:
    """Writes a report, whole or not at all.

    Raises:
        LeadSyncError: It cannot be written, or what is there is not ours to replace.
    """
    with naming(OPTION, place):
        put_file(place, page, _refuse_others)


def _refuse_others(place: Path) -> None:
    if not place.exists():
        return
    if not place.is_file():
        raise LeadSyncError(f"{OPTION} {place} is no file; name one")
    with place.open("rb") as file:
        begin = file.read(LOOKED_AT)
    if begin and MARK not in begin:
        raise LeadSyncError(
            f"{OPTION} {place} is a file that is no report, and stays as it is; name another, or "
            "remove it"
        )


def _part_of_page(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    made.filters |= {
        "shown": visible,
        "message": message,
        "count": lambda count: f"{count:,}",
        "short": lambda number: f"{number:.2f}".rstrip("0").rstrip("."),
        "spaced": lambda status: visible(status).replace("_", " "),
        "style": lambda status: STYLES.get(status, "bad"),
        "moment": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "stamp": lambda moment: moment.astimezone(UTC).isoformat(),
        "outcomes": lambda run: statuses_told(run).removeprefix(", ") or "none",
        "seconds": _seconds,
    }
    return made


def _seconds(run: TableRow) -> str:
    ended = run["finished_at"]
    return f"{(ended - run['started_at']).total_seconds():.1f}" if ended else ""


def _tiles(figures: Figures) -> list[tuple[int, str, str]]:
    reached = sum(figures.statuses[one] for one in DONE)
    missed = sum(figures.statuses.values()) - reached
    return [
        (len(figures.runs), "runs", ""),
        (reached, "leads brought to what is wanted", "good"),
        (missed, "missed or put off", "bad" if missed else ""),
        (figures.changes.total, "values changed", ""),
        (figures.cleared.total, "values cleared", "bad" if figures.cleared.total else ""),
        (sum(figures.tokens.values()), "tokens spent", ""),
    ]


def _bar(most: float, parts: Iterable[tuple[str, float]]) -> list[Part]:
    """Returns the parts of a bar that is full at `most`, one after the other."""
    made, start = [], 0.0
    for style, amount in parts:
        width = min(100 * amount / most if most else 0.0, 100 - start)
        made.append(Part(style, start, width))
        start += width
    return made


def _outcomes(statuses: Counter[str]) -> list[dict[str, Any]]:
    total = sum(statuses.values())
    return [
        {
            "name": status,
            "count": statuses[status],
            "style": STYLES.get(status, "bad"),
            "parts": _bar(total, [(STYLES.get(status, "bad"), statuses[status])]),
        }
        for status in STATUSES
        if statuses[status]
    ]


def _by_field(kinds: Mapping[str, Counter[Any]]) -> list[dict[str, Any]]:
    most = max((counted.total() for counted in kinds.values()), default=0)
    ranked = sorted(kinds.items(), key=lambda one: (-one[1].total(), one[0]))
    styles = dict(zip(KINDS, ("main", "warn", "bad"), strict=True))
    return [
        {
            "name": name,
            "kinds": {kind: counted[kind] for kind in KINDS},
            "parts": _bar(most, [(styles[kind], counted[kind]) for kind in KINDS]),
        }
        for name, counted in ranked
    ]


def _by_day(figures: Figures) -> list[dict[str, Any]]:
    budget = figures.day_budget
    most = budget or max(figures.tokens.values(), default=0)
    return [
        {
            "name": day.isoformat(),
            "count": spent,
            "share": f"{100 * spent / budget:.1f} %" if budget else "",
            "parts": _bar(most, [("main", spent)]),
        }
        for day, spent in figures.tokens.items()
    ]


def _phases(phases: Sequence[Phases]) -> list[dict[str, Any]]:
    spans = [(one.run_id, (one.reading, one.sending, one.recording)) for one in phases]
    most = max((sum(seconds) for _, seconds in spans), default=0.0)
    return [
        {
            "name": run_id,
            "seconds": [f"{part:.1f}" for part in seconds],
            "parts": _bar(most, zip(("main", "good", "warn"), seconds, strict=True)),
        }
        for run_id, seconds in spans
    ]
