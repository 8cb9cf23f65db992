"""A desired table that manages a field of every type by its name, and leads to try it on.

The lead of each case is given as the API stores it, its row in the warehouse's words, and what
it must come to as the API stores it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.sandbox.directory import LABELS
from tests.support.harness import Row, lead_id

LABEL = {str(label["name"]): str(label["id"]) for label in LABELS}
KEY = CUSTOM_FIELDS

COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "owner_email": "VARCHAR",
    "labels": "VARCHAR[]",
    "person_id": "BIGINT",
    "organization_id": "BIGINT",
    "value_amount": "DECIMAL(12, 2)",
    "value_currency": "VARCHAR",
    "expected_close_date": "DATE",
    "visible_to": "INTEGER",
    "was_seen": "BOOLEAN",
    "channel": "INTEGER",
    "channel_id": "VARCHAR",
    "lead_score": "DOUBLE",
    "tier": "VARCHAR",
    "products": "VARCHAR[]",
    "deal_cost": "DECIMAL(12, 2)",
    "deal_cost_currency": "VARCHAR",
    "account_manager": "VARCHAR",
    "partner": "BIGINT",
    "decision_maker": "BIGINT",
    "next_call": "DATE",
    "contract_period": "DATE",
    "contract_period_until": "DATE",
    "callback_window": "TIME",
    "callback_window_until": "TIME",
    "call_at": "TIME",
    "hq_address": "VARCHAR",
    "notes": "VARCHAR",
    "external_id": "VARCHAR",
    "mobile": "VARCHAR",
    "campaign": "VARCHAR",
}
BARE: Row = {
    "title": "Bare",
    "owner_id": 1001,
    "organization_id": 301,
    "visible_to": "3",
    "was_seen": False,
}
FULL: Row = {
    "title": "Full",
    "owner_id": 1004,
    "label_ids": [LABEL["Hot"], LABEL["Cold"]],
    "person_id": 1201,
    "organization_id": 302,
    "value": {"amount": 100.5, "currency": "EUR"},
    "expected_close_date": "2026-12-31",
    "visible_to": "5",
    "was_seen": True,
    "channel": 53,
    "channel_id": "Spring",
    KEY["Lead score"]: 7.5,
    KEY["Tier"]: "190",
    KEY["Products"]: "231,232",
    KEY["Deal cost"]: 1200.5,
    f"{KEY['Deal cost']}_currency": "EUR",
    KEY["Account manager"]: 1004,
    KEY["Partner"]: 311,
    KEY["Decision maker"]: 1211,
    KEY["Next call"]: "2026-11-30",
    KEY["Contract period"]: "2026-01-01",
    f"{KEY['Contract period']}_until": "2026-12-31",
    KEY["Callback window"]: "09:00:00",
    f"{KEY['Callback window']}_until": "17:30:00",
    KEY["Call at"]: "12:15:00",
    KEY["HQ address"]: "Mill Lane 1, Leeds, United Kingdom",
    KEY["Notes"]: "Asked for a quote.",
    KEY["External id"]: "CRM-1",
    KEY["Mobile"]: "+49 40 555 1",
    KEY["Campaign"]: "webinar",
}
FULL_ROW: Row = {
    "title": "Full",
    "owner_email": "Bruno.Keller@example.com",
    "labels": ["cold", "Hot"],
    "person_id": 1201,
    "organization_id": 302,
    "value_amount": Decimal("100.50"),
    "value_currency": "eur",
    "expected_close_date": date(2026, 12, 31),
    "visible_to": 5,
    "was_seen": True,
    "channel": 53,
    "channel_id": "Spring",
    "lead_score": 7.5,
    "tier": "gold",
    "products": ["Analytics", "Core"],
    "deal_cost": Decimal("1200.50"),
    "deal_cost_currency": "EUR",
    "account_manager": "bruno.keller@example.com",
    "partner": 311,
    "decision_maker": 1211,
    "next_call": date(2026, 11, 30),
    "contract_period": date(2026, 1, 1),
    "contract_period_until": date(2026, 12, 31),
    "callback_window": time(9),
    "callback_window_until": time(17, 30),
    "call_at": time(12, 15),
    "hq_address": "Mill Lane 1, Leeds, United Kingdom",
    "notes": "Asked for a quote.",
    "external_id": "CRM-1",
    "mobile": "+49 40 555 1",
    "campaign": "webinar",
}
OTHER: Row = {
    "title": "Other",
    "owner_id": 1010,
    "label_ids": [LABEL["Warm"]],
    "person_id": 1300,
    "organization_id": 303,
    "value": {"amount": 0, "currency": "USD"},
    "expected_close_date": "2027-02-28",
    "visible_to": "7",
    "was_seen": False,
    "channel": 55,
    "channel_id": "Autumn",
    KEY["Lead score"]: 0,
    KEY["Tier"]: "192",
    KEY["Products"]: "233",
    KEY["Deal cost"]: 0,
    f"{KEY['Deal cost']}_currency": "SEK",
    KEY["Account manager"]: 1017,
    KEY["Partner"]: 312,
    KEY["Decision maker"]: 1212,
    KEY["Next call"]: "2028-02-29",
    KEY["Contract period"]: "2027-01-01",
    f"{KEY['Contract period']}_until": "2027-12-31",
    KEY["Callback window"]: "00:00:00",
    f"{KEY['Callback window']}_until": "23:59:59",
    KEY["Call at"]: "00:00:00",
    KEY["HQ address"]: "Park Avenue 9, Denver, United States",
    KEY["Notes"]: "Called.\nNo answer – “later”",
    KEY["External id"]: "007",
    KEY["Mobile"]: "0",
    KEY["Campaign"]: "fair",
}
OTHER_ROW: Row = {
    "title": "Other",
    "owner_email": "chloe.martin@example.com",
    "labels": ["WARM"],
    "person_id": 1300,
    "organization_id": 303,
    "value_amount": Decimal("0.00"),
    "value_currency": "USD",
    "expected_close_date": date(2027, 2, 28),
    "visible_to": 7,
    "was_seen": False,
    "channel": 55,
    "channel_id": "Autumn",
    "lead_score": 0.0,
    "tier": "192",
    "products": ["Mobile app"],
    "deal_cost": Decimal("0.00"),
    "deal_cost_currency": "sek",
    "account_manager": "dimitri.vale@example.com",
    "partner": 312,
    "decision_maker": 1212,
    "next_call": date(2028, 2, 29),
    "contract_period": date(2027, 1, 1),
    "contract_period_until": date(2027, 12, 31),
    "callback_window": time(0),
    "callback_window_until": time(23, 59, 59),
    "call_at": time(0),
    "hq_address": "Park Avenue 9, Denver, United States",
    "notes": "Called.\nNo answer – “later”",
    "external_id": "007",
    "mobile": "0",
    "campaign": "fair",
}
TEXTS = ("channel_id", "hq_address", "notes", "external_id", "mobile", "campaign")
KEPT = {name: FULL[name] for name in ("title", "owner_id", "visible_to", "was_seen")}
"""What NULL leaves alone, as Pipedrive cannot clear it."""
CLEARED: Row = {
    **dict.fromkeys(FULL),
    **KEPT,
    "label_ids": [],
    "organization_id": FULL["organization_id"],
}
CLEARED_TEXTS: Row = {
    **FULL,
    "channel_id": None,
    **{KEY[name]: None for name in ("HQ address", "Notes", "External id", "Mobile", "Campaign")},
}


@dataclass(frozen=True)
class Case:
    """A lead, its row, and what becomes of it."""

    name: str
    lead: Row
    row: Row
    expected: Row

    @property
    def lead_id(self) -> str:
        return lead_id(self.name)

    @property
    def cells(self) -> Row:
        """The row as the desired table has it; a column that it does not give is NULL."""
        return {**self.row, "lead_id": self.lead_id}


SAME = Case("has it all already", FULL, FULL_ROW, FULL)
DIFFERENT = (
    Case("set", BARE, FULL_ROW, FULL),
    Case("change", FULL, OTHER_ROW, OTHER),
    Case("clear", FULL, {"organization_id": FULL["organization_id"]}, CLEARED),
    Case("empty texts", FULL, {**FULL_ROW, **dict.fromkeys(TEXTS, "")}, CLEARED_TEXTS),
)
CASES = (SAME, *DIFFERENT)


def put_leads(pipedrive: LocalPipedrive, cases: Iterable[Case] = CASES) -> None:
    """Add the leads of some cases."""
    for case in cases:
        pipedrive.set_lead(case.lead_id, **case.lead)


def what_is_wrong(pipedrive: LocalPipedrive, cases: Iterable[Case] = CASES) -> Mapping[str, Any]:
    """Return for each case the keys that are not as they should be, as (stored, expected)."""
    found = {}
    for case in cases:
        stored = pipedrive.lead(case.lead_id)
        pairs = {key: (stored.get(key), wanted) for key, wanted in case.expected.items()}
        wrong = {key: pair for key, pair in pairs.items() if _wire(pair[0]) != _wire(pair[1])}
        found.update({case.name: wrong} if wrong else {})
    return found


def _wire(value: Any) -> Any:
    """Tell 1 from True and "1", but not the order of labels, which has no meaning."""
    return sorted(value) if isinstance(value, list) else (type(value), value)
