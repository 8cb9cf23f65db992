"""The pages say what is so: their commands print what they show, their links and names hold."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from connector.cli import ORDER, lead_sync
from connector.planning.model import STATUSES
from connector.settings import Settings
from tests.docs.player import PAGES, PIECE, is_like, pair, played
from tests.docs.scenes import the_marts_are_in_postgres
from tests.support.harness import ROOT
from tests.support.postgres import NOT_INSTALLED, binaries

README = ROOT / "README.md"
DOCS = ROOT / "docs"
WRITTEN = (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
KINDS = frozenset({"console", "dockerfile", "python", "sh", "sql", "text", "toml", "yaml"})
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [body for name, body in found if name == kind]


@by_name
def test_a_page_prints_what_it_shows(page: Path) -> None:
    text = page.read_text()
    if the_marts_are_in_postgres.__name__ in text and binaries() is None:
        pytest.skip(NOT_INSTALLED)
    assert played(text) == text


@by_name
def test_every_block_is_of_a_kind_that_is_held(page: Path) -> None:
    opened = re.findall(r"^ *```(\w*)$", page.read_text(), re.MULTILINE)
    assert len(opened) % 2 == 0
    assert set(opened[::2]) <= KINDS
    assert not any(opened[1::2])
    assert len(PIECE.findall(page.read_text())) >= len(opened) // 2


@by_name
def test_what_is_not_played_can_be_read_by_what_it_is_for(page: Path) -> None:
    for body in blocks(page, "sh"):
        ended = subprocess.run(
            ["bash", "-n"], input=body, text=True, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        for command in re.findall(r"\blead-sync ([a-z]+)\b", body):
            assert command in ORDER
    for body in blocks(page, "yaml"):
        assert yaml.safe_load(body)
    for body in blocks(page, "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, one.name) for one in node.names)
    for body in blocks(page, "toml"):
        document = tomllib.loads(body)
        ours = document.get("sources", {}).get("pipedrive_leads", {})
        assert ours.keys() <= settings()
        assert document.get("destination", {}).keys() <= {"warehouse", "desired"}


@by_name
def test_every_command_and_option_that_is_named_is_there(page: Path) -> None:
    options = {
        option
        for command in lead_sync.commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--version", "--help"}
    for command, rest in re.findall(r"`lead-sync ([a-z]+)([^`]*)`", page.read_text()):
        assert command in ORDER
        known = {one for p in lead_sync.commands[command].params for one in p.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= known | {"--help"}
    alone = set(re.findall(r"`(--[a-z-]+)", page.read_text()))
    assert alone <= options


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_links_work(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.is_file(), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@by_name
def test_a_part_of_another_page_is_in_it(page: Path) -> None:
    found = re.findall(
        r"^<!-- part of: (\S+) -->\n```text\n(.*?)^```$", page.read_text(), re.M | re.S
    )
    assert bool(found) == (page == README)
    for name, body in found:
        whole = (ROOT / name).read_text().splitlines()
        assert pair(["…", *body.splitlines()], whole) is not None


def test_the_readme_is_short_and_names_every_page() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 180
    assert {f"docs/{page.name}" for page in DOCS.glob("*.md")} <= set(
        re.findall(r"\]\((docs/[^)#]+)", text)
    )


def settings() -> set[str]:
    return {field.name for field in fields(Settings) if not field.name.startswith("_")}


def rows(page: str, head: str) -> list[str]:
    """Return the first words of the rows of a table, by its head's beginning."""
    table = (DOCS / page).read_text().split(head)[1].split("\n\n")[0]
    return re.findall(r"^\| `?\[?(\w+)", table, re.MULTILINE)


def test_every_setting_is_told() -> None:
    assert set(rows("settings.md", "| setting | default | |\n")) == settings()


def test_every_default_is_told_as_it_is() -> None:
    text = (DOCS / "settings.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| `(\S+)` \|", text, re.MULTILINE))
    known = {field.name: field.default for field in fields(Settings)}
    plain = {name: value for name, value in known.items() if isinstance(value, (str, int, float))}
    assert len(plain.keys() & told.keys()) > 20
    for name in plain.keys() & told.keys():
        value = plain[name]
        spelt = (
            json.dumps(value)
            if isinstance(value, bool)
            else f"{value:g}"
            if isinstance(value, (int, float))
            else value
        )
        assert told[name] == spelt


def test_every_status_is_told() -> None:
    assert tuple(rows("outcomes.md", "| status | means |\n")) == STATUSES


def test_every_command_is_told_in_the_order_of_use() -> None:
    assert tuple(rows("commands.md", "| command | does |\n")) == ORDER


def test_the_exit_codes_are_told() -> None:
    for page in ("commands.md", "on-call.md"):
        text = (DOCS / page).read_text()
        assert re.findall(r"^\| \[?(\d)\b", text, re.MULTILINE) == list("0123456")
    heads = re.findall(r"^## (\d) ", (DOCS / "on-call.md").read_text(), re.MULTILINE)
    assert heads == list("0123456")


def test_each_part_about_an_exit_code_shows_it() -> None:
    parts = re.split(r"^## (?=\d )", (DOCS / "on-call.md").read_text(), flags=re.MULTILINE)[1:]
    shown = [re.findall(r"^\$ echo \$\?\n(\d)$", part, re.MULTILINE) for part in parts]
    assert [{part[0]} for part in parts] == [set(codes) for codes in shown]


def test_the_tests_that_hold_a_promise_are_there() -> None:
    table = (DOCS / "promises.md").read_text().split("| promise | held by |\n")[1].split("\n\n")[0]
    for row in table.splitlines()[1:]:
        named = re.findall(r"`(tests/\S+\.py)`", row)
        assert named, row
        for name in named:
            assert re.search(
                r"^def test_|^    def test_|TestCase", (ROOT / name).read_text(), re.M
            ), name


def test_a_block_that_differs_is_found() -> None:
    assert pair(["a", "…", "c"], ["a", "b", "b", "c"]) is not None
    assert pair(["a", "…", "c"], ["a", "b", "c", "d"]) is None
    assert pair(["a", "c"], ["a", "b"]) is None
    assert pair(["…", "c", "…"], ["b", "b"]) is None
    assert is_like("took 1.0 s", "took 22.4 s")
    assert not is_like("5 applied", "6 applied")


def test_the_player_finds_what_is_no_longer_so() -> None:
    page = "```console\n$ echo one\ntwo\n```\n"
    assert played(page) == page.replace("two", "one")
    shown = "```sql\nSELECT 1 AS n;\n```\n\n```text\nnothing\n```\n"
    assert "│     1 │" in played(shown)


def lines_of(page: Path) -> Iterator[str]:
    yield from page.read_text().splitlines()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_no_line_ends_in_blanks(page: Path) -> None:
    assert [line for line in lines_of(page) if line != line.rstrip()] == []
