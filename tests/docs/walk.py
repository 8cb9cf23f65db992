"""The README's walk, played on the local Pipedrive; `python -m tests.docs.walk` rewrites it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import duckdb

from connector.sandbox import LocalPipedrive
from tests.support.harness import ROOT, run_to_end

README = ROOT / "README.md"
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
BLOCK = re.compile(r"```(sql|console|text)\n(.*?)```", re.DOTALL)
EDITED = "cebb898a-e76d-45ef-9baf-02cfcf80f751"
"""The lead that a colleague renames between the plan and its application."""


def walk_of(readme: str) -> str:
    """Return the README's walk."""
    return readme.partition("## A walk\n")[2].partition("\n## ")[0]


def normal(text: str) -> str:
    """Return the walk with what differs from one time to the next replaced by words."""
    names: dict[str, str] = {}
    text = RUN_ID.sub(lambda found: names.setdefault(found[0], f"id{len(names)}"), text)
    text = re.sub(r"(in|took) \d+\.\d s", "in N s", text)
    text = re.sub(r"\d+ left today", "N left today", text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", "TIME", text)


class Player:
    """Plays the walk's blocks in their order, each with what the one before has told."""

    def __init__(self, folder: Path, pipedrive: LocalPipedrive) -> None:
        self._warehouse = folder / "warehouse.duckdb"
        self._pipedrive = pipedrive
        self._ids: dict[str, str] = {}
        self._query = ""
        self._environment = {
            **os.environ,
            "COLUMNS": "200",
            "DLT_DATA_DIR": str(folder / "dlt"),
            "DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{self._warehouse}",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "SOURCES__PIPEDRIVE_LEADS__BASE_URL": pipedrive.base_url,
            "SOURCES__PIPEDRIVE_LEADS__API_TOKEN": pipedrive.api_token,
        }

    def play(self, walk: str) -> str:
        """Return the walk with what its blocks really print."""
        return BLOCK.sub(lambda block: self._block(block[1], block[2]), walk)

    def _block(self, kind: str, told: str) -> str:
        if kind == "sql":
            statement = self._renewed(told)
            self._query = self._sql(statement)
            return f"```sql\n{statement}```"
        printed = self._commands(told) if kind == "console" else self._query
        self._ids |= zip(RUN_ID.findall(told), RUN_ID.findall(printed), strict=False)
        return f"```{kind}\n{printed}```"

    def _sql(self, statement: str) -> str:
        with duckdb.connect(str(self._warehouse)) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
            found = connection.sql(statement)
            return "" if found is None else str(found).rstrip() + "\n"

    def _commands(self, told: str) -> str:
        [command] = re.findall(r"^\$ lead-sync (.+)$", told, re.MULTILINE)
        arguments = self._renewed(command).split()
        if arguments[0] == "apply":
            self._pipedrive.set_lead(EDITED, title="Alpenrose Robotics – on hold")
        call = [sys.executable, "-m", "connector", *arguments]
        done = run_to_end(call, self._environment, forked=True)
        return f"$ lead-sync {' '.join(arguments)}\n{done.stdout.strip()}\n"

    def _renewed(self, text: str) -> str:
        return RUN_ID.sub(lambda found: self._ids.get(found[0], found[0]), text)


def played(walk: str) -> str:
    """Play the walk on a new warehouse and a new local Pipedrive."""
    with tempfile.TemporaryDirectory() as folder, LocalPipedrive() as pipedrive:
        return Player(Path(folder), pipedrive).play(walk)


if __name__ == "__main__":
    text = README.read_text()
    walk = walk_of(text)
    README.write_text(text.replace(walk, played(walk)))
