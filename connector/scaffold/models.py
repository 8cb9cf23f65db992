"""A model of the desired table for the fields that an account really has. No I/O.

It manages next to nothing until somebody takes the dashes from a column: a column that no query
fills would clear its field on every lead. Names from the account are strangers' words, and stand
in comments alone, where they can end neither the comment nor begin a template of dbt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import duckdb

from connector.configuration.readers import PART_OF_NAME, table_parts
from connector.planning.description import Description
from connector.records.text import visible

SHOWN = 8
"""Options of a field that its comment names."""
BEGUN = frozenset({"title"})
"""Columns that a new model has: NULL leaves a title alone."""


@dataclass(frozen=True)
class Example:
    """A lead as it is, so that the first plan has a row and changes nothing."""

    lead_id: str
    title: str


@dataclass(frozen=True)
class Model:
    """What a model is made of.

    Attributes:
        table: The desired table, with its schema.
        company: Whose leads.
        fields: All fields of the account.
        example: A lead for its first row.
    """

    table: str
    company: str
    fields: Sequence[Description]
    example: Example | None = None

    @property
    def name(self) -> str:
        """The table's own name."""
        return table_parts(self.table)[-1]

    @property
    def file_name(self) -> str:
        """The table's own name as a file can have it, without an ending."""
        return re.sub(r"[^\w$ -]", "_", self.name)

    @property
    def schema(self) -> str:
        """The name of its schema; empty where none is given."""
        return "".join(table_parts(self.table)[-2:-1])

    @property
    def columns(self) -> list[Description]:
        """The fields that a column can manage."""
        return [one for one in self.fields if one.column]


def plain_sql(model: Model) -> str:
    """Returns the statements that make the table."""
    *places, _ = parts = [_as_sql(part) for part in re.findall(PART_OF_NAME, model.table)]
    make = [f"CREATE TABLE {'.'.join(parts)} AS"]
    if places:
        make.insert(0, f"CREATE SCHEMA IF NOT EXISTS {'.'.join(places)};\n")
    return "\n".join([*_head(model), *make, *_query(model)]) + ";\n"


def dbt_model(model: Model) -> str:
    """Returns the model as dbt builds it."""
    options = "materialized='table'"
    if model.file_name != model.name:
        options += f", alias={_python(model.name)}"
    if not model.schema:
        config = [f"{{{{ config({options}) }}}}"]
    else:
        shown = remark(model.schema)
        config = [
            f"{{{{ config({options}, schema={_python(model.schema)}) }}}}",
            f"-- dbt puts the target's schema in front of this one, as in main_{shown}. What it",
            "-- builds in the end is what desired_table has to name; `lead-sync check` finds it.",
        ]
    return "\n".join([*_head(model), *config, "", *_query(model)]) + "\n"


def dbt_schema(model: Model) -> str:
    """Returns the model's description and tests for dbt."""
    about = f"The desired leads of {remark(model.company)}, one row a lead, for lead-sync."
    lines = [
        "version: 2",
        "",
        "models:",
        f"  - name: {json.dumps(model.file_name)}",
        f"    description: {_text(about)}",
        "    columns:",
        "      - name: lead_id",
        "        description: The lead's id in Pipedrive.",
        "        tests: [unique, not_null]",
    ]
    for one in model.columns:
        dash = "" if one.column in BEGUN else "# "
        lines.append(f"      {dash}- name: {json.dumps(one.column, ensure_ascii=False)}")
        lines.append(f"      {dash}  description: {_text(_about(one))}")
        names = list(one.options.names.values())
        if one.type == "enum" and names == [remark(name) for name in names]:
            values = json.dumps(names, ensure_ascii=False)
            lines.append(f"      {dash}  tests: [{{accepted_values: {{values: {values}}}}}]")
    return "\n".join(lines) + "\n"


def _head(model: Model) -> list[str]:
    return [
        f"-- The desired leads of {remark(model.company)}, one row a lead.",
        "-- lead-sync makes Pipedrive's leads say what this table says. A column that is here is",
        "-- managed: NULL clears its field. A column that is left out leaves its field alone.",
        "-- Let `source` have what you know, and take the dashes from the columns that it fills.",
        "",
    ]


def _query(model: Model) -> list[str]:
    example = model.example
    none = "CAST(NULL AS VARCHAR)"
    lead_id = _literal(example.lead_id) if example else none
    title = _literal(example.title) if example else none
    return [
        "WITH source AS (",
        "    -- A lead as it is. Your query takes its place, such as SELECT * FROM marts.leads",
        f"    SELECT {lead_id} AS lead_id, {title} AS title",
        *([] if example else ["    WHERE 1 = 0"]),
        ")",
        "SELECT",
        "    lead_id -- the lead's id in Pipedrive",
        *_columns(model),
        "FROM source",
    ]


def _columns(model: Model) -> Iterator[str]:
    for one in model.columns:
        name = _identifier(str(one.column))
        dash = "    , " if one.column in BEGUN else "--  , "
        yield f"{dash}{name} -- {_about(one)}"


def _about(one: Description) -> str:
    """Describes a field on one line."""
    part = f" ({one.part})" if one.part else ""
    options = [remark(one.options.describe(key)) for key in one.options.names]
    named = ", ".join(options[:SHOWN] + ["…"] * (len(options) > SHOWN))
    values = f"{one.takes}: {named}" if named else one.takes
    by = " or ".join(one.cleared_by if one.on_null == "clear" else ()) or "nothing"
    required = "; required" if one.required else ""
    return f"{remark(one.name)}{part}: {values}; cleared by {by}{required}"


def remark(text: str) -> str:
    """Returns a stranger's words so that they stay within a comment, for dbt's templates too."""
    return re.sub(r"\{(?=[{%#])", "{ ", visible(text)).replace("}}", "} }")


def is_plain(title: str) -> bool:
    """Tells whether a title can stand between quotes in the SQL of every warehouse and of dbt."""
    return visible(title) == title and not re.search(r"[{}%\\#$:?@`]", title)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(text: str) -> str:
    """Returns a text as YAML, of which JSON is a part."""
    return json.dumps(text, ensure_ascii=False)


def _python(text: str) -> str:
    """Returns a text as Python writes it, which dbt's templates read."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _as_sql(part: str) -> str:
    """Returns a part of a table's name; what is in quotes already means just that case."""
    return part if part[0] in '"`' else _identifier(part)


def _identifier(name: str) -> str:
    """Returns a name as SQL, in quotes where it must be."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    doubled = name.replace('"', '""')
    return name if plain and name.lower() not in _keywords() else f'"{doubled}"'


@cache
def _keywords() -> frozenset[str]:
    sql = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    with duckdb.connect() as connection:
        return frozenset(name for [name] in connection.execute(sql).fetchall())
