"""Plays the pages' commands and queries; `python -m tests.docs.player [PAGE…]` rewrites them.

A page is Markdown. Each is played in a folder of its own, beside a local Pipedrive of its own:

- a `console` block has commands after `$ `, each with what it prints;
- a `sql` block runs in the warehouse, and a `text` block after it shows the rows;
- a line `…` stands for any lines that are left out;
- `dbt build` and `duckdb FILE < SQL` do what they would do;
- `<!-- scene: name -->` calls what `scenes.py` has of that name, such as a colleague's edit;
- `<!-- not played: why -->` passes over the next block.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import dlt
import duckdb

from connector.sandbox import LocalPipedrive
from tests.docs import scenes
from tests.docs.scenes import Stage
from tests.support.forking import COMMAND
from tests.support.harness import ROOT, Ended, run_to_end

PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "tests/docs/ways").glob("*.md")),
)
PIECE = re.compile(
    r"^<!-- (scene|not played): (.+?) -->$|^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
LOGGED = re.compile(r"^\d{4}-\d\d-\d\d .*\n", re.MULTILINE)
"""A line of the log, in whose place a terminal shows a bar."""
LEFT_OUT = "…"
MASKS = (
    (RUN_ID, "ID"),
    (re.compile(r"\b\d+(\.\d+)? (s|min|seconds?|tokens left)\b"), "N s"),
    (re.compile(r"\b\d+ left today"), "N left today"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+\d\d)?Z?"), "TIME"),
    (re.compile(r"\bprocess \d+"), "process N"),
    (re.compile(r'"seconds": [\d.]+'), '"seconds": N'),
    (re.compile(r"[─━ ]+"), " "),
)
"""What differs from one time to the next: it is replaced before two lines are compared."""


class Player:
    """Plays the blocks of one page in their order."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ids: dict[str, str] = {}
        self._rows = ""
        self._code = 0
        self._passes_over = False
        address = stage.pipedrive.base_url
        self._shown = {
            str(stage.project): "/home/ada/crm",
            str(stage.data_dir): "/home/ada/.dlt",
            address: "https://acme.pipedrive.com",
            str(dlt.current.run_context().global_dir): "/home/ada/.dlt",
            stage.pipedrive.api_token: "your-token",
            "(sandbox)": "(acme)",
            f"{getpass.getuser()} on {socket.gethostname()}": "ada on crm-1",
            f"on {socket.gethostname()}": "on crm-1",
            os.path.relpath(sys.executable, stage.project): ".venv/bin/python",
        }

    def play(self, text: str) -> str:
        """Return the page; what a block really prints stands where it differs."""
        return PIECE.sub(self._play, text)

    def _play(self, found: re.Match[str]) -> str:
        about, name, kind, told = found.groups()
        passes_over, self._passes_over = self._passes_over, about == "not played"
        rows, self._rows = self._rows, ""
        if about == "scene":
            getattr(scenes, name)(self._stage)
        if about or passes_over:
            return found[0]
        if kind == "console":
            return f"```console\n{''.join(self._commands(told))}```"
        if kind == "text" and rows:
            return f"```text\n{self._agreed(told, rows)}```"
        if kind == "sql":
            self._rows = self._dressed(self._sql(self._renewed(told)))
        return found[0]

    def _commands(self, told: str) -> Iterator[str]:
        for one in re.findall(r"^\$ .*\n(?:(?!\$ ).*\n)*", told, re.MULTILINE):
            command, _, output = one.partition("\n")
            printed = self._dressed(self._run(self._renewed(command[2:])))
            yield f"{command}\n{self._agreed(output, printed)}"

    def _run(self, command: str) -> str:
        if command == "echo $?":
            return f"{self._code}\n"
        words = shlex.split(command)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self._stage.environment[name] = value
            return ""
        if words[:2] == ["dbt", "build"]:
            scenes.dbt_builds(self._stage)
            return ""
        if words[0] == "duckdb":
            return self._sql((self._stage.project / words[-1]).read_text())
        ended = self._call(command, words)
        self._code = ended.code
        printed = ended.stdout.strip("\n")
        return f"{printed}\n" * bool(printed) + LOGGED.sub("", ended.stderr)

    def _call(self, command: str, words: Sequence[str]) -> Ended:
        environment, folder = self._stage.environment, self._stage.project
        if words[0] == "lead-sync" and not re.search(r"[|<>;&$]", command):
            return run_to_end([str(COMMAND), *words[1:]], environment, cwd=folder, forked=True)
        path = f"{COMMAND.parent}:{environment['PATH']}"
        return run_to_end(["bash", "-c", command], environment | {"PATH": path}, cwd=folder)

    def _sql(self, statement: str) -> str:
        with duckdb.connect(str(self._stage.warehouse)) as connection:
            connection.execute("SET TimeZone = 'UTC'")  # as the pages have it
            found = connection.sql(statement)
            return "" if found is None else str(found).rstrip() + "\n"

    def _agreed(self, told: str, printed: str) -> str:
        """Return what is told where it agrees with what was printed, else what was printed."""
        printed = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
        pairs = pair(told.splitlines(), printed.splitlines())
        ids = dict(self._ids)
        for ours, theirs in pairs or ():
            for one, other in zip(RUN_ID.findall(ours), RUN_ID.findall(theirs), strict=True):
                if ids.setdefault(one, other) != other:
                    pairs = None
        if pairs is None:
            known = self._ids.values()
            new = [one for one in dict.fromkeys(RUN_ID.findall(told)) if one not in self._ids]
            real = [one for one in dict.fromkeys(RUN_ID.findall(printed)) if one not in known]
            self._ids |= zip(new, real, strict=False)  # later commands name what the page has
            back = {real: one for one, real in self._ids.items()}
            self._ids |= {one: one for one in RUN_ID.findall(printed) if one not in back}
            return RUN_ID.sub(lambda found: back.get(found[0], found[0]), printed)
        self._ids = ids
        return told

    def _dressed(self, text: str) -> str:
        for real, shown in {**self._stage.shown, **self._shown}.items():
            text = text.replace(real, shown)
        return text

    def _renewed(self, text: str) -> str:
        for real, shown in {**self._stage.shown, **self._shown}.items():
            text = text.replace(shown, real)
        text = text.replace("--base-url acme ", f"--base-url {self._stage.pipedrive.base_url} ")
        return RUN_ID.sub(lambda found: self._ids.get(found[0], found[0]), text)


