"""The leads themselves: kept by id, oldest first, each replaced whole when it changes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping

from connector.sandbox import clock, custom, directory
from connector.sandbox.custom import Lead


class LeadStore:
    """Leads by id in the order of their creation; a stored lead is never altered in place."""

    def __init__(self, leads: Iterable[Lead] = ()) -> None:
        self._leads: dict[str, Lead] = {lead["id"]: lead for lead in leads}
        self._listed: dict[bool, list[Lead]] = {}

    def __iter__(self) -> Iterator[Lead]:
        return iter(self._leads.values())

    def get(self, lead_id: str) -> Lead | None:
        """Return the lead, archived or not, or None."""
        return self._leads.get(lead_id)

    def listed(self, *, archived: bool) -> list[Lead]:
        """Return the leads of one of the two lists, kept until a lead changes: nobody alters it."""
        if archived not in self._listed:
            self._listed[archived] = [lead for lead in self if lead["is_archived"] is archived]
        return self._listed[archived]

    def put(self, lead: Lead) -> None:
        """Keep a lead in the place of the one with its id."""
        self._leads[lead["id"]] = lead
        self._listed.clear()

    def add(self, lead: Lead) -> None:
        """Keep a new lead in its place by age."""
        self.put(lead)
        self._sort()

    def delete(self, lead_id: str) -> bool:
        """Forget a lead; say whether there was one."""
        self._listed.clear()
        return self._leads.pop(lead_id, None) is not None

    def edit(self, lead_id: str, fields: Mapping[str, object]) -> Lead:
        """Set fields as they are, without validation, as a colleague's edit; create if missing.

        `update_time` moves unless it is among the fields; a custom field set to None is unset.
        """
        lead = {**(self._leads.get(lead_id) or blank(lead_id)), **fields, "id": lead_id}
        for key in custom.WIRE_KEYS.keys() & fields.keys():
            if fields[key] is None:
                del lead[key]
        if "update_time" not in fields:
            lead["update_time"] = clock.later_than(lead["update_time"])
        ordered = lead_id in self._leads and "add_time" not in fields
        self.put(lead)
        if not ordered:
            self._sort()
        return lead

    def _sort(self) -> None:
        self._leads = dict(sorted(self._leads.items(), key=lambda item: str(item[1]["add_time"])))
        self._listed.clear()


def blank(lead_id: str) -> Lead:
    """Return a new lead with every key that the API shows and nothing set."""
    now = clock.later_than("")
    mailbox = uuid.uuid5(uuid.NAMESPACE_URL, lead_id).hex[:22]
    return {
        "id": lead_id,
        "title": "Untitled lead",
        "owner_id": 1001,
        "creator_id": 1001,
        "label_ids": [],
        "person_id": None,
        "organization_id": 301,
        "source_name": "API",
        "origin": "API",
        "origin_id": None,
        "channel": None,
        "channel_id": None,
        "is_archived": False,
        "was_seen": False,
        "value": None,
        "expected_close_date": None,
        "next_activity_id": None,
        "add_time": now,
        "update_time": now,
        "visible_to": "3",
        "cc_email": f"{directory.COMPANY_DOMAIN}+lead{mailbox}@example.com",
    }
