"""The files that a new project begins with, made for the account as it is. None is overwritten."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dlt

from connector.configuration.origin import parse_origin
from connector.configuration.providers import DESIRED, WAREHOUSE, Section, variable
from connector.configuration.spelling import nearest
from connector.errors import ConfigError
from connector.pipedrive.client import Pipedrive
from connector.records.kinds import parse_uuid
from connector.records.leads import LEADS
from connector.scaffold.models import Example, Model, dbt_model, dbt_schema, is_plain, plain_sql
from connector.settings import SECTION, load_settings
from connector.sync.company import company_of
from connector.sync.fields import describe_catalog, read_catalog
from connector.sync.session import make_client
from connector.warehouse.destination import DUCKDB, FIT, UNFIT
from connector.warehouse.store import is_file

SECRETS = ".dlt/secrets.toml"
OWNER_ALONE = 0o600
TYPES = frozenset(dlt.destinations.__all__) - UNFIT - {DUCKDB}
Kind = Literal["sql", "dbt", "none"]


@dataclass(frozen=True)
class Place:
    """Where rows are.

    Attributes:
        type: What kind of warehouse it is, as dlt calls it.
        credentials: How to get there: of DuckDB the file, of others a URL; empty where not known.
    """

    type: str
    credentials: str = field(default="", repr=False)

    @property
    def is_duckdb(self) -> bool:
        """Whether it is a DuckDB file."""
        return self.type == DUCKDB


@dataclass(frozen=True)
class Wanted:
    """What a new project is to be.

    Attributes:
        base_url: The company's address.
        api_token: Its token.
        desired_table: The desired table.
        warehouse: Where runs write their tables.
        desired: Where the desired rows are; None for the warehouse.
        model: Which model of the table to write.
        model_table: The table as its model names it; empty where dbt puts nothing in front.
        keep_token: Whether the token stands somewhere already, and is not written down.
        folder: Where.
    """

    base_url: str
    api_token: str = field(repr=False)
    desired_table: str
    warehouse: Place
    desired: Place | None = None
    model: Kind = "sql"
    model_table: str = ""
    keep_token: bool = False
    folder: Path = Path()

    @property
    def place_of_rows(self) -> Place:
        """Where the desired rows are."""
        return self.desired or self.warehouse

    @property
    def places(self) -> dict[Section, Place]:
        """The destinations to be named, by section."""
        return {**({DESIRED: self.desired} if self.desired else {}), WAREHOUSE: self.warehouse}


@dataclass(frozen=True)
class Step:
    """What was done about a file: made, added to, or left as it is; and what is to be known."""

    done: Literal["made", "added to", "left"]
    path: Path
    text: str


def start_project(wanted: Wanted) -> Iterator[Step]:
    """Makes sure that the account answers, then yields each file as it is dealt with.

    Raises:
        ConfigError: What is wanted cannot be used, or a file cannot be written.
        AccountError: The token or the address is wrong; nothing is written then.
        PipedriveError: The account does not answer; nothing is written then.
    """
    settings = load_settings(
        base_url=wanted.base_url, api_token=wanted.api_token, desired_table=wanted.desired_table
    )
    client = make_client(settings)
    company = company_of(client.me())
    fields = describe_catalog(read_catalog(client), settings)
    example = _example(client) if wanted.model != "none" else None
    table = wanted.model_table or settings.desired_table
    model = Model(table, str(company), fields, example)
    about = f"the settings; the desired table is {settings.desired_table}"
    yield _write(wanted.folder / ".dlt/config.toml", config_text(wanted), about)
    yield _write_secrets(wanted)
    yield _ignore(wanted.folder / ".gitignore")
    if wanted.model != "none":
        yield from _write_model(wanted, model)


def complete_address(text: str) -> str:
    """Returns the address of a company that is given by it, by a page's address or by its name.

    Raises:
        ValueError: It is no address.
    """
    given = text.strip()
    page = re.match(r"(https://[a-z0-9-]+\.pipedrive\.com)/", given, re.IGNORECASE)
    if page:
        return parse_origin(page[1])
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", given):
        return f"https://{given.lower()}.pipedrive.com"
    return parse_origin(given if "://" in given else f"https://{given}")


def parse_place(section: Section, text: str) -> Place:
    """Returns a place that is given as a DuckDB file or as a destination's type.

    Raises:
        ValueError: It is a URL, which may hold a password, or nothing of the kind.
    """
    given = text.strip()
    file = re.sub(r"^duckdb:///", "", given)
    if "://" in file:
        raise ValueError(
            "is a URL; give the type, such as postgres, and the URL as "
            f"{variable(section, 'credentials')} or when you are asked, where nobody reads it"
        )
    if given in UNFIT:
        raise ValueError(
            f"{given} is no SQL warehouse that lead-sync can read and write; use {FIT}"
        )
    if given in TYPES:
        return Place(given)
    if not file or given == DUCKDB:
        raise ValueError("names no DuckDB file; write it like warehouse.duckdb")
    path = Path(file).expanduser()
    if file == given and "/" not in file and not path.suffix and not is_file(path):
        raise ValueError(
            "names no DuckDB file, which is written like warehouse.duckdb, and no type of "
            f"warehouse; the nearest is {nearest(given, TYPES)}"
        )
    return Place(DUCKDB, str(path.absolute()))


def config_text(wanted: Wanted) -> str:
    """Returns the settings that anybody may read."""
    lines = [
        "# Settings of lead-sync that anybody may read; docs/settings.md has all of them.",
        "",
        f"[{'.'.join(SECTION)}]",
        f"base_url = {_toml(wanted.base_url)}",
        f"desired_table = {_toml(wanted.desired_table)}",
        "",
    ]
    for section, place in wanted.places.items():
        lines += [f"[{'.'.join(section)}]", f"destination_type = {_toml(place.type)}", ""]
    return "\n".join(lines)


def secrets_text(wanted: Wanted, *, shown: bool = False) -> str:
    """Returns the secrets, and where the warehouse is.

    Args:
        wanted: What the project is to be.
        shown: Whether it is to be read on a screen, and so has no secret in it.
    """
    token = "…" if shown else wanted.api_token
    lines = ["# Secrets of lead-sync: git ignores this file, and nobody but you can read it.", ""]
    if not wanted.keep_token:
        lines += [f"[{'.'.join(SECTION)}]", f"api_token = {_toml(token)}", ""]
    for section, place in wanted.places.items():
        lines += [*_way_to(section, place, shown=shown), ""]
    return "\n".join(lines)


def _way_to(section: Section, place: Place, *, shown: bool) -> Iterator[str]:
    if place.is_duckdb:
        yield f"[{'.'.join(section)}.credentials]"
        yield f"database = {_toml(place.credentials)}"
        return
    yield f"[{'.'.join(section)}]"
    if place.credentials:
        yield f"credentials = {_toml('…' if shown else place.credentials)}"
    else:
        yield f"# credentials = {_toml(f'{place.type}://user:password@host/database')}"


def _write_model(wanted: Wanted, model: Model) -> Iterator[Step]:
    if wanted.model == "sql":
        yield _write(wanted.folder / f"{model.file_name}.sql", plain_sql(model), _about(model))
        return
    folder = wanted.folder / "models"
    yield _write(folder / f"{model.file_name}.sql", dbt_model(model), _about(model))
    schema = folder / "schema.yml"
    if os.path.lexists(schema):
        schema = folder / f"{model.file_name}.yml"
    yield _write(schema, dbt_schema(model), "its description and tests")


def _about(model: Model) -> str:
    return f"{len(model.columns)} columns that the account has; those with dashes are off"


def _write_secrets(wanted: Wanted) -> Step:
    path = wanted.folder / SECRETS
    step = _write(path, secrets_text(wanted), "for you alone", mode=OWNER_ALONE)
    if step.done == "made" or not step.text.startswith("it needs"):
        return step
    lacks = secrets_text(wanted, shown=True).partition("\n\n")[2]
    text = f"it needs these lines:\n{lacks}"
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        text = f"others can read it: chmod 600 {SECRETS}; {text}"
    return Step("left", path, text)


def _write(path: Path, text: str, about: str, mode: int = 0o666) -> Step:
    """Makes a file with its folder; one that is there, or a link of that name, stays as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return Step("left", path, _left(path, text))
    except OSError as error:
        raise _unwritable(path, error) from None
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    return Step("made", path, about)


