"""Which table was probably meant, where there is none of that name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from connector.configuration.readers import table_parts

SYSTEM = frozenset({"information_schema", "pg_catalog", "sys"})
FEW = 5
Name = tuple[str, str]
"""A table's schema and name."""


def missing_table(wanted: str, tables: Iterable[Name], own: Iterable[str]) -> str:
    """Says that a table is not there, and which are there and near it.

    Args:
        wanted: The name that was given; schema and table, perhaps with a database.
        tables: Those that are there.
        own: The schemas that runs write to.
    """
    passed_over = {*SYSTEM, *(schema.lower() for schema in own)}
    others = sorted({one for one in tables if one[0].lower() not in passed_over})
    text = f"the warehouse has no table {wanted}"
    *_, schema, name = ("", *(part.lower() for part in table_parts(wanted)))
    built = [one for one in others if _is_built_for(one, schema, name)]
    if built:
        found = ".".join(built[0])
        return (
            f"{text}, but it has {found}: dbt puts the target's schema in front of a model's own; "
            f"set desired_table to {found}, or have dbt build it as {wanted}"
        )
    near = nearest_tables(schema, name, others)
    if near:
        return f"{text}; did you mean {' or '.join(near)}? Set desired_table to it, or create it"
    there = f"; it has {', '.join(map('.'.join, others))}" if 0 < len(others) <= FEW else ""
    return f"{text}{there}; create it, or set desired_table"


def nearest_tables(schema: str, name: str, tables: Sequence[Name]) -> list[str]:
    """Returns the tables whose names are most like another; the same name elsewhere comes first.

    Args:
        schema: The schema that was named.
        name: The table that was named, in lower case.
        tables: All that are there.
    """
    elsewhere = [".".join(one) for one in tables if one[1].lower() == name]
    known = {".".join(one).lower(): ".".join(one) for one in tables}
    alike = difflib.get_close_matches(f"{schema}.{name}", known, n=3, cutoff=0.75)
    names = {one[1].lower(): ".".join(one) for one in tables}
    by_name = difflib.get_close_matches(name, names, n=3, cutoff=0.75)
    found = [*elsewhere, *(known[one] for one in alike), *(names[one] for one in by_name)]
    return list(dict.fromkeys(found))[:3]


def _is_built_for(table: Name, schema: str, name: str) -> bool:
    return bool(schema) and table[0].lower().endswith(f"_{schema}") and table[1].lower() == name
