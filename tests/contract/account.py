"""An account to hold the contract against: the local Pipedrive, or a real one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import RateLimited, Refused
from connector.pipedrive.usage import Usage
from connector.records.definitions import custom_fields
from connector.records.fields import Field, by_key, is_custom_key
from connector.records.leads import LEADS, standard_fields
from connector.sandbox import LocalPipedrive
from connector.sync.reading import label_options, user_options
from tests.contract.calls import WINDOW_SECONDS, WINDOWS, Calls

Lead = dict[str, Any]
Body = dict[str, Any]
Shown = dict[str, dict[str, object]]

OF_THE_SERVER = frozenset({"update_time", "next_activity_id"})
"""Keys that move by themselves."""


@dataclass(frozen=True)
class Account:
    """One account, one lead in it to try things on, and what the account defines.

    Attributes:
        calls: Plain calls to it.
        fields: Wire key → its field; a field of two keys is under both.
        channels: Ids of its source channels.
        labels: Ids of its lead labels.
        user_id: The user whom the token belongs to.
        own: Whether the lead is the suite's own, so that anything may be tried on it.
        pipedrive: The hand on the local Pipedrive; None for a real account.
    """

    name: str
    lead_id: str
    client: Pipedrive
    calls: Calls
    fields: Mapping[str, Field]
    channels: Sequence[int]
    labels: Sequence[str]
    user_id: int
    own: bool = False
    pipedrive: LocalPipedrive | None = None

    def read(self) -> Lead:
        """Return the lead as GET shows it."""
        return self.client.get(LEADS, self.lead_id)

    def send(self, body: Body) -> Lead:
        """Send one PATCH and return the lead as its answer shows it; wait where it is told to."""
        for _ in range(WINDOWS):
            try:
                return self.client.patch(LEADS, self.lead_id, body, Usage(self.client.usage))
            except RateLimited:
                time.sleep(WINDOW_SECONDS)
        return self.client.patch(LEADS, self.lead_id, body, Usage(self.client.usage))

    def patch(self, body: Body) -> Lead:
        """Send one PATCH as the job does: option ids as text where numbers are refused."""
        enums = {key for key, field in self.fields.items() if field.type == "enum"}
        as_text = {key: str(body[key]) for key in enums & body.keys() if body[key] is not None}
        try:
            return self.send(body)
        except Refused:
            if not as_text:
                raise
            return self.send({**body, **as_text})

    def page(self, **params: int) -> Mapping[str, Any]:
        """Return one page of leads just as it came."""
        reply = self.calls("GET", "leads", **params)
        assert reply.status == 200, reply.words
        return reply.document

    def custom(self, field_type: str) -> Field | None:
        """Return the first custom field of a type."""
        custom = (one for one in self.fields.values() if is_custom_key(one.key))
        return next((one for one in custom if one.type == field_type), None)


def account_of(name: str, base_url: str, api_token: str, lead_id: str = "") -> Account:
    """Return an account with its own labels, users and fields, read by the connector's client."""
    client = Pipedrive(base_url, ApiToken(api_token))
    calls = Calls(base_url, ApiToken(api_token))
    labels = label_options(client)
    users = user_options(client)
    definitions = client.definitions(LEADS)
    fields = [*standard_fields(labels, users), *custom_fields(definitions, users)]
    return Account(
        name,
        lead_id,
        client,
        calls,
        by_key(fields),
        _channels(calls),
        list(labels.names),
        int(client.me()["id"]),
    )


def _channels(calls: Calls) -> list[int]:
    """Return the ids of the account's channels, which are options of a deal field (documented)."""
    rows = calls.patiently("GET", "dealFields", limit=500).data or []
    found = (row.get("options") for row in rows if row.get("key") == "channel")
    return [int(option["id"]) for options in found for option in options or []]


def set_keys(lead: Lead, *, beside: Body | None = None) -> Lead:
    """Return what is set in a lead, null and absent being one, without the server's own keys.

    Args:
        lead: A lead as read.
        beside: Leaves out the keys of this body, and what Pipedrive derives from them.
    """
    derived = tuple(f"{key}_" for key in beside or () if is_custom_key(key))
    passed_over = OF_THE_SERVER | (beside or {}).keys()
    return {
        key: value
        for key, value in lead.items()
        if value is not None and key not in passed_over and not key.startswith(derived)
    }
