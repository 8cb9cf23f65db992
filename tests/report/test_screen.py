"""What strangers have written, on its way to a terminal, a pipe and a file: the bytes."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector.records.text import HIDDEN, LONGEST, LONGEST_MESSAGE, visible
from tests.support.forking import COMMAND, Forked
from tests.support.harness import PATIENCE_SECONDS, ROOT, NewSite, Site
from tests.support.terminal import on_a_terminal

pytestmark = pytest.mark.xdist_group("report screen")

EVIL = "\x1b[2J\x1b[H\r\x9b31m\u202e\u2028\n\x07\ue000[/red][link=http://x]:smile:[/"
FOLDED = " ".join(EVIL.split())
"""An error text of the API as it is kept: on one line."""
LONG = EVIL + "B" * 1_000_000
TYPES = {"lead_id": "VARCHAR", "title": "VARCHAR", "tier": "VARCHAR"}
LONGEST_LINE = LONGEST_MESSAGE + 100
COLOUR = "\x1b["


@dataclass
class Seen:
    """A site full of hostile texts, and the bytes that its commands have printed."""

    site: Site
    leads: list[str]
    printed: dict[str, bytes] = field(default_factory=dict)
    run_id: str = ""

    def command(
        self, name: str, *arguments: str, env: dict[str, str] | None = None, **settings: Any
    ) -> bytes:
        process = Forked(
            [str(COMMAND), *arguments],
            env={**self.site.environment(**settings), **(env or {})},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed: bytes = process.communicate(timeout=PATIENCE_SECONDS)[0]
        self.printed[name] = printed
        return printed


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    active = sorted(key for key, lead in site.pipedrive.leads().items() if not lead["is_archived"])
    titled, long, wanted, refused, odd, cleared = active[:6]
    for lead, title in ((titled, EVIL), (long, LONG), (cleared, EVIL)):
        site.pipedrive.set_lead(lead, title=title)
    site.pipedrive.fault(
        "status",
        status=400,
        method="PATCH",
        lead_id=refused,
        times=20,
        body={"success": False, "error": EVIL, "error_info": EVIL + "C" * 5000},
    )
    rows = [
        {"lead_id": titled, "title": "]"},
        {"lead_id": long, "title": "short"},
        {"lead_id": wanted, "title": f"]{EVIL}"},
        {"lead_id": refused, "title": "refused"},
        {"lead_id": odd, "title": "odd", "tier": EVIL},
        {"lead_id": EVIL, "title": EVIL},
    ]
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "[/red]": "VARCHAR"}, [])
    seen = Seen(site, active)
    mapped = '{"[/red]": "tier"}'
    seen.command("columns", "columns", columns=mapped)
    seen.command("unmapped", "columns")
    seen.command("check", "check", columns=mapped)
    site.desire(TYPES, rows)
    seen.command("guarded", "run", max_clears="0", max_clears_percent="0")
    seen.printed["terminal"] = on_a_terminal(site.environment() | {"COLUMNS": "120"}, "plan")
    seen.command("plan", "plan")
    seen.command("ascii", "plan", env={"PYTHONIOENCODING": "ascii"})
    seen.command("json", "plan", "--output", "json", "--log-format", "json")
    seen.command("run", "run")
    seen.run_id = str(site.last_run()["run_id"])
    seen.command("runs", "runs")
    seen.command("one run", "runs", seen.run_id)
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    seen.command("ascii json", "runs", seen.run_id, "--output", "json", env=ascii_only)
    seen.command("no such plan", "apply", EVIL)
    seen.command("wrong usage", "run", "--limit", EVIL)
    seen.command("revert", "revert", seen.run_id, "--yes", "--lead", titled)
    return seen


TEXTS = [
    *("columns", "unmapped", "check", "guarded", "plan", "ascii", "run", "runs", "one run"),
    *("no such plan", "wrong usage", "revert"),
]


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_that_acts_is_printed(seen: Seen, name: str) -> None:
    text = seen.printed[name].decode()
    assert text
    found = {char for char in text if unicodedata.category(char) in HIDDEN} - {"\n"}
    assert found == set()
    assert "Traceback" not in text
    assert max(map(len, text.splitlines())) <= LONGEST_LINE


def test_a_terminal_is_told_of_colours_alone(seen: Seen) -> None:
    drawn = seen.printed["terminal"].decode()
    left = drawn.replace("\r\n", "\n")
    for code in ("1", "0", "2", "31", "32", "33"):
        left = left.replace(f"{COLOUR}{code}m", "")
    links = re.findall(
        r"\x1b]8;id=\d+;(https://sandbox\.pipedrive\.com/leads/inbox/([0-9a-f-]+))", left
    )
    assert {lead for _, lead in links} >= {*seen.leads[:4]}
    left = re.sub(r"\x1b]8;[^;\x1b]*;[^\x1b]*\x1b\\", "", left)
    assert {char for char in left if unicodedata.category(char) in HIDDEN} == {"\n"}
    assert f"{visible(EVIL)} → {COLOUR}32m]{COLOUR}0m" in drawn
    assert left.startswith("Plan 20")
    assert f"\n{visible(EVIL)}  {seen.leads[0]}\n" in left


def test_hostile_texts_are_shown_and_cut(seen: Seen) -> None:
    plan = seen.printed["plan"].decode()
    assert f"{visible(EVIL)} → ]\n" in plan
    assert f"→ {visible(f']{EVIL}')}\n" in plan
    assert f"Title  {visible(LONG)} → short\n" in plan
    assert "B" * LONGEST not in plan
    one_run = seen.printed["one run"].decode()
    assert visible(FOLDED) in next(line for line in one_run.splitlines() if "failed  " in line)
    assert "C" * LONGEST not in one_run
    assert f"no plan {visible(EVIL)}; `lead-sync plan`" in seen.printed["no such plan"].decode()
    assert "such as" in seen.printed["guarded"].decode()
    assert "[/red]" in seen.printed["columns"].decode()


def test_json_is_exact_and_acts_on_nothing(seen: Seen) -> None:
    text = seen.printed["json"].decode()
    start = text.index("\n{\n") + 1 if not text.startswith("{\n") else 0
    logged, printed = text[:start], text[start:]
    assert {char for char in text if unicodedata.category(char) in HIDDEN} == {"\n"}
    titles = {one["lead_id"]: one["title"] for one in json.loads(printed)["patches"]}
    assert titles[seen.leads[0]] == EVIL
    assert titles[seen.leads[1]] == LONG
    assert [json.loads(line)["level"] for line in logged.splitlines()] != []
    [refused] = [
        one
        for one in json.loads(seen.printed["ascii json"].decode("ascii"))["misses"]
        if one["lead_id"] == seen.leads[3]
    ]
    assert f"400 {FOLDED} · {FOLDED}CCC" in refused["reason"]


def test_the_hostile_title_is_stored_and_given_back_exactly(seen: Seen) -> None:
    assert seen.site.mirror()[seen.leads[0]]["record"]["title"] == EVIL
    assert seen.site.pipedrive.lead(seen.leads[0])["title"] == EVIL
    assert seen.site.pipedrive.lead(seen.leads[2])["title"] == f"]{EVIL}"


def test_an_ascii_screen_gets_the_same_plan(seen: Seen) -> None:
    text = seen.printed["ascii"].decode("ascii")
    assert rf"{visible(EVIL)} \u2192 ]" in text
