"""Plans and columns as JSON types, for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connector.planning.model import Patch
from connector.records.fields import Field
from connector.report.words import kind_of
from connector.sync.explanation import Explanation
from connector.sync.summary import Entry, Summary, settled_of


def plan_document(summary: Summary, entries: Iterable[Entry]) -> dict[str, Any]:
    """Returns a plan as JSON types, as `schemas/plan.json` describes it."""
    entries = list(entries)
    return {
        "format": 1,
        "summary": summary.as_dict(),
        "patches": [_patch_document(one, one.patch) for one in entries if one.patch],
        "settled": [
            {"lead_id": one.lead_id, "status": one.status, "reason": one.reason}
            for one in settled_of(entries)
        ],
    }


def _patch_document(entry: Entry, patch: Patch) -> dict[str, Any]:
    changes = change_documents(patch, entry.fields)
    names = {"patch_id": patch.patch_id, "lead_id": entry.lead_id, "title": entry.title}
    return {**names, "before": patch.before, "body": patch.body, "changes": changes}


def change_documents(patch: Patch, fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Returns what a PATCH changes, field by field, in the words of people."""
    return [
        {
            "key": field.key,
            "field": field.name,
            "kind": kind_of(patch, field),
            "old": _named(field, patch.before),
            "new": _named(field, patch.body),
        }
        for field in fields
    ]


def _named(field: Field, values: Mapping[str, Any]) -> str | None:
    """Returns what a person calls a value; None for none."""
    return None if field.is_blank(values) else field.show(values)


def columns_document(found: Explanation) -> list[dict[str, Any]]:
    """Returns what each column manages, and what is wrong with it, as JSON types."""
    columns = found.columns
    managed = [
        {
            "column": column.name,
            "key": column.field.key,
            "field": column.field.name,
            "part": column.part or None,
            "type": column.field.type,
            "options": dict(column.field.options.names),
            "on_null": columns.null_rule(column.field),
            "only_if_blank": column.field.key in columns.only_if_blank,
            "doubt": found.doubts.get(column.name),
        }
        for column in columns.managed
    ]
    passed_over = [
        {"column": name, "passed_over": True, "doubt": found.doubts.get(name)}
        for name in found.passed_over
    ]
    problems = [
        {
            "column": one.column or None,
            "problem": one.wrong if one.is_of_config else str(one),
            "nearest": one.nearest or None,
        }
        for one in found.problems
    ]
    return managed + passed_over + problems
