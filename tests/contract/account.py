"""An account to hold the contract against: the local Pipedrive, or a real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from connector.catalogue import label_options, user_options
from connector.fields import Field, custom_fields, is_custom_key, standard_fields
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import Refused
from connector.pipedrive.usage import Usage
from connector.sandbox import LocalPipedrive

Lead = dict[str, Any]
Body = dict[str, Any]

OF_THE_SERVER = frozenset({"update_time", "next_activity_id"})
"""Keys that move by themselves."""


@dataclass(frozen=True)
class Account:
    """One account, one lead in it to try things on, and what the account defines.

    Attributes:
        labels: Ids of its lead labels.
        user_id: The user whom the token belongs to.
        pipedrive: The hand on the local Pipedrive; None for a real account.
    """

    name: str
    base_url: str
    api_token: str
    lead_id: str
    client: Pipedrive
    fields: Mapping[str, Field]
    labels: Sequence[str]
    user_id: int
    pipedrive: LocalPipedrive | None = None

    def read(self) -> Lead:
        """Return the lead as GET shows it."""
        return self.client.lead(self.lead_id)

    def send(self, body: Body) -> Lead:
        """Send one PATCH and return the lead as its answer shows it."""
        return self.client.patch_lead(self.lead_id, body, Usage(self.client.usage))

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
        answer = requests.get(
            f"{self.base_url}/api/v1/leads",
            params=params,
            headers={"x-api-token": self.api_token},
            timeout=30,
            allow_redirects=False,
        )
        answer.raise_for_status()
        page: Mapping[str, Any] = answer.json()
        return page

    def custom(self, field_type: str) -> list[Field]:
        """Return the first custom field of a type, with its second key; none is an empty list."""
        custom = (one for one in self.fields.values() if is_custom_key(one.key))
        alike = [one for one in custom if one.type == field_type]
        return [one for one in alike if one.key.startswith(alike[0].key)]


def account_of(
    name: str,
    base_url: str,
    api_token: str,
    lead_id: str,
    pipedrive: LocalPipedrive | None = None,
) -> Account:
    """Return an account with its own labels, users and fields, read by the connector's client."""
    client = Pipedrive(base_url, api_token)
    labels = label_options(client)
    users = user_options(client)
    fields = [*standard_fields(labels, users), *custom_fields(client.lead_fields(), users)]
    return Account(
        name,
        base_url,
        api_token,
        lead_id,
        client,
        {field.key: field for field in fields},
        list(labels.names),
        int(client.me()["id"]),
        pipedrive,
    )


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


def restore(account: Account, before: Lead) -> None:
    """Bring the account's lead back to what it was."""
    now = account.read()
    if now["is_archived"] and not before["is_archived"]:
        now = account.patch({"is_archived": False})
    body = _difference(account, before, now)
    if body:
        account.patch(body)
    assert _difference(account, before, account.read()) == {}


def _difference(account: Account, before: Lead, now: Lead) -> Body:
    body: Body = {}
    for field in account.fields.values():
        was = field.read(before)
        if field.read(now) != was and (field.clearable or was is not None):
            body[field.key] = field.write(was)
    return body
