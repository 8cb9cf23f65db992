"""What the connector counts on, asked of the local Pipedrive and, by `make test-live`, of a real
account.

Whatever a test sends is what the connector's own fields write, and whatever it looks at is what
they read. The account's lead is brought back after each test.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from connector.pipedrive.errors import LeadNotFound
from connector.records.definitions import FIELD_TYPES
from connector.records.fields import Field
from connector.records.kinds import Normal
from connector.records.leads import LEADS
from connector.sandbox.settings import BOOLEANS, CHOICES
from tests.contract.account import Account, Body, Lead, Shown, set_keys
from tests.contract.own_lead import mark_of_this
from tests.contract.probes import (
    NOBODYS,
    PROBES,
    TITLE,
    UNASKED,
    Probe,
    first_of,
    some_id,
    some_options,
)

pytestmark = pytest.mark.xdist_group("contract api")

TEXT = {"": "Contract test – “ümläut” 1"}
SAMPLES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("varchar", "varchar_auto", "text"), TEXT),
    "phone": {"": "+49 40 555 0199"},
    "address": {"": "10 Downing Street, London, United Kingdom"},
    "double": {"": Decimal("50.2500")},
    "monetary": {"amount": Decimal("1200.50"), "currency": "usd"},
    "date": {"": date(2031, 1, 31)},
    "daterange": {"from": date(2031, 1, 31), "until": date(2032, 2, 29)},
    "time": {"": time(9, 30)},
    "timerange": {"from": time(9, 30), "until": time(17, 5, 7)},
}
"""For each type the values of a warehouse by the part that they are of; "" is the whole."""


def sample_of(account: Account, field: Field) -> Normal:
    """Return a value for a custom field of the account, as it is read from a warehouse."""
    if field.type == "enum":
        cells: dict[str, Any] = {"": field.options.name_of(some_options(account, field)[-1])}
    elif field.type == "set":
        cells = {"": [field.options.name_of(one) for one in some_options(account, field)]}
    elif field.type in {"user", "org", "people"}:
        cells = {"": some_id(account, field.type)}
    else:
        cells = SAMPLES[field.type]
    return field.complete(field.parse(cells), None)


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
    return {key: account.fields[key].read_key(key, lead) for key in body}


def test_a_title_is_set(account: Account) -> None:
    assert patched(account, {"title": f"{TITLE} – “ümläut”"})["title"]


def test_a_value_is_set_and_cleared(account: Account) -> None:
    """Both halves are required, null clears (documented)."""
    field = account.fields["value"]
    wanted = field.parse({"amount": Decimal("50.50"), "currency": "usd"})
    lead = patched(account, field.write(field.complete(wanted, None)))
    assert lead["value"] == {"amount": 50.5, "currency": "USD"}
    assert patched(account, field.write(None))["value"] is None


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
    field = first_of(account, field_type)
    wanted = sample_of(account, field)
    clearing = field.write(None, wanted)
    account.patch(clearing)
    body = field.write(wanted)
    assert body.keys() == set(field.keys)
    assert field.read(patched(account, body)) == wanted
    assert field.read(patched(account, clearing)) is None


def test_a_patch_returns_the_whole_lead(account: Account) -> None:
    """The answer is the lead, complete (documented), so that every write is verified for free."""
    answer = account.patch({"title": f"{TITLE}, whole"})
    after = account.read()
    assert answer.keys() == after.keys()
    assert set_keys(answer) == set_keys(after)
    assert answer["update_time"] == after["update_time"]


@pytest.mark.parametrize("field_type", [None, *FIELD_TYPES])
def test_nothing_changes_but_what_the_body_names(account: Account, field_type: str | None) -> None:
    """Only properties in the body are updated (documented)."""
    body: Body = {"title": f"{TITLE}, nothing else"}
    if field_type:
        field = first_of(account, field_type)
        body = field.write(sample_of(account, field))
    for key, value in body.items():
        before = account.read()
        after = patched(account, {key: value})
        assert set_keys(after, beside={key: value}) == set_keys(before, beside={key: value})


def test_a_lead_that_is_not_there_is_not_found(account: Account) -> None:
    """404 is the only error that the published description has."""
    with pytest.raises(LeadNotFound):
        account.client.get(LEADS, NOBODYS)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_a_404_says(account: Account, shown: Shown, method: str) -> None:
    body = {"title": TITLE} if method == "PATCH" else None
    reply = account.calls(method, f"leads/{NOBODYS}", body)
    shown.setdefault(account.name, {})[f"404 of {method}"] = reply.words
    assert (reply.status, reply.document["success"]) == (404, False)


@pytest.mark.parametrize(
    ("link", "other"), [("person_id", "organization_id"), ("organization_id", "person_id")]
)
def test_one_of_person_and_organization_is_cleared(account: Account, link: str, other: str) -> None:
    """Null clears, as long as the lead keeps the other (documented)."""
    before = account.read()
    if before[link] is None or before[other] is None:
        pytest.skip("the lead has not both a person and an organization")
    after = patched(account, {link: None})
    assert (after[link], after[other]) == (None, before[other])
    assert patched(account, {link: before[link]})[link] == before[link]


def test_an_owner_is_set(account: Account) -> None:
    assert patched(account, {"owner_id": account.user_id})["owner_id"] == account.user_id


@pytest.mark.parametrize("level", ["1", "3"])
def test_visibility_is_set(account: Account, level: str) -> None:
    """1 and 3 exist on every plan (documented)."""
    account.patch({"visible_to": "3" if level == "1" else "1"})
    assert patched(account, {"visible_to": level})["visible_to"] == level


def test_a_channel_is_set_and_cleared(account: Account) -> None:
    """Null clears (documented); the channels are options of a deal field (documented)."""
    if not account.channels:
        pytest.skip("the account has no channels")
    assert patched(account, {"channel": account.channels[0]})["channel"] == account.channels[0]
    assert patched(account, {"channel": None})["channel"] is None


def test_a_channel_id_is_set_and_cleared(account: Account) -> None:
    """Null clears (documented)."""
    assert patched(account, {"channel_id": "Contract test"})["channel_id"] == "Contract test"
    assert patched(account, {"channel_id": None})["channel_id"] is None


def test_a_lead_is_archived_and_brought_back(account: Account) -> None:
    """Archived leads are in a list of their own (documented)."""
    if not account.own:
        pytest.skip("tried only on a lead of the suite's own")
    assert patched(account, {"is_archived": True})["is_archived"] is True
    listed = account.calls("GET", "leads/archived", sort="add_time DESC", limit=500).data
    assert account.lead_id in {lead["id"] for lead in listed}
    assert account.lead_id not in {lead["id"] for lead in account.page(limit=500)["data"]}
    assert patched(account, {"is_archived": False})["is_archived"] is False


WRONG: dict[str, Body] = {
    "an owner as text": {"owner_id": "1"},
    "an owner who is not there": {"owner_id": 2_147_483_000},
    "a person who is not there": {"person_id": 2_147_483_000},
    "an organization that is not there": {"organization_id": 2_147_483_000},
    "a value without currency": {"value": {"amount": 1}},
    "a currency that is not there": {"value": {"amount": 1, "currency": "ZZZ"}},
    "a title of 256 characters": {"title": "t" * 256},
    "a day that is not there": {"expected_close_date": "2031-02-30"},
    "a visibility as a number": {"visible_to": 3},
    "a label that is not there": {"label_ids": [NOBODYS]},
    "a channel that is not there": {"channel": 2_147_483_000},
}
REFUSALS = frozenset({400, 403, 404, 409, 422})


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_changes_nothing(account: Account, shown: Shown, name: str) -> None:
    before = account.read()
    reply = account.calls("PATCH", f"leads/{account.lead_id}", WRONG[name])
    shown.setdefault(account.name, {})[f"refused: {name}"] = reply.words
    assert reply.status in REFUSALS
    assert account.read() == before


def test_a_page_holds_500_leads(account: Account, shown: Shown) -> None:
    """The default is 100 and the maximum 500 (documented)."""
    sizes = {limit: shown_limit(account.page(limit=limit)) for limit in (500, 501)}
    shown.setdefault(account.name, {})["limit=501 shows a limit of"] = sizes[501]
    assert sizes[500] == 500
    assert shown_limit(account.page()) == 100


def shown_limit(page: Mapping[str, Any]) -> int:
    extra = page["additional_data"]
    return int(extra.get("pagination", extra)["limit"])


def test_answers_tell_what_is_left(account: Account, shown: Shown) -> None:
    """Burst headers come with each answer; `x-daily-requests-left` not with GET (documented)."""
    if account.pipedrive:
        account.pipedrive.settings(limits=True)
    path = f"leads/{account.lead_id}"
    replies = {
        "GET": account.calls("GET", path),
        "PATCH": account.calls("PATCH", path, {"title": f"{TITLE}, headers"}),
    }
    for method, reply in replies.items():
        told = {name.lower(): value for name, value in reply.headers.items()}
        limits = {name: told[name] for name in sorted(told) if name.startswith(("x-rate", "x-da"))}
        text = " ".join(f"{name}={value}" for name, value in limits.items())
        shown.setdefault(account.name, {})[f"headers of {method}"] = text or "none"
        assert limits.keys() >= BURST_HEADERS
        assert method != "GET" or DAILY_LEFT not in limits


BURST_HEADERS = {f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset")}
DAILY_LEFT = "x-daily-requests-left"


def test_a_lead_of_the_api_has_its_source(account: Account) -> None:
    """Leads made through the API have the source and origin `API` (documented)."""
    sources = {row["name"] for row in account.calls("GET", "leadSources").data}
    lead = account.read()
    assert lead["source_name"] in sources
    if account.own:
        assert (lead["source_name"], lead["origin"]) == ("API", "API")
        assert lead["origin_id"] == mark_of_this()


def test_the_owner_may_see_the_lead(account: Account) -> None:
    users = account.calls("GET", f"leads/{account.lead_id}/permittedUsers").data
    assert account.read()["owner_id"] in users


def test_leads_are_searched(account: Account) -> None:
    """What is found depends on an index that lags, so nothing is looked for."""
    reply = account.calls("GET", "leads/search", term=TITLE, fields="title", limit=1)
    assert (reply.status, isinstance(reply.data["items"], list)) == (200, True)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_sandbox_can_play_what_the_account_shows(
    account: Account, probe: Probe, shown: Shown
) -> None:
    if probe.own_lead and not account.own:
        pytest.skip("tried only on a lead of the suite's own")
    seen = probe.look(account)
    shown.setdefault(account.name, {})[probe.name] = seen
    assert seen in probe.choices


def test_every_reading_of_a_lead_is_asked_for() -> None:
    of_limits = {"limits", "retry_after", "daily_headers"}
    assert {probe.setting for probe in PROBES} == {*CHOICES, *BOOLEANS} - UNASKED - of_limits


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
    local_account.pipedrive.settings(**{probe.setting: value})
    assert probe.look(local_account) == value
