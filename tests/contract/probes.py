"""One probe for each thing that is not known of the API: it says which reading an account shows.

A probe is named after the sandbox's setting that plays the readings, and returns one of its
values, so that the sandbox can be set to what a real account does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from connector.pipedrive.errors import Refused
from connector.records.fields import Field
from connector.sandbox.settings import CHOICES, Settings
from tests.contract import own_lead
from tests.contract.account import Account, Body

TITLE = own_lead.MARK
NOBODYS = str(uuid.UUID(int=0, version=4))
"""The id of no lead."""
FAR_BEYOND = 1_000_000
"""A `start` behind the last lead of any account."""


@dataclass(frozen=True)
class Probe:
    """A question to an account.

    Attributes:
        setting: The sandbox's setting that plays the readings.
        look: Asks, and returns the setting's value that the account shows.
        of: What it is asked of, where one setting is for several.
        own_lead: It may do to a lead what cannot be undone for certain, so that it is asked of a
            lead of the suite's own alone.
    """

    setting: str
    look: Callable[[Account], object]
    of: str = ""
    own_lead: bool = False

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
    if found is None:
        pytest.skip(f"the account has no custom field of type {field_type}")
    return found


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
    body = {"title": f"{TITLE}, unknown key", "lead_sync_contract_test": 1}
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
    account.patch(field.write(some_options(account, field)[0]))
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


def empty_channel_id(account: Account) -> str:
    """The same of the standard text field."""
    account.patch({"channel_id": "to be emptied"})
    account.patch({"channel_id": ""})
    return "keep" if account.read()["channel_id"] == "" else "clear"


def effect_of(key: str, value: object, *, first: object = None) -> Callable[[Account], str]:
    """Return the look at what one value in a body does: refuse, ignore or take.

    Args:
        key: The key of the body.
        value: The value in doubt.
        first: What the field is set to before, so that an effect can be seen.
    """

    def look(account: Account) -> str:
        if first is not None:
            account.patch({key: first})
        return _effect(account, {key: value})

    return look


def labels_effect(value: object) -> Callable[[Account], str]:
    """Return the look at what null or `[]` does to labels (unknown, and inferred)."""

    def look(account: Account) -> str:
        if not account.labels:
            pytest.skip("the account has no lead labels")
        account.patch({"label_ids": account.labels[:1]})
        return _effect(account, {"label_ids": value}, shown=[])

    return look


def custom_null(account: Account) -> str:
    """That null clears a custom field was observed on deals."""
    return effect_of(first_of(account, "text").key, None, first="to be cleared")(account)


def contact_null(account: Account) -> str:
    """A lead must keep a person or an organization (documented); how is unknown."""
    links = ("person_id", "organization_id")
    before = account.read()
    if not _taken(account, dict.fromkeys(links)):
        return "refuse"
    after = account.read()
    if all(after[link] is None for link in links):
        return "take"
    return "ignore" if all(after[link] == before[link] for link in links) else "one of them goes"


def empty_body(account: Account) -> str:
    """Whether `{}` is refused (unknown)."""
    return "take" if _taken(account, {}) else "refuse"


def visible_beyond_plan(account: Account) -> str:
    """What 5 and 7 do depends on the plan (documented for the higher ones, unknown for others)."""
    account.patch({"visible_to": "3"})
    effects = {_effect(account, {"visible_to": level}) for level in ("5", "7")}
    return effects.pop() if len(effects) == 1 else " and ".join(sorted(effects))


def negative_amount(account: Account) -> str:
    """Whether a value may be negative (unknown)."""
    return "take" if _taken(account, {"value": {"amount": -1, "currency": "EUR"}}) else "refuse"


def tidied_title(account: Account) -> str:
    """Whether blanks around a text are kept (unknown)."""
    account.send({"title": f"  {TITLE}  "})
    return "keep" if account.read()["title"] == f"  {TITLE}  " else "trim"


def tidied_text(account: Account) -> str:
    """The same of a custom field."""
    key = first_of(account, "text").key
    account.send({key: "  a text  "})
    return "keep" if account.read()[key] == "  a text  " else "trim"


def tidied_value(account: Account) -> str:
    """Whether an amount is rounded to cents (unknown)."""
    account.send({"value": {"amount": 10.2468, "currency": "EUR"}})
    return {10.2468: "keep", 10.25: "round"}.get(account.read()["value"]["amount"], "otherwise")


def tidied_amount(account: Account) -> str:
    """The same of a monetary custom field."""
    key = first_of(account, "monetary").key
    account.send({key: 10.2468})
    return {10.2468: "keep", 10.25: "round"}.get(account.read()[key], "otherwise")


def long_decimals(account: Account) -> str:
    """A number has at most 16 decimals (documented); what more of them do is unknown."""
    key = first_of(account, "double").key
    return "round" if _taken(account, {key: 0.12345678901234567}) else "refuse"


def archived_status(account: Account) -> int | None:
    """The status that refuses a write to an archived lead (unknown)."""
    refusal = _refusal_when_archived(account)
    return refusal.answer.status if refusal and refusal.answer else 200


def archived_text(account: Account) -> str:
    """One secondary source has `ERR_LEAD_ARCHIVED` in that refusal."""
    return "named" if "ERR_LEAD_ARCHIVED" in str(_refusal_when_archived(account)) else "plain"


def archived_by_id(account: Account) -> str:
    """That GET by id shows an archived lead is inferred."""
    account.patch({"is_archived": True})
    return "shown" if account.calls("GET", f"leads/{account.lead_id}").status == 200 else "missing"


def unarchive(account: Account) -> str:
    """Whether only `is_archived: false` alone is let through (one secondary source)."""
    account.patch({"is_archived": True})
    if _taken(account, {"is_archived": False, "title": f"{TITLE}, back"}):
        return "with_others"
    return "alone" if _taken(account, {"is_archived": False}) else "never"


def not_found_text(account: Account) -> str:
    """The text of a 404 may change without notice (documented)."""
    reply = account.calls("GET", f"leads/{NOBODYS}")
    documented = reply.document.get("error") == "requested lead not found"
    return "documented" if documented else "other"


def source_deal_id(account: Account) -> bool:
    """The schema of a lead has the key, no example has it."""
    return "source_deal_id" in account.read()


def quiet_keys(account: Account) -> str:
    """Which changes move `update_time` is not said (unknown)."""
    key = first_of(account, "text").key
    if not account.labels:
        pytest.skip("the account has no lead labels")
    account.patch({key: None, "label_ids": [], "was_seen": False})
    quiet = {
        name
        for name, body in (
            ("seen", {"was_seen": True}),
            ("labels", {"label_ids": account.labels[:1]}),
            ("custom", {key: "changed"}),
        )
        if not _moves_update_time(account, body)
    }
    return "_and_".join(sorted(quiet, reverse=True)) or "none"


def noop_bumps(account: Account) -> bool:
    """Whether a PATCH that changes nothing moves `update_time` (unknown)."""
    return _moves_update_time(account, {"title": account.read()["title"]})


def _moves_update_time(account: Account, body: Body) -> bool:
    before = account.read()["update_time"]
    account.patch(body)
    return bool(account.read()["update_time"] != before)


def _refusal_when_archived(account: Account) -> Refused | None:
    account.patch({"is_archived": True})
    try:
        account.patch({"title": f"{TITLE}, too late"})
    except Refused as error:
        return error
    return None


def _effect(account: Account, body: Body, *, shown: object = None) -> str:
    """Return what a body of one key does; `shown` is how its value shows where it is taken."""
    [(key, value)] = body.items()
    before = account.read().get(key)
    if not _taken(account, body):
        return "refuse"
    after = account.read().get(key)
    if after == (value if shown is None else shown):
        return "take"
    return "ignore" if after == before else f"shows {after!r}"


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
    Probe("empty_text", empty_text, of="custom"),
    Probe("empty_text", empty_channel_id, of="channel_id"),
    Probe("title_null", effect_of("title", None), own_lead=True),
    Probe("title_empty", effect_of("title", ""), own_lead=True),
    Probe("owner_null", effect_of("owner_id", None), own_lead=True),
    Probe("visible_null", effect_of("visible_to", None), own_lead=True),
    Probe("visible_beyond_plan", visible_beyond_plan, own_lead=True),
    Probe("contact_null", contact_null, own_lead=True),
    Probe("labels_null", labels_effect(None), own_lead=True),
    Probe("labels_empty", labels_effect([])),
    Probe("custom_null", custom_null),
    Probe("empty_body", empty_body, own_lead=True),
    Probe("negative_amount", negative_amount),
    Probe("text_tidied", tidied_title, of="title"),
    Probe("text_tidied", tidied_text, of="custom"),
    Probe("amount_tidied", tidied_value, of="value"),
    Probe("amount_tidied", tidied_amount, of="custom"),
    Probe("long_decimals", long_decimals),
    Probe("not_found_text", not_found_text),
    Probe("source_deal_id", source_deal_id),
    Probe("quiet_keys", quiet_keys),
    Probe("noop_bumps", noop_bumps),
    Probe("archived_status", archived_status, own_lead=True),
    Probe("archived_text", archived_text, own_lead=True),
    Probe("archived_by_id", archived_by_id, own_lead=True),
    Probe("unarchive", unarchive, own_lead=True),
)
UNASKED = frozenset({"plan", "limit_body"})
"""Readings that only a spent limit or a bill would show."""
