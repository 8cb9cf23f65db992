"""Where a dbt project builds, as far as its files say so without dbt."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from connector.configuration.readers import table_name
from connector.warehouse.destination import DUCKDB

PROJECT = "dbt_project.yml"
PROFILES = "profiles.yml"
OWN_SCHEMAS = "generate_schema_name"
"""A macro of this name lets a project name its schemas as it likes."""


@dataclass(frozen=True)
class Target:
    """What `dbt build` writes to by default.

    Attributes:
        type: The kind of warehouse, as dbt calls it.
        file: Of DuckDB the file; empty where it is not known.
        schema: The schema that stands in front of a model's own; empty where that is not known.
    """

    type: str
    file: str
    schema: str

    def names_of(self, table: str) -> tuple[str, str]:
        """Returns a table as dbt builds it, and as its model names it.

        Args:
            table: Either of the two.
        """
        place, _, name = table.rpartition(".")
        database, dot, given = place.rpartition(".")
        if not self.schema or '"' in table or "`" in table:
            return table, table
        own = "" if given == self.schema else given.removeprefix(f"{self.schema}_")
        built = f"{self.schema}_{own}" if own else self.schema
        return f"{database}{dot}{built}.{name}", f"{own}.{name}" if own else name


def target_of(project: Path) -> Target | None:
    """Returns the default target of a dbt project; None where its files do not say it.

    What a file has only by a template of dbt, such as `env_var`, is not known. Nor is the schema
    of a project that has a macro for it.

    Args:
        project: The folder that has `dbt_project.yml`.
    """
    named = str(_mapping(project / PROJECT).get("profile"))
    for folder in _folders(project):
        profile = _mapping(folder / PROFILES).get(named)
        if not isinstance(profile, dict):
            continue
        name = profile.get("target", "default")
        output = (profile.get("outputs") or {}).get(name)
        return _target(project, output) if isinstance(output, dict) else None
    return None


def _target(project: Path, output: Mapping[str, Any]) -> Target:
    kind = _plain(output.get("type"))
    file = _plain(output.get("path")) if kind == DUCKDB else ""
    schema = _plain(output.get("schema", "main" if kind == DUCKDB else ""))
    try:
        table_name(f"{schema}.model")
    except ValueError:
        schema = ""
    if _names_schemas(project):
        schema = ""
    here = file and "://" not in file and not file.startswith(":")
    return Target(kind, str(project / Path(file).expanduser()) if here else "", schema)


def _folders(project: Path) -> Iterator[Path]:
    """Yields where dbt looks for profiles, in its order."""
    if given := os.environ.get("DBT_PROFILES_DIR"):
        yield Path(given)
        return
    yield project
    yield Path("~/.dbt").expanduser()


def _mapping(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> str:
    return value if isinstance(value, str) and "{{" not in value else ""


def _names_schemas(project: Path) -> bool:
    for file in project.glob("macros/**/*.sql"):
        try:
            if OWN_SCHEMAS in file.read_text("utf-8", errors="replace"):
                return True
        except OSError:
            return True
    return False
