"""The company around the leads: users, labels, channels and fields, the same in every run."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

CREATED: Final = "2024-03-04 09:12:44"
COMPANY_ID: Final = 54235233
COMPANY_DOMAIN: Final = "sandbox"
DEFAULT_CURRENCY: Final = "EUR"
CURRENCIES: Final = ("EUR", "USD", "GBP", "SEK")
VISIBILITIES: Final = ("1", "3", "5", "7")
PERSON_IDS: Final = range(1_000, 1_401)
ORGANIZATION_IDS: Final = range(300, 521)
SOURCES: Final = (
    *("Manually created", "Deal", "Web forms", "Prospector", "Leadbooster", "Live chat", "Import"),
    *("Website visitors", "Workflow automation", "API"),
)
"""The fixed list of lead sources (documented)."""
_CURRENCIES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP "
    "BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR "
    "KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR "
    "SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS "
    "UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG"
)
CURRENCY_CODES: Final = frozenset(_CURRENCIES.split())


@dataclass(frozen=True, slots=True)
class CustomField:
    """A custom lead field: its name, type and, for enum and set, the option labels by id.

    Where its options are not known, it takes any.
    """

    key: str
    name: str
    field_type: str
    options: Mapping[int, str]
    knows_options: bool = True

    @property
    def known_options(self) -> Mapping[int, str] | None:
        """The options, where they are known."""
        return self.options if self.knows_options else None


def _key(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def _custom(name: str, field_type: str, first_option: int = 0, *labels: str) -> CustomField:
    options = {first_option + place: label for place, label in enumerate(labels)}
    return CustomField(_key(name), name, field_type, options)


FIELDS: Final[tuple[CustomField, ...]] = (
    _custom("Lead score", "double"),
    _custom("Win probability", "double"),
    _custom("Seats wanted", "double"),
    _custom("Tier", "enum", 190, "Gold", "Silver", "Bronze"),
    _custom("Region", "enum", 201, "North", "South", "East", "West"),
    _custom("Industry", "enum", 211, "Logistics", "Retail", "Energy", "Health", "Software"),
    _custom("Products", "set", 231, "Core", "Analytics", "Mobile app", "Support plus"),
    _custom("Deal cost", "monetary"),
    _custom("Account manager", "user"),
    _custom("Partner", "org"),
    _custom("Decision maker", "people"),
    _custom("Next call", "date"),
    _custom("Contract period", "daterange"),
    _custom("Callback window", "timerange"),
    _custom("Call at", "time"),
    _custom("HQ address", "address"),
    _custom("Notes", "text"),
    _custom("Qualification", "text"),
    _custom("External id", "varchar"),
    _custom("Segment", "varchar"),
    _custom("Mobile", "phone"),
    _custom("Campaign", "varchar_auto"),
)
CUSTOM_FIELDS: Final[Mapping[str, str]] = {field.name: field.key for field in FIELDS}

CHANNELS: Final[Mapping[int, str]] = {
    52: "Billboard",
    53: "Web form",
    54: "Trade fair",
    55: "Referral",
    56: "Outbound call",
}


def _user(user_id: int, name: str, *, active: bool = True) -> dict[str, Any]:
    mailbox = name.lower().replace(" ", ".")
    return {
        "id": user_id,
        "name": name,
        "default_currency": DEFAULT_CURRENCY,
        "locale": "en_GB",
        "lang": 1,
        "email": f"{mailbox}@example.com",
        "phone": None,
        "activated": True,
        "last_login": "2026-06-29 08:45:56",
        "created": CREATED,
        "modified": "2026-06-29 08:45:56",
        "active_flag": active,
        "timezone_name": "Europe/Berlin",
        "timezone_offset": "+02:00",
        "role_id": 1,
        "icon_url": None,
        "is_deleted": False,
        "is_you": user_id == 1001,
        "is_admin": int(user_id == 1001),
    }


USERS: Final[tuple[dict[str, Any], ...]] = (
    _user(1001, "Ada Lind"),
    _user(1004, "Bruno Keller"),
    _user(1010, "Chloe Martin"),
    _user(1017, "Dimitri Vale"),
    _user(1023, "Elena Rossi"),
    _user(1038, "Farid Noor", active=False),
)
_FIRST_FURTHER_USER: Final = 2_001


@cache
def users(count: int) -> tuple[dict[str, Any], ...]:
    """Return a company's users: those named here, and further ones up to `count`."""
    further = range(max(0, count - len(USERS)))
    numbers = (_FIRST_FURTHER_USER + number for number in further)
    return (*USERS, *(_user(number, f"User {number}") for number in numbers))


