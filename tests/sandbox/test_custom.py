from __future__ import annotations

from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.sandbox.directory import FIELDS
from tests.support.api import Api

OPTIONS = {field.name: list(field.options) for field in FIELDS}


TIER = OPTIONS["Tier"][0]


PRODUCTS = OPTIONS["Products"]


CUSTOM_ACCEPTED: list[tuple[str, object]] = [
    ("Lead score", 12),
    ("Lead score", 0.1234567890123456),
    ("Tier", str(TIER)),
    ("Products", f"{PRODUCTS[0]},{PRODUCTS[2]}"),
    ("Deal cost", 10.25),
    ("Account manager", 1004),
    ("Partner", 301),
    ("Decision maker", 1001),
    ("Next call", "2026-12-24"),
    ("Contract period", "2026-01-01"),
    ("Callback window", "08:00:00"),
    ("Call at", "23:59:59"),
    ("HQ address", "Mill Lane 1, Leeds, United Kingdom"),
    ("Notes", "n" * 65_535),
    ("External id", "x" * 255),
    ("Mobile", "+49 40 555 1"),
    ("Campaign", "spring"),
    ("Campaign", ""),
]


CUSTOM_REFUSED: list[tuple[str, object]] = [
    ("Lead score", "12"),
    ("Lead score", True),
    ("Lead score", 1e-17),
    ("Tier", "Gold"),
    ("Tier", 1),
    ("Tier", True),
    ("Tier", ""),
    ("Products", PRODUCTS[0]),
    ("Products", [PRODUCTS[0]]),
    ("Products", "1,2"),
    ("Products", f"{PRODUCTS[0]}, {PRODUCTS[1]}"),
    ("Deal cost", "10"),
    ("Deal cost", {"amount": 1, "currency": "EUR"}),
    ("Account manager", 999),
    ("Account manager", "1004"),
    ("Partner", "301"),
    ("Partner", 77),
    ("Decision maker", 77),
    ("Decision maker", True),
    ("Next call", "24.12.2026"),
    ("Contract period", "2026-13-01"),
    ("Callback window", "8:00"),
    ("Call at", "24:00:00"),
    ("Call at", 8),
    ("HQ address", {"route": "Mill Lane"}),
    ("Notes", "n" * 65_536),
    ("External id", "x" * 256),
    ("External id", 5),
    ("Mobile", 4940),
    ("Campaign", ["spring"]),
]


@pytest.mark.parametrize(("name", "value"), CUSTOM_ACCEPTED)
def test_custom_value_is_stored_then_cleared(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], name: str, value: object
) -> None:
    key = CUSTOM_FIELDS[name]
    assert api.patch(lead["id"], {key: value}).json()["data"][key] == value
    assert pipedrive.lead(lead["id"])[key] == value
    assert api.patch(lead["id"], {key: None}).status_code == 200
    assert not [left for left in pipedrive.lead(lead["id"]) if left.startswith(key)]


@pytest.mark.parametrize(("name", "value"), CUSTOM_REFUSED)
def test_custom_value_is_refused(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], name: str, value: object
) -> None:
    answer = api.patch(lead["id"], {CUSTOM_FIELDS[name]: value})
    assert answer.status_code == 400
    assert CUSTOM_FIELDS[name] in answer.json()["error_info"]
    assert pipedrive.lead(lead["id"]) == lead


def test_every_field_type_has_an_accepted_and_a_refused_value() -> None:
    for cases in (CUSTOM_ACCEPTED, CUSTOM_REFUSED):
        named = {name for name, _ in cases}
        assert {field.field_type for field in FIELDS if field.name in named} == {
            field.field_type for field in FIELDS
        }


@pytest.mark.parametrize(
    ("name", "suffix", "values"),
    [
        ("Deal cost", "_currency", ("USD", "ZZZ")),
        ("Contract period", "_until", ("2027-01-01", "soon")),
        ("Callback window", "_until", ("18:00:00", "18")),
    ],
)
def test_companion_key(
    api: Api, lead: dict[str, Any], name: str, suffix: str, values: tuple[str, str]
) -> None:
    value, wrong = values
    key = CUSTOM_FIELDS[name] + suffix
    assert api.patch(lead["id"], {key: wrong}).status_code == 400
    assert api.patch(lead["id"], {key: value}).status_code == 200
    assert api.pipedrive.lead(lead["id"])[key] == value


def test_monetary_takes_the_users_currency_when_it_has_none(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    key = CUSTOM_FIELDS["Deal cost"]
    pipedrive.set_lead(lead["id"], **{key: None, f"{key}_currency": None})
    assert api.patch(lead["id"], {key: 5}).json()["data"][f"{key}_currency"] == "EUR"


@pytest.mark.parametrize(
    ("form", "taken", "refused"),
    [("any", [TIER, str(TIER)], []), ("int", [TIER], [str(TIER)]), ("string", [str(TIER)], [TIER])],
)
def test_enum_write_forms(
    api: Api, lead: dict[str, Any], form: str, taken: list[object], refused: list[object]
) -> None:
    api.pipedrive.settings(enum_write=form)
    key = CUSTOM_FIELDS["Tier"]
    for value in taken:
        assert api.patch(lead["id"], {key: value}).json()["data"][key] == str(TIER)
    for value in refused:
        assert api.patch(lead["id"], {key: value}).status_code == 400


def test_address_parts_are_derived_and_read_only(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    key = CUSTOM_FIELDS["HQ address"]
    made = api.patch(lead["id"], {key: "Park Avenue 9, Denver, United States"}).json()["data"]
    assert made[f"{key}_country"] == "United States"
    assert api.patch(lead["id"], {f"{key}_country": "Chile"}).json()["data"][f"{key}_country"] == (
        "United States"
    )


def test_empty_text_can_clear(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.settings(empty_text="clear")
    key = CUSTOM_FIELDS["External id"]
    assert api.patch(lead["id"], {key: "x"}).json()["data"][key] == "x"
    assert key not in api.patch(lead["id"], {key: ""}).json()["data"]
