"""Seeded leads: a sales team's pipeline, the same for the same count and seed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from connector.sandbox import clock, directory
from connector.sandbox.custom import Lead, derived_address
from connector.sandbox.directory import (
    CURRENCIES,
    FIELDS,
    ORGANIZATION_IDS,
    PERSON_IDS,
    CustomField,
)

BASE: Final = datetime(2026, 6, 30, 12, tzinfo=UTC)
_YEAR: Final = timedelta(days=365)
_ARCHIVED_SHARE: Final = 0.03

_FIRST: Final = (
    *("Northwind", "Bluefield", "Harbour", "Alpenrose", "Silverline", "Oakbridge", "Meridian"),
    *("Tidewater", "Brightwell", "Kestrel", "Fjord", "Granite", "Lakeside", "Summit", "Polaris"),
)
_SECOND: Final = (
    *("Logistics", "Foods", "Energy", "Textiles", "Robotics", "Pharma", "Media", "Insurance"),
    *("Builders", "Retail", "Software", "Shipping", "Clinics", "Motors", "Paper"),
)
_TOPICS: Final = (
    *("fleet renewal", "pilot for two sites", "annual licence", "support contract"),
    *("warehouse roll-out", "upgrade to Plus", "consulting days", "new branch office"),
    *("replacement of the old system", "training for the field team"),
)
_SOURCES: Final = ("API", "Manually created", "Web forms", "Import", "Marketplace")
_STREETS: Final = ("Harbour Street", "Mill Lane", "Station Road", "Market Square", "Park Avenue")
_CITIES: Final = (
    ("Hamburg", "Germany"),
    ("Leeds", "United Kingdom"),
    ("Uppsala", "Sweden"),
    ("Lyon", "France"),
    ("Denver", "United States"),
)
_NOTES: Final = (
    "Asked for a quote before the end of the quarter.",
    "Budget is approved, waiting for the legal review.",
    "Prefers e-mail; calls only in the morning.",
    "Compares us with two other suppliers.",
)

Maker = Callable[[random.Random, CustomField], object]


def seeded_leads(count: int, seed: int) -> list[Lead]:
    """Return `count` leads, oldest first, their `add_time` rising over the year before BASE."""
    rng = random.Random(seed)
    return [_lead(rng, BASE - _YEAR + _YEAR * place / (count + 1)) for place in range(1, count + 1)]


def _lead(rng: random.Random, created: datetime) -> Lead:
    company = f"{rng.choice(_FIRST)} {rng.choice(_SECOND)}"
    lead = {
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "title": f"{company} – {rng.choice(_TOPICS)}",
        **_people(rng),
        **_origin(rng),
        "is_archived": rng.random() < _ARCHIVED_SHARE,
        "was_seen": rng.random() < 0.4,
        **_prospect(rng, created),
        "next_activity_id": rng.randint(1, 9_000) if rng.random() < 0.5 else None,
        "add_time": clock.stamp(created),
        "update_time": clock.stamp(created + (BASE - created) * rng.random() ** 2),
        "visible_to": rng.choices(directory.VISIBILITIES, (1, 8, 1, 4))[0],
        "cc_email": f"{directory.COMPANY_DOMAIN}+lead{rng.getrandbits(88):022x}@example.com",
    }
    for field in FIELDS:
        if rng.random() < 0.6:
            lead.update(_custom(rng, field))
    return lead


def _any(rng: random.Random, ids: range) -> int:
    return rng.randint(ids[0], ids[-1])


def _people(rng: random.Random) -> Lead:
    linked = rng.choices(("both", "person", "organization"), (6, 2, 2))[0]
    users = [int(user["id"]) for user in directory.USERS]
    labels = [str(label["id"]) for label in directory.LABELS]
    return {
        "owner_id": rng.choices(users, (5, 5, 5, 5, 5, 1))[0],
        "creator_id": rng.choice(users),
        "label_ids": rng.sample(labels, rng.choices((0, 1, 2), (3, 5, 2))[0]),
        "person_id": None if linked == "organization" else _any(rng, PERSON_IDS),
        "organization_id": None if linked == "person" else _any(rng, ORGANIZATION_IDS),
    }


def _origin(rng: random.Random) -> Lead:
    source = rng.choice(_SOURCES)
    channel = rng.choice(list(directory.CHANNELS)) if rng.random() < 0.6 else None
    campaign = f"{rng.choice(('Spring', 'Autumn'))} campaign {rng.randint(1, 9)}"
    return {
        "source_name": source,
        "origin": source.replace(" ", ""),
        "origin_id": None,
        "channel": channel,
        "channel_id": campaign if channel and rng.random() < 0.7 else None,
    }


def _prospect(rng: random.Random, created: datetime) -> Lead:
    close = (created + timedelta(days=rng.randint(20, 240))).date()
    return {
        "value": {"amount": _amount(rng), "currency": rng.choice(CURRENCIES)}
        if rng.random() < 0.8
        else None,
        "expected_close_date": close.isoformat() if rng.random() < 0.7 else None,
    }


def _amount(rng: random.Random) -> int | float:
    if rng.random() < 0.7:
        return rng.randint(5, 900) * 100
    return round(rng.uniform(250, 60_000), 2)


def _custom(rng: random.Random, field: CustomField) -> Lead:
    make = _NAMED.get(field.name) or _MAKERS[field.field_type]
    values: Lead = {field.key: make(rng, field)}
    match field.field_type:
        case "monetary":
            values[f"{field.key}_currency"] = rng.choice(CURRENCIES)
        case "daterange":
            first = date.fromisoformat(values[field.key])
            values[f"{field.key}_until"] = (first + timedelta(days=365)).isoformat()
        case "timerange":
            values[f"{field.key}_until"] = f"{rng.randint(14, 18):02}:30:00"
        case "address":
            values.update(derived_address(field.key, values[field.key]))
    return values


def _day(rng: random.Random, _: CustomField) -> str:
    return (BASE.date() + timedelta(days=rng.randint(1, 200))).isoformat()


def _address(rng: random.Random, _: CustomField) -> str:
    city, country = rng.choice(_CITIES)
    return f"{rng.choice(_STREETS)} {rng.randint(1, 120)}, {city}, {country}"


def _choices(rng: random.Random, field: CustomField) -> str:
    picked = sorted(rng.sample(list(field.options), rng.randint(1, 3)))
    return ",".join(str(option) for option in picked)


_MAKERS: Final[Mapping[str, Maker]] = {
    "varchar": lambda rng, _: f"CRM-{rng.randint(10_000, 99_999)}",
    "varchar_auto": lambda rng, _: rng.choice(("spring-mailing", "trade-fair", "webinar")),
    "phone": lambda rng, _: f"+49 40 555 {rng.randint(1000, 9999)}",
    "text": lambda rng, _: rng.choice(_NOTES),
    "address": _address,
    "double": lambda rng, _: rng.choice((rng.randint(1, 100), round(rng.uniform(0, 100), 1))),
    "monetary": lambda rng, _: _amount(rng),
    "enum": lambda rng, field: str(rng.choice(list(field.options))),
    "set": _choices,
    "user": lambda rng, _: rng.choice(sorted(directory.USER_IDS)),
    "org": lambda rng, _: _any(rng, ORGANIZATION_IDS),
    "people": lambda rng, _: _any(rng, PERSON_IDS),
    "date": _day,
    "daterange": _day,
    "time": lambda rng, _: f"{rng.randint(8, 17):02}:{rng.choice((0, 15, 30, 45)):02}:00",
    "timerange": lambda rng, _: f"{rng.randint(8, 12):02}:00:00",
}
_NAMED: Final[Mapping[str, Maker]] = {
    "Win probability": lambda rng, _: round(rng.random(), 2),
    "Seats wanted": lambda rng, _: rng.choice((5, 10, 25, 50, 120)),
    "Segment": lambda rng, _: rng.choice(("Small business", "Mid-market", "Enterprise")),
}
