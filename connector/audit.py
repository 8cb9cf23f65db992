"""The audit view: one row for each field that was changed, by the name people know it by."""

from __future__ import annotations

from collections.abc import Iterable

from connector.fields import Field
from connector.tables import Row
from connector.warehouse import Warehouse

VIEW = "lead_field_changes"


def make_view(warehouse: Warehouse) -> None:
    """Makes the view anew; its JSON functions are DuckDB's, so other warehouses go without."""
    if not warehouse.is_duckdb:
        return
    key = """'$."' || c.key || '"'"""
    warehouse.execute(
        f"CREATE OR REPLACE VIEW {warehouse.table(VIEW)} AS "
        "SELECT c.finished_at AS changed_at, c.run_id, c.lead_id, "
        "coalesce(f.name, c.key) AS field, "
        f"nullif(json_extract_string(c.before, {key}), '[]') AS old, "
        f"nullif(json_extract_string(c.body, {key}), '[]') AS new, c.status, c.key, c.patch_id "
        "FROM (SELECT o.*, unnest(json_keys(o.body)) AS key "
        f"FROM {warehouse.table('lead_outcomes')} o "
        "WHERE o.patch_id IS NOT NULL AND o.status IN ('applied', 'confirmed') "
        # What somebody else had made so already may be spelled otherwise than it was planned.
        "AND CAST(o.before AS VARCHAR) IS DISTINCT FROM CAST(o.after AS VARCHAR)) c "
        f"LEFT JOIN {warehouse.table('lead_fields')} f ON f.key = c.key "
        "WHERE old IS DISTINCT FROM new"
    )


def new_names(warehouse: Warehouse, fields: Iterable[Field]) -> list[Row]:
    """Returns rows of `lead_fields` for the fields that are not there under their name."""
    found = warehouse.query(f"SELECT key, name FROM {warehouse.table('lead_fields')}")
    known = {(row["key"], row["name"]) for row in found}
    return [
        {"key": field.key, "name": field.name, "type": field.type}
        for field in fields
        if (field.key, field.name) not in known
    ]
