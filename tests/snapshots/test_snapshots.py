"""What a person sees of each command, held against the files beside this one.

`LEAD_SYNC_SNAPSHOTS=write pytest tests/snapshots` writes them anew; read the diff before you
commit it. Ids of runs, times and addresses are replaced by fixed words.
"""

from __future__ import annotations

import difflib
import os
import pty
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.snapshots.scene import CONFIG, Story, play
from tests.support.harness import COMMAND, PATIENCE_SECONDS, ROOT, NewSite, Site

pytestmark = pytest.mark.xdist_group("snapshots")

FOLDER = Path(__file__).parent
WRITE = os.environ.get("LEAD_SYNC_SNAPSHOTS") == "write"
NAMES = sorted(file.stem for file in FOLDER.glob("*.txt"))


@pytest.fixture(scope="module")
def story(new_site: NewSite) -> Story:
    played = play(new_site())
    if WRITE:
        for file in FOLDER.glob("*.txt"):
            file.unlink()
        for name, seen in played.told.items():
            (FOLDER / f"{name}.txt").write_text(seen)
    return played


@pytest.mark.parametrize("name", NAMES)
def test_what_a_person_sees(story: Story, name: str) -> None:
    expected = (FOLDER / f"{name}.txt").read_text().splitlines()
    seen = story.told.get(name, "").splitlines()
    diff = "\n".join(difflib.unified_diff(expected, seen, f"{name}.txt", "seen", lineterm=""))
    assert not diff, f"\n{diff}"


def test_every_output_has_its_file(story: Story) -> None:
    files = {file.stem for file in FOLDER.glob("*.txt")}
    assert sorted(story.told.keys() - files) == []
    assert sorted(files - story.told.keys()) == []


def on_a_terminal(site: Site, *arguments: str, **environment: str) -> str:
    """Run a command at a terminal where a person says no; return what it draws."""
    ours, its = pty.openpty()
    told = {name: value for name, value in site.environment(**CONFIG).items() if name != "NO_COLOR"}
    command = subprocess.Popen(
        [str(COMMAND), *arguments],
        env={**told, "TERM": "xterm-256color", **environment},
        cwd=ROOT,
        stdin=its,
        stdout=its,
        stderr=subprocess.DEVNULL,
    )
    os.close(its)
    os.write(ours, b"n\n")  # whatever is asked
    drawn = b""
    # The other end of a terminal that nobody holds any more cannot be read: EIO.
    with suppress(OSError):
        while read := os.read(ours, 65536):
            drawn += read
    os.close(ours)
    command.wait(timeout=PATIENCE_SECONDS)
    return drawn.decode()


def test_what_is_cleared_is_red_on_a_terminal(story: Story) -> None:
    drawn = on_a_terminal(story.site, "plan")
    assert "\x1b[31mclear\x1b[0m" in drawn
    assert "\x1b[32m" in drawn


def test_no_color_is_honoured_on_a_terminal(story: Story) -> None:
    drawn = on_a_terminal(story.site, "plan", NO_COLOR="1")
    assert "→ clear" in drawn
    assert re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", drawn) == []


def test_a_revert_is_asked_for_in_words_and_not_in_json(story: Story) -> None:
    revert = ("revert", story.run_ids[0])
    asked = on_a_terminal(story.site, *revert)
    assert "Apply this to 1 lead? [y/N]" in asked
    assert "nothing was sent; `lead-sync apply" in asked
    assert on_a_terminal(story.site, *revert, "--output", "json") == "n\r\n"


def test_nothing_but_text_goes_elsewhere(story: Story) -> None:
    assert [name for name, seen in story.told.items() if "\x1b" in seen] == []
