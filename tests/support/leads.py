"""Leads that the cases of this folder start from, and what a case is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.sandbox.directory import LABELS
from tests.support.harness import Row, lead_id

HOT, WARM, COLD = sorted(label["id"] for label in LABELS)[:3]
SCORE, NOTES, EXTERNAL_ID, MOBILE, CAMPAIGN = (
    CUSTOM_FIELDS[name] for name in ("Lead score", "Notes", "External id", "Mobile", "Campaign")
)

BARE_LEAD: Row = {"title": "Bare", "owner_id": 1001, "organization_id": 301, "visible_to": "3"}
FULL_LEAD: Row = {
    "title": "Full",
    "owner_id": 1001,
    "label_ids": [HOT, COLD],
    "person_id": 1201,
    "organization_id": 301,
    "value": {"amount": 100, "currency": "EUR"},
    "expected_close_date": "2026-12-31",
    "visible_to": "3",
    "was_seen": True,
    "channel": 53,
    "channel_id": "Spring",
    SCORE: 7.5,
    NOTES: "Asked for a quote.",
    EXTERNAL_ID: "CRM-1",
    MOBILE: "+49 40 555 1",
    CAMPAIGN: "webinar",
}


@dataclass(frozen=True)
class Case:
    """A lead, the cells that want something of it, and the bodies that are to be sent."""

    name: str
    lead: Row
    cells: Mapping[str, Any]
    expected: tuple[Any, ...] = ()

    @property
    def lead_id(self) -> str:
        return lead_id(self.name)


def put_leads(pipedrive: LocalPipedrive, cases: Iterable[Case]) -> None:
    """Give Pipedrive the leads of some cases, and no other."""
    pipedrive.reset(leads=0)
    for case in cases:
        pipedrive.set_lead(case.lead_id, **case.lead)