@cache
def user_ids(count: int) -> frozenset[int]:
    """Return the ids of `users(count)`."""
    return frozenset(int(user["id"]) for user in users(count))


USER_IDS: Final = user_ids(0)

ME: Final[dict[str, Any]] = {
    **USERS[0],
    "company_id": COMPANY_ID,
    "company_name": "Sandbox",
    "company_domain": COMPANY_DOMAIN,
    "company_country": "EE",
    "company_industry": "IT Services",
    "has_created_company": True,
    "access": [{"app": "sales", "admin": True}, {"app": "global", "admin": True}],
    "language": {"language_code": "en", "country_code": "GB"},
}


def me(company_id: int) -> Mapping[str, Any]:
    """Return the user whom the token belongs to, at a company."""
    other = {"company_id": company_id, "company_domain": f"{COMPANY_DOMAIN}-{company_id}"}
    return ME if company_id == COMPANY_ID else {**ME, **other}


def _label(name: str, color: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"lead-label/{name}")),
        "name": name,
        "color": color,
        "add_time": "2024-03-04T09:12:44.000Z",
        "update_time": "2024-03-04T09:12:44.000Z",
    }


LABELS: Final[tuple[dict[str, Any], ...]] = (
    _label("Hot", "red"),
    _label("Warm", "yellow"),
    _label("Cold", "blue"),
    _label("Renewal", "green"),
    _label("Partner lead", "purple"),
)
LABEL_IDS: Final = frozenset(str(label["id"]) for label in LABELS)

_STANDARD: Final = (
    ("title", "Title", "varchar"),
    ("owner_id", "Owner", "user"),
    ("label_ids", "Labels", "set"),
    ("person_id", "Contact person", "people"),
    ("organization_id", "Organization", "org"),
    ("value", "Value", "monetary"),
    ("expected_close_date", "Expected close date", "date"),
    ("visible_to", "Visible to", "visible_to"),
    ("was_seen", "Seen", "boolean"),
    ("channel", "Source channel", "enum"),
    ("channel_id", "Source channel ID", "varchar"),
    ("source_name", "Source", "varchar"),
    ("add_time", "Lead created", "date"),
    ("update_time", "Update time", "date"),
)


def _field(number: int, key: str, name: str, field_type: str, *, custom: bool) -> dict[str, Any]:
    return {
        "id": number,
        "key": key,
        "name": name,
        "order_nr": number,
        "field_type": field_type,
        "add_time": CREATED,
        "update_time": CREATED,
        "last_updated_by_user_id": 1001,
        "created_by_user_id": 1001,
        "active_flag": True,
        "edit_flag": custom,
        "index_visible_flag": True,
        "details_visible_flag": True,
        "add_visible_flag": not custom,
        "important_flag": False,
        "bulk_edit_allowed": True,
        "searchable_flag": False,
        "filtering_allowed": True,
        "sortable_flag": True,
        "options": None,
        "mandatory_flag": key == "title",
    }


def _options(labels: Mapping[int, str] | None) -> list[dict[str, Any]] | None:
    return [{"id": number, "label": label} for number, label in (labels or {}).items()] or None


_OF_DEALS: Final = (
    ("title", "Title", "varchar"),
    ("user_id", "Owner", "user"),
    ("value", "Value", "monetary"),
    ("currency", "Currency", "varchar"),
    ("status", "Status", "status"),
    ("stage_id", "Stage", "stage"),
    ("channel", "Source channel", "enum"),
    ("channel_id", "Source channel ID", "varchar"),
)


def lead_fields() -> list[dict[str, Any]]:
    """Return the field definitions as `GET /leadFields` lists them, standard ones first."""
    return _definitions(_STANDARD)


def deal_fields() -> list[dict[str, Any]]:
    """Return the definitions of `GET /dealFields`: a deal's own, then the same custom ones."""
    return _definitions(_OF_DEALS)


def _definitions(standard: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    rows = [_field(place, *names, custom=False) for place, names in enumerate(standard, 1)]
    for row in rows:
        if row["key"] == "channel":
            row["options"] = _options(CHANNELS)
    for place, field in enumerate(FIELDS, len(rows) + 1):
        row = _field(place, field.key, field.name, field.field_type, custom=True)
        rows.append({**row, "options": _options(field.options)})
    return rows
