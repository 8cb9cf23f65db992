"""What a person sees of each command, held against the files beside this one.

`LEAD_SYNC_SNAPSHOTS=write pytest tests/snapshots` writes them anew; read the diff before you
commit it. Ids of runs, times and addresses are replaced by fixed words.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import pytest

from tests.snapshots.scene import CONFIG, Story, play
from tests.support.harness import NewSite, Site
from tests.support.terminal import on_a_terminal

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


def drawn_for_one_who_says_no(site: Site, *arguments: str, **environment: str) -> str:
    """Run a command at a terminal where a person says no; return what it draws."""
    told = {name: value for name, value in site.environment(**CONFIG).items() if name != "NO_COLOR"}
    return on_a_terminal(told | environment, *arguments, typed=b"n\n").decode()


def test_what_is_cleared_is_red_drawn_for_one_who_says_no(story: Story) -> None:
    drawn = drawn_for_one_who_says_no(story.site, "plan")
    assert "\x1b[31mclear\x1b[0m" in drawn
    assert "\x1b[32m" in drawn


def test_no_color_is_honoured_drawn_for_one_who_says_no(story: Story) -> None:
    drawn = drawn_for_one_who_says_no(story.site, "plan", NO_COLOR="1")
    assert "→ clear" in drawn
    assert re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", drawn) == []


def test_a_revert_is_asked_for_in_words_and_not_in_json(story: Story) -> None:
    revert = ("revert", story.run_ids[0])
    asked = drawn_for_one_who_says_no(story.site, *revert)
    assert "Apply this to 1 lead? [y/N]" in asked
    assert "nothing was sent; `lead-sync apply" in asked
    assert drawn_for_one_who_says_no(story.site, *revert, "--output", "json") == "n\r\n"


def test_nothing_but_text_goes_elsewhere(story: Story) -> None:
    assert [name for name, seen in story.told.items() if "\x1b" in seen] == []