def _left(path: Path, text: str) -> str:
    """Says of a file that was there what it may lack."""
    if path.suffix != ".toml":
        return "it was there"
    with suppress(OSError, ValueError):
        if path.read_text("utf-8") == text:
            return "it is just so"
    return "it needs these lines:\n" + text.partition("\n\n")[2]


def _ignore(path: Path) -> Step:
    """Sees to it that git ignores the secrets."""
    try:
        had = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
        lines = {line.strip().replace("/.dlt", ".dlt") for line in had.splitlines()}
        if lines & IGNORED and f"!{SECRETS}" not in lines:
            return Step("left", path, f"it has {SECRETS}")
        line_end = "\r\n" if "\r\n" in had else "\n"
        begin = line_end if had and not had.endswith("\n") else ""
        with path.open("ab") as file:
            file.write(f"{begin}{SECRETS}{line_end}".encode())
    except OSError as error:
        raise _unwritable(path, error) from None
    return Step("added to" if had else "made", path, f"git ignores {SECRETS}")


IGNORED = frozenset({SECRETS, "secrets.toml", ".dlt", ".dlt/", ".dlt/*", "**/secrets.toml"})
"""Lines by which git ignores the secrets."""


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{path} cannot be written: {error.strerror or error}; make its folder yours"
    )


def _example(client: Pipedrive) -> Example | None:
    """Returns a lead whose title can stand in SQL as it is; None where the first page has none."""
    for lead in next(client.pages(LEADS), []):
        title = lead.get("title")
        if isinstance(title, str) and title.strip() and is_plain(title):
            with suppress(ValueError):
                return Example(parse_uuid(lead.get("id")), title)
    return None


def _toml(text: str) -> str:
    """Returns a text as TOML, whose basic strings are JSON's but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
