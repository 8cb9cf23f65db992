"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from connector.report import progress
from connector.report.runs import standing_told
from connector.warehouse.standing import Board, Standing, read_standing
from tests.support.forking import COMMAND
from tests.support.harness import PATIENCE_SECONDS, ROOT, Site, wait_until
from tests.support.scene import desire, new_leads
from tests.support.terminal import screen_of


@contextmanager
def at_a_terminal(
    site: Site, *arguments: str, **settings: object
) -> Iterator[tuple[int, list[bytes]]]:
    """Start a command with both outputs at a terminal; yield its process and what it has drawn."""
    ours, its = pty.openpty()
    env = {**site.environment(**settings), "TERM": "xterm-256color", "COLUMNS": "110"}
    command = subprocess.Popen(
        [str(COMMAND), *arguments], env=env, cwd=ROOT, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    drawn: list[bytes] = []

    def read() -> None:
        with suppress(OSError):
            while piece := os.read(ours, 65536):
                drawn.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield command.pid, drawn
        command.wait(PATIENCE_SECONDS)
    finally:
        command.kill()
        command.wait()
        reader.join(PATIENCE_SECONDS)
        os.close(ours)


def test_the_bar_keeps_the_true_count_and_mixes_with_no_text(site: Site) -> None:
    leads = new_leads(site, 40)
    desire(site, leads)
    site.pipedrive.settings(latency_ms=120)
    site.pipedrive.fault("status", status=400, method="PATCH", times=2)
    with at_a_terminal(site, "run", workers=1) as (pid, drawn):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 8, "nothing is sent")
        os.kill(pid, signal.SIGINT)
        began = time.monotonic()
        wait_until(lambda: b"a second one ends" in b"".join(drawn), "it says nothing of Ctrl-C")
        assert time.monotonic() - began < 5
    rows = screen_of(b"".join(drawn), 110).splitlines()
    run = site.last_run()
    done = run["applied"] + run["failed"]
    assert 8 <= done < 40
    [bar] = [row for row in rows if row.startswith("apply")]
    assert re.fullmatch(
        rf"apply +[━╸╺ ]+ +{done}/40 +{run['applied']} applied, 2 failed, [\d.]+ a second, .+", bar
    ), bar
    assert "left" in bar
    [warned] = [row for row in rows if "a second one ends" in row]
    assert "━" not in warned
    told = rows.index(next(row for row in rows if row.startswith("Run ")))
    assert rows.index(bar) < told
    assert not [row for row in rows[told:] if "━" in row]


def test_a_plan_is_printed_once_its_bar_stands_still(site: Site) -> None:
    desire(site, new_leads(site, 30))
    with at_a_terminal(site, "plan") as (_, drawn):
        pass
    rows = screen_of(b"".join(drawn), 110).splitlines()
    plan = next(number for number, row in enumerate(rows) if row.startswith("Plan "))
    [bar] = [row for row in rows[:plan] if row.startswith("refresh")]
    assert re.search(r"━ 30/30$", bar), bar
    assert not [row for row in rows[plan:] if "━" in row]
    assert sum("As it is → Title of" in row for row in rows) == 20 + 1
    [more] = [row for row in rows if "more: " in row]
    assert (
        more == f"… and 10 leads more: `lead-sync show {site.last_run()['run_id']} --all` shows all"
    )


def test_a_terminal_shows_all_where_it_is_asked_to(site: Site) -> None:
    desire(site, new_leads(site, 30))
    with at_a_terminal(site, "plan", "--all") as (_, drawn):
        pass
    text = b"".join(drawn).decode()
    assert text.count("As it is → ") == 30 + 1
    assert "more: " not in text


def test_a_long_value_is_wrapped_between_words(site: Site) -> None:
    [lead] = new_leads(site, 1)
    words = " ".join(["Framework agreement for all sites in Hamburg"] * 4)
    site.desire_titles({lead: words})
    with at_a_terminal(site, "plan") as (_, drawn):
        pass
    text = b"".join(drawn).decode().replace("\r\n", "\n")
    lines = [re.sub(r"\x1b[^mA-Z\\]*[mA-Z\\]", "", line) for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("    Title  As"))
    assert "Framework agreement" in lines[start]
    assert lines[start + 1][:12].strip(" ")
    told = " ".join(line.strip() for line in lines[start : start + 3])
    assert words in told
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_comes_now_and_then_where_there_is_no_terminal(site: Site, form: str) -> None:
    desire(site, new_leads(site, 100))
    site.pipedrive.settings(latency_ms=130)
    ended = site.command("run", "--log-format", form, workers=1)
    assert ended.code == 0, ended.told
    lines = ended.stderr.splitlines()
    if form == "json":
        lines = [json.loads(line)["message"] for line in lines]
    told = [
        line for line in lines if re.search(r"apply \d+ of 100, \d+ applied, [\d.]+ a second", line)
    ]
    assert len(told) == 1
    assert re.search(r"\d+ seconds left$|\d+ tokens left$", told[0])


def test_how_far_it_is_in_words() -> None:
    standing = Standing("r", "run", "apply", 50, 200, 10.0, {"applied": 48, "failed": 2}, 500, 900)
    assert standing_told(standing) == (
        "apply 50 of 200, 48 applied, 2 failed, 5.0 a second, 30 seconds left, 900 tokens left"
    )
    begun = Standing("r", "run", "refresh", 0, None, 0.0, {}, 0, None)
    assert standing_told(begun) == "refresh 0"


def test_a_file_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "missing" / "folder"
    seen: list[Standing] = []
    board = Board(folder, seen.append)
    board.begin("apply")
    known = {"run_id": "r", "command": "run", "statuses": {}, "tokens": 0, "tokens_left": None}
    board.post(done=1, total=2, **known)
    board.clear()
    assert [one.done for one in seen] == [1]
    assert read_standing(folder) is None


def test_what_was_said_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    board = Board(folder, None)
    board.begin("apply")
    known = {"run_id": "r", "command": "run", "statuses": {"applied": 1}, "tokens": 0}
    board.post(done=1, total=2, tokens_left=7, **known)
    board.post(done=2, total=2, tokens_left=7, **known)
    found = read_standing(folder)
    assert found is not None
    assert (found.done, found.total, found.tokens_left) == (1, 2, 7)
    folder.with_suffix(".standing").write_text("{half")
    assert read_standing(folder) is None
    board.clear()
    assert read_standing(folder) is None


def test_who_waits_for_what_is_told_by_step() -> None:
    assert progress.WAITS_FOR.keys() == {"refresh", "apply"}
