"""Writes each main screen as a terminal of 80 and one of 160 columns shows it.

`python -m tests.docs.screens FILE` plays one story at either width and writes a page of Markdown,
for the eye. Nothing is held against it; `tests/snapshots` holds what commands print.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from connector.sandbox import LocalPipedrive
from tests.snapshots.scene import (
    CONFIG,
    MISNAMED,
    TYPES,
    as_they_are,
    first_wishes,
    misnamed,
    second_wishes,
)
from tests.support.harness import Row, Site
from tests.support.terminal import on_a_terminal, screen_of

WIDTHS = (80, 160)
LATENCY_MS = 130
Screen = tuple[str, str]


def screens(site: Site, columns: int) -> Iterator[Screen]:
    """Play the story; yield the name of each screen, and what stands on it."""
    kept = {name: value for name, value in os.environ.items() if "__" not in name}

    def show(name: str, *arguments: str, seconds: float | None = None, **given: str) -> Screen:
        own = site.environment(**{**CONFIG, **given})
        environment = kept | {key: own[key] for key in own if "__" in key or key == "DLT_DATA_DIR"}
        environment.pop("COLUMNS", None)
        drawn = on_a_terminal(
            environment,
            *arguments,
            cwd=site.folder,
            columns=columns,
            with_errors=True,
            seconds=seconds,
        )
        plain = drawn.replace(str(site.folder).encode(), b"/home/ada/crm")
        shown = screen_of(plain, columns)
        return name, f"$ lead-sync {' '.join(arguments)}\n{shown}"

    pipedrive = site.pipedrive
    rows = prepare(site)
    site.desire(TYPES, first_wishes(rows))
    yield show("check", "check")
    yield show("fields", "fields")
    yield show("columns", "columns")
    site.desire(MISNAMED, [misnamed(row) for row in rows[:3]])
    yield show("columns with problems", "columns")
    yield show("check with problems", "check")
    site.desire(TYPES, first_wishes(rows))
    yield show("the end of a run with misses", "run")
    site.desire(TYPES, second_wishes(rows))
    yield show("plan", "plan")
    yield show("show", "show", "latest")
    yield show("rehearse", "rehearse")
    yield show("a run that a guard stops", "run", "--max-patches", "4", max_clears="1")
    yield show("apply", "apply", str(site.runs()[-2]["run_id"]))
    yield show("runs ID", "runs", "latest")
    yield show("revert", "revert", "latest", "--yes")
    yield show("runs", "runs")
    yield show("the report's summary", "report", "--out", "report.html")
    site.desire_titles({row["lead_id"]: f"{row['title']} (2027)" for row in rows})
    pipedrive.settings(latency_ms=LATENCY_MS * 4)
    given = {"workers": "1", "max_overwrites": "off"}
    yield show("live progress", "run", seconds=9, **given)


def prepare(site: Site) -> list[Row]:
    """Archive two leads, and return the rows that want all active ones as they are."""
    active = [lead["id"] for lead in site.pipedrive.leads().values() if not lead["is_archived"]]
    for lead_id in active[7:9]:
        site.pipedrive.archive_lead(lead_id)
    return as_they_are(site.pipedrive, active)


def main(file: Path) -> None:
    """Write the page."""
    found: dict[str, list[str]] = {}
    for columns in WIDTHS:
        with tempfile.TemporaryDirectory() as folder, LocalPipedrive() as pipedrive:
            site = Site(Path(folder), pipedrive)
            for name, shown in screens(site, columns):
                found.setdefault(name, []).append(f"At {columns}:\n\n```text\n{shown}```\n")
    pages = [f"## {name}\n\n" + "\n".join(shown) for name, shown in found.items()]
    file.write_text("# Screens\n\n" + "\n".join(pages))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
