"""Another company than the made-up one: its fields, labels, users and leads, out of a file.

The file has a JSON object a line. The first is the company, any other is a lead as the API shows
it. The company is
`{"fields": [{"key", "name", "field_type", "options"}], "labels": [{"id", "name"}],
"users": [{"id", "email"}]}`. What is null there is not known: then any id is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from connector.sandbox import directory
from connector.sandbox.directory import CustomField

Json = dict[str, Any]
_READERS = "connector.sandbox.values"
"""The first module that reads the company when it is imported."""
_UNSET: Json = {
    **dict.fromkeys(
        (
            *("title", "owner_id", "creator_id", "person_id", "organization_id", "source_name"),
            *("origin", "origin_id", "channel", "channel_id", "value", "expected_close_date"),
            *("next_activity_id", "visible_to", "cc_email"),
        )
    ),
    "label_ids": [],
    "is_archived": False,
    "was_seen": False,
    "add_time": directory.CREATED,
    "update_time": directory.CREATED,
}


def move_in(file: Path) -> list[Json]:
    """Put a file's company in the place of the made-up one, for this process; return its leads.

    Raises:
        RuntimeError: The made-up one is in use already.
    """
    if _READERS in sys.modules:
        raise RuntimeError("a process serves one company, and this one has begun with another")
    with file.open("rb") as lines:
        company: Json = orjson.loads(next(lines))
        leads = [{**_UNSET, **orjson.loads(line)} for line in lines]
    fields = tuple(map(_field, company["fields"]))
    labels = tuple(company["labels"] or ())
    users = tuple({"active_flag": True, "name": user["email"], **user} for user in _users(company))
    ids = None if company["users"] is None else frozenset(chain(_ids(users), _owners(leads)))
    vars(directory).update(
        FIELDS=fields,
        CUSTOM_FIELDS={field.name: field.key for field in fields},
        CHANNELS=None,
        PERSON_IDS=None,
        ORGANIZATION_IDS=None,
        LABELS=labels,
        LABEL_IDS=None if company["labels"] is None else _label_ids(labels, leads),
        USERS=users,
        USER_IDS=ids,
        users=lambda _count: users,
        user_ids=lambda _count: ids,
    )
    return leads


def _field(given: Json) -> CustomField:
    options = given["options"]
    labels = {int(one): str(name) for one, name in (options or {}).items()}
    named = (given["key"], given["name"], given["field_type"])
    return CustomField(*named, labels, knows_options=options is not None)


def _users(company: Json) -> list[Json]:
    return company["users"] or []


def _ids(users: tuple[Json, ...]) -> Iterator[int]:
    return (int(user["id"]) for user in users)


def _owners(leads: list[Json]) -> Iterator[int]:
    """Yield the owners of leads: whoever has one exists."""
    return (lead["owner_id"] for lead in leads if isinstance(lead["owner_id"], int))


def _label_ids(labels: tuple[Json, ...], leads: list[Json]) -> frozenset[str]:
    given = (str(label["id"]) for label in labels)
    return frozenset(chain(given, (one for lead in leads for one in lead["label_ids"] or ())))
