"""What the connector counts on, asked of the local Pipedrive and, where one is given, of a real
account: `make test-live`.

Whatever a test sends is what the connector's own fields write, and whatever it looks at is what
they read. The account's lead is brought back after each test.
"""

from __future__ import annotations

import uuid
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from connector.fields import Field
from connector.kinds import FIELD_TYPES
from connector.pipedrive.errors import LeadNotFound
from tests.contract.account import Account, Body, Lead, set_keys
from tests.contract.conftest import Shown
from tests.contract.probes import PROBES, Probe, first_of, some_id, some_options

TEXT = ("Contract test – “ümläut” 1",)
SAMPLES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("varchar", "varchar_auto", "text"), TEXT),
    "phone": ("+49 40 555 0199",),
    "address": ("10 Downing Street, London, United Kingdom",),
    "double": (Decimal("50.2500"),),
    "monetary": (Decimal("1200.50"), "usd"),
    "date": (date(2031, 1, 31),),
    "daterange": (date(2031, 1, 31), date(2032, 2, 29)),
    "time": (time(9, 30),),
    "timerange": (time(9, 30), time(17, 5, 7)),
}
"""For each type a value of a warehouse, or two where a field has two keys."""


def sample_of(account: Account, field_type: str) -> tuple[Any, ...]:
    """Return a warehouse value for each key of the account's field of a type."""
    field = first_of(account, field_type)
    if field_type == "enum":
        return (field.options.name_of(some_options(account, field)[-1]),)
    if field_type == "set":
        return ([field.options.name_of(one) for one in some_options(account, field)],)
    if field_type in {"user", "org", "people"}:
        return (some_id(account, field_type),)
    return SAMPLES[field_type]


def patched(account: Account, body: Body) -> Lead:
    """Send a body; both the answer and a read after it show what it asked for."""
    answer = account.patch(body)
    after = account.read()
    wanted = reading(account, body, body)
    assert reading(account, body, answer) == wanted
    assert reading(account, body, after) == wanted
    return after


def reading(account: Account, body: Body, lead: Lead) -> dict[str, Any]:
    """Return what the keys of a body say in a lead, in normal form."""
    return {key: account.fields[key].read(lead) for key in body}


def test_a_title_is_set(account: Account) -> None:
    assert patched(account, {"title": "Contract test – “ümläut”"})["title"]


def test_a_value_is_set_and_cleared(account: Account) -> None:
    """Both halves are required, null clears (documented)."""
    field = account.fields["value"]
    wanted = field.kind.parse({"amount": Decimal("50.50"), "currency": "usd"})
    lead = patched(account, {"value": field.write(wanted)})
    assert lead["value"] == {"amount": 50.5, "currency": "USD"}
    assert patched(account, {"value": field.write(None)})["value"] is None


def test_a_value_of_nothing_is_not_unset(account: Account) -> None:
    lead = patched(account, {"value": {"amount": 0, "currency": "EUR"}})
    assert account.fields["value"].read(lead) is not None


def test_an_expected_close_date_is_set_and_cleared(account: Account) -> None:
    """Null clears (documented)."""
    assert patched(account, {"expected_close_date": "2031-02-28"})["expected_close_date"]
    assert patched(account, {"expected_close_date": None})["expected_close_date"] is None


def test_labels_are_replaced_whole_and_cleared(account: Account) -> None:
    """A PATCH replaces the whole list (documented); `[]` clears it (assumed)."""
    if len(account.labels) < 2:
        pytest.skip("the account has fewer than two lead labels")
    first, second = account.labels[:2]
    patched(account, {"label_ids": [first, second]})
    patched(account, {"label_ids": [second]})
    assert patched(account, {"label_ids": []})["label_ids"] == []


@pytest.mark.parametrize("seen", [True, False])
def test_seen_is_set(account: Account, seen: bool) -> None:
    account.patch({"was_seen": not seen})
    assert patched(account, {"was_seen": seen})["was_seen"] is seen


@pytest.mark.parametrize("field_type", FIELD_TYPES)
def test_a_custom_field_is_set_and_cleared(account: Account, field_type: str) -> None:
    """The wire forms are those of deals (documented); that null clears was observed on deals."""
    values = sample_of(account, field_type)
    fields = account.custom(field_type)
    account.patch(clearing(fields))
    wanted = {
        field.key: field.write(field.kind.parse(value))
        for field, value in zip(fields, values, strict=True)
    }
    patched(account, wanted)
    lead = patched(account, clearing(fields))
    assert {field.read(lead) for field in fields if field.clearable} == {None}


def clearing(fields: list[Field]) -> Body:
    """Return the body that clears a field; a currency goes with its amount."""
    return {field.key: field.write(None) for field in fields if field.clearable}


def test_a_patch_returns_the_whole_lead(account: Account) -> None:
    """The answer is the lead, complete (documented), so that every write is verified for free."""
    answer = account.patch({"title": "Contract test"})
    after = account.read()
    assert answer.keys() == after.keys()
    assert set_keys(answer) == set_keys(after)
    assert answer["update_time"] == after["update_time"]


@pytest.mark.parametrize("field_type", [None, *FIELD_TYPES])
def test_nothing_changes_but_what_the_body_names(account: Account, field_type: str | None) -> None:
    """Only properties in the body are updated (documented)."""
    body: Body = {"title": "Contract test"}
    if field_type:
        field = first_of(account, field_type)
        body = {field.key: field.write(field.kind.parse(sample_of(account, field_type)[0]))}
    before = account.read()
    account.patch(body)
    assert set_keys(account.read(), beside=body) == set_keys(before, beside=body)


def test_a_lead_that_is_not_there_is_not_found(account: Account) -> None:
    """404 is the only error that the published description has."""
    with pytest.raises(LeadNotFound):
        account.client.lead(str(uuid.UUID(int=0, version=4)))


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_sandbox_can_play_what_the_account_shows(
    account: Account, probe: Probe, shown: Shown
) -> None:
    if probe.local_only and account.pipedrive is None:
        pytest.skip("not tried on a real account")
    seen = probe.look(account)
    shown.setdefault(account.name, {})[probe.name] = seen
    assert seen in probe.choices


READINGS = [
    pytest.param(probe, value, id=f"{probe.name}={value}")
    for probe in PROBES
    for value in probe.choices
]


@pytest.mark.parametrize(("probe", "value"), READINGS)
def test_a_probe_tells_the_readings_apart(
    local_account: Account, probe: Probe, value: object
) -> None:
    assert local_account.pipedrive
    local_account.pipedrive.reset()
    local_account.pipedrive.settings(**{probe.setting: value})
    assert probe.look(local_account) == value
