"""The questions of a new project, and what came of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import dlt

from connector.configuration import readers
from connector.configuration.providers import DESIRED, WAREHOUSE, Section, ask, variable
from connector.errors import ConfigError
from connector.records.text import visible
from connector.report.screen import console, say
from connector.scaffold.manifest import relation_of
from connector.scaffold.profile import Target, target_of
from connector.scaffold.project import (
    Kind,
    Place,
    Step,
    Wanted,
    complete_address,
    parse_place,
)
from connector.settings import SECTION
from connector.warehouse.destination import DUCKDB

TABLE = "crm.lead_changes"
FILE = "warehouse.duckdb"
SAME = "there"
"""The answer by which runs write where the desired rows are."""


@dataclass(frozen=True)
class Questions:
    """Asks a person for what was not given, where there is one.

    Attributes:
        person: Whether there is somebody to ask.
    """

    person: bool

    def get(
        self,
        flag: str,
        given: str | None,
        read: Callable[[str], readers.Read],
        question: str,
        default: str | None = None,
    ) -> readers.Read:
        """Returns what is wanted, as it is read.

        Args:
            flag: The option that gives it.
            given: What it gives, or what is configured.
            read: How it is read; a ValueError says what is wrong.
            question: What to ask.
            default: What to take where nothing is said; without one it must be.

        Raises:
            ConfigError: It is wrong, or missing and there is nobody to ask.
        """
        text = given
        if text is None and self.person:
            return self._asked(question, read, default)
        text = default if text is None else text
        if text is None:
            raise ConfigError(f"{flag} is missing, and nobody is there to ask; give it")
        try:
            return read(text)
        except ValueError as error:
            raise ConfigError(f"{flag} {error}") from None

    def _asked(
        self, question: str, read: Callable[[str], readers.Read], default: str | None
    ) -> readers.Read:
        while True:
            text: str = click.prompt(question, default=default)
            try:
                return read(text)
            except ValueError as error:
                say(console(), f"That {error}.")

    def secret(self, question: str, *, needed: bool) -> str:
        """Returns what a person types unseen; empty where there is nobody, or nothing is typed."""
        if not self.person:
            return ""
        default = None if needed else ""
        typed: str = click.prompt(question, default=default, hide_input=True, show_default=False)
        return typed.strip()


@dataclass(frozen=True)
class Flags:
    """What the options of `init` say, each by its name there."""

    base_url: str | None
    warehouse: str | None
    desired: str | None
    desired_table: str | None
    token_stdin: bool
    token_env: str | None
    dbt: bool
    dbt_manifest: tuple[Path, str] | None
    no_model: bool
    yes: bool

    @property
    def model(self) -> Kind:
        """Which model to write; none where the project or the warehouse has it already."""
        if self.dbt:
            return "dbt"
        return "none" if self.dbt_manifest or self.no_model else "sql"


def ask_what_is_wanted(flags: Flags) -> Wanted:
    """Returns what a new project is to be, by the options and by what a person answers.

    Raises:
        ConfigError: Something is wrong, or missing and there is nobody to ask.
    """
    asks = not flags.yes and not flags.token_stdin
    questions = Questions(asks and sys.stdin.isatty() and sys.stdout.isatty())
    relation = relation_of(*flags.dbt_manifest) if flags.dbt_manifest else None
    url = questions.get(
        "--base-url",
        flags.base_url or _configured("base_url"),
        complete_address,
        "Your company's address at Pipedrive, such as https://acme.pipedrive.com",
    )
    token, is_kept = _token(questions, flags.token_env, from_stdin=flags.token_stdin)
    folder = Path(os.environ.get("DLT_PROJECT_DIR", ""))  # where dlt looks for .dlt
    dbt = (target_of(folder) if flags.dbt else None) or Target("", "", "")
    books, rows = _places(questions, flags.desired, flags.warehouse, _place_of(dbt))
    table = questions.get(
        "--desired-table",
        _table(flags.desired_table, relation),
        readers.table_name,
        "The table of desired leads",
        dbt.names_of(TABLE)[0],
    )
    table, own = dbt.names_of(table)
    books = _reached(questions, WAREHOUSE, books)
    rows = _reached(questions, DESIRED, rows) if rows else None
    return Wanted(url, token, table, books, rows, flags.model, own, is_kept, folder)


def _place_of(target: Target) -> str:
    """Returns where dbt builds, as an answer to the question where the rows are."""
    if target.type == DUCKDB:
        return target.file or FILE
    return target.type if target.type in dlt.destinations.__all__ else FILE


def _places(
    questions: Questions, desired: str | None, warehouse: str | None, default: str
) -> tuple[Place, Place | None]:
    """Returns where runs write, and where the desired rows are if that is elsewhere.

    Args:
        questions: Asks for what is not given.
        desired: Where the desired rows are, if given.
        warehouse: Where runs write, if given.
        default: Where the desired rows are unless somebody says otherwise.
    """
    read = partial(parse_place, WAREHOUSE)
    if desired is None and warehouse is None and questions.person:
        asked = "Where the desired rows are: a DuckDB file, or the type of another warehouse"
        rows = questions.get("--desired", None, read, asked, default)
        asked = "Where runs write their tables: there as well, or a DuckDB file or a type"
        books = questions.get(
            "--warehouse", None, lambda text: rows if text == SAME else read(text), asked, SAME
        )
    else:
        asked = "Where runs write their tables: a DuckDB file, or the type of another warehouse"
        books = questions.get("--warehouse", warehouse, read, asked, FILE if desired else default)
        rows = books
        if desired is not None:
            rows = questions.get("--desired", desired, partial(parse_place, DESIRED), "")
    return books, None if rows == books else rows


def _reached(questions: Questions, section: Section, place: Place) -> Place:
    """Returns a place with the way to it."""
    if place.is_duckdb:
        return place
    url = os.environ.get(variable(section, "credentials"), "")
    asked = f"The URL of {place.type}, or nothing for later"
    return replace(place, credentials=url or questions.secret(asked, needed=False))


def _table(given: str | None, relation: str | None) -> str | None:
    if given and relation and given != relation:
        raise ConfigError(
            f"--desired-table {given} is not what dbt builds, {relation}; give one of the two"
        )
    return relation or given or _configured("desired_table")


def _token(questions: Questions, name: str | None, *, from_stdin: bool) -> tuple[str, bool]:
    """Returns the token, and whether it stays where it is: what a vault keeps is not written."""
    own = variable(SECTION, "api_token")
    kept = False
    if from_stdin:
        text = sys.stdin.readline()
    elif name is not None:
        text = os.environ.get(name, "")
        if not text:
            raise ConfigError(f"--token-env names {name}, which is not set; set it")
    elif own in os.environ:
        text = os.environ[own]
    elif found := ask(SECTION, "api_token", secret=True):
        text, kept = str(found), True
    else:
        question = "Your API token (Pipedrive: Personal preferences > API), which is not shown"
        text = questions.secret(question, needed=True)
    if not text.strip():
        raise ConfigError(f"there is no API token; set {own}, or give it to --token-stdin")
    try:
        return readers.token(text), kept
    except ValueError as error:
        raise ConfigError(f"api_token {error}") from None


def _configured(name: str) -> str | None:
    found = ask(SECTION, name)
    return found if isinstance(found, str) else None


def show_steps(steps: Iterable[Step], wanted: Wanted) -> None:
    """Shows each file as it is dealt with, and what to do next."""
    screen = console()
    models = []
    for step in steps:
        style = "yellow" if step.done == "left" else "green"
        say(screen, (f"{step.done:<8}", style), f"  {step.path}: {visible_lines(step.text)}")
        if step.path.suffix == ".sql":
            models.append(step.path)
    say(screen, f"next      {'; '.join(_next(wanted, models))}")


def _next(wanted: Wanted, models: list[Path]) -> list[str]:
    steps = []
    if wanted.place_of_rows.is_duckdb and wanted.model == "sql":
        file = shlex.quote(wanted.place_of_rows.credentials)
        steps = [f"duckdb {file} < {shlex.quote(str(path))}" for path in models]
    elif wanted.model == "sql":
        steps = [f"run {path} in your warehouse" for path in models]
    elif wanted.model == "dbt":
        steps = [f"dbt build --select {shlex.quote(path.stem)}" for path in models]
    return [*steps, "lead-sync check", "lead-sync columns", "lead-sync plan"]


def visible_lines(text: str) -> str:
    """Returns a text of several lines as it may be shown."""
    return "\n".join(visible(line) for line in text.splitlines())
