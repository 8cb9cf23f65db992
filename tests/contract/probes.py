"""One probe for each thing that is not known of the API: it says which reading an account shows.

A probe is named after the sandbox's setting that plays the readings, and returns one of its
values, so that the sandbox can be set to what a real account does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from connector.fields import Field
from connector.pipedrive.errors import Refused
from connector.sandbox.settings import CHOICES, Settings
from tests.contract.account import Account, Body

FAR_BEYOND = 1_000_000
"""A `start` behind the last lead of any account."""


@dataclass(frozen=True)
class Probe:
    """A question to an account.

    Attributes:
        setting: The sandbox's setting that plays the readings.
        look: Asks, and returns the setting's value that the account shows.
        of: What it is asked of, where one setting is for several.
        local_only: It would do to a real account what cannot be undone for certain.
    """

    setting: str
    look: Callable[[Account], object]
    of: str = ""
    local_only: bool = False

    @property
    def name(self) -> str:
        return f"{self.setting} ({self.of})" if self.of else self.setting

    @property
    def choices(self) -> tuple[object, ...]:
        """The readings that the sandbox can play."""
        return CHOICES.get(self.setting, (True, False))

    @property
    def default(self) -> object:
        """The reading that the sandbox plays unless told otherwise."""
        return getattr(Settings(), self.setting)


def first_of(account: Account, field_type: str) -> Field:
    """Return the account's first custom field of a type; without one the probe is skipped."""
    found = account.custom(field_type)
    if not found:
        pytest.skip(f"the account has no custom field of type {field_type}")
    return found[0]


def some_id(account: Account, field_type: str) -> int:
    """Return an id that a user, org or people field can hold."""
    if field_type == "user":
        return account.user_id
    link = {"org": "organization_id", "people": "person_id"}[field_type]
    found = account.fields[link].read(account.read())
    if found is None:
        pytest.skip(f"the account's lead has no {link}")
    return int(found)


def some_options(account: Account, field: Field) -> list[int]:
    """Return the ids of the field's options."""
    if not field.options.names:
        pytest.skip(f"the account's {field.name} has no options")
    return [int(key) for key in field.options.names]


def page_shape(account: Account) -> str:
    """The examples nest the marker in `pagination` (documented); the schema shows it flat."""
    extra = account.page(limit=1)["additional_data"]
    return "nested" if "pagination" in extra else "flat"


def empty_page(account: Account) -> str:
    """An empty page's `data` may be a list or null (both seen by other clients)."""
    rows = account.page(start=FAR_BEYOND, limit=1)["data"]
    return "null" if rows is None else "list"


def unknown_keys(account: Account) -> str:
    """Whether a key that Pipedrive does not know spoils a body (unknown)."""
    body = {"title": "Unknown key", "lead_sync_contract_test": 1}
    return "ignore" if _taken(account, body) else "refuse"


def cleared(account: Account) -> str:
    """After a clear the key is said to be absent (documented) and may be null (assumed)."""
    key = first_of(account, "text").key
    account.patch({key: "to be cleared"})
    account.patch({key: None})
    return "null" if key in account.read() else "absent"


def enum_form(account: Account) -> str:
    """An enum's option id is read as text by other clients of v1 (observed)."""
    field = first_of(account, "enum")
    account.patch({field.key: field.write(some_options(account, field)[0])})
    return {str: "string", int: "int"}[type(account.read()[field.key])]


def enum_write(account: Account) -> str:
    """Which form of an option id a PATCH takes is unknown; a label is never taken."""
    field = first_of(account, "enum")
    option = some_options(account, field)[0]
    takes = [
        name
        for name, form in (("int", option), ("string", str(option)))
        if _set_anew(account, field, form)
    ]
    return takes[0] if len(takes) == 1 else "any" if takes else "none"


def reference_form(field_type: str) -> Callable[[Account], str]:
    """Users, organizations and persons may be read as ids or as objects (unknown)."""

    def look(account: Account) -> str:
        field = first_of(account, field_type)
        account.patch({field.key: some_id(account, field_type)})
        return _form_of(account.read()[field.key])

    return look


def empty_text(account: Account) -> str:
    """Whether "" in a text field is kept or clears it (unknown)."""
    key = first_of(account, "text").key
    account.patch({key: "to be emptied"})
    account.patch({key: ""})
    kept = account.read().get(key) == ""
    account.patch({key: None})
    return "keep" if kept else "clear"


def archived_status(account: Account) -> int | None:
    """The status that refuses a write to an archived lead (unknown)."""
    account.patch({"is_archived": True})
    try:
        account.patch({"title": "Too late"})
    except Refused as error:
        return error.answer.status if error.answer else None
    return 200


def noop_bumps(account: Account) -> bool:
    """Whether a PATCH that changes nothing moves `update_time` (unknown)."""
    before = account.read()
    account.patch({"title": before["title"]})
    return bool(account.read()["update_time"] != before["update_time"])


def _taken(account: Account, body: Body) -> bool:
    try:
        account.send(body)
    except Refused:
        return False
    return True


def _set_anew(account: Account, field: Field, form: Any) -> bool:
    account.patch({field.key: None})
    return _taken(account, {field.key: form}) and field.read(account.read()) is not None


def _form_of(value: Any) -> str:
    if isinstance(value, dict):
        return "object_id" if "id" in value else "object_value" if "value" in value else "object"
    return "id" if isinstance(value, int) else type(value).__name__


PROBES = (
    Probe("page_shape", page_shape),
    Probe("empty_page", empty_page),
    Probe("unknown_keys", unknown_keys),
    Probe("cleared", cleared),
    Probe("enum_form", enum_form),
    Probe("enum_write", enum_write),
    *(Probe("reference_form", reference_form(one), of=one) for one in ("user", "org", "people")),
    Probe("empty_text", empty_text),
    Probe("archived_status", archived_status, local_only=True),
    Probe("noop_bumps", noop_bumps),
)