def pair(told: Sequence[str], printed: Sequence[str]) -> list[tuple[str, str]] | None:
    """Return each line that is told with the one printed; None where they do not agree.

    A line `…` stands for any lines.
    """
    if LEFT_OUT not in map(str.strip, told):
        agrees = len(told) == len(printed) and all(map(is_like, told, printed))
        return list(zip(told, printed, strict=True)) if agrees else None
    cut = [line.strip() for line in told].index(LEFT_OUT)
    head, rest = told[:cut], told[cut + 1 :]
    if len(head) > len(printed) or not all(map(is_like, head, printed)):
        return None
    pairs = list(zip(head, printed, strict=False))
    if not rest:
        return pairs
    for start in range(cut, len(printed) + 1):
        if (others := pair(rest, printed[start:])) is not None:
            return pairs + others
    return None


def is_like(told: str, printed: str) -> bool:
    """Tell whether two lines are the same but for ids, times and durations."""
    for mask, word in MASKS:
        told, printed = mask.sub(word, told), mask.sub(word, printed)
    return told.strip() == printed.strip()


def played(text: str) -> str:
    """Play a page in a new folder, beside a new local Pipedrive."""
    with tempfile.TemporaryDirectory() as folder, LocalPipedrive() as pipedrive:
        stage = scenes.set_up(Path(folder), pipedrive)
        with stage.servers, stage.others:
            return Player(stage).play(text)


def main(names: Sequence[str]) -> None:
    """Rewrite pages with what their blocks print."""
    for page in [Path(name).absolute() for name in names] or PAGES:
        text = page.read_text()
        page.write_text(played(text))
        subprocess.run(["git", "diff", "--stat", str(page)], check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
