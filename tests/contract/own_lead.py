"""A lead of the suite's own: made for it, known again after a kill, deleted at the end.

A killed suite deletes nothing, so each lead carries a mark in its title, and in `origin_id`,
which no PATCH changes, the process that made it. The next suite deletes what it finds so marked,
made by the same user, of a process that is gone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.pipedrive.paging import next_start
from tests.contract.calls import PASSING, PAUSES, Calls, Unreachable

MARK = "lead-sync contract test"
LOOKS_BACK = timedelta(days=30)
"""How old a lead that was left behind may be to be found; lists are read newest first."""
LONGEST_SUITE = timedelta(hours=1)
"""After so long a lead of another machine's suite counts as left behind."""
PAGE = 500
TRIES = 3
Lead = Mapping[str, Any]


class LeadTrouble(Exception):
    """The suite's own lead cannot be made, or not be deleted."""


@dataclass(frozen=True)
class Contact:
    """Whom the lead is linked to, which it must be (documented).

    Attributes:
        of: Where the ids are from, for people.
    """

    person_id: int | None
    organization_id: int | None
    of: str

    @property
    def body(self) -> dict[str, int]:
        links = {"person_id": self.person_id, "organization_id": self.organization_id}
        return {key: link for key, link in links.items() if link is not None}


def contact_of(calls: Calls, person_id: int | None, organization_id: int | None) -> Contact:
    """Return the contact that is given, or else that of a lead which the account has.

    Nothing is made for it: persons and organizations are the customer's.

    Raises:
        LeadTrouble: None is given and no lead has one.
    """
    if person_id or organization_id:
        return Contact(person_id, organization_id, "the environment")
    rows = calls.patiently("GET", "leads", limit=PAGE).data or []
    linked = [
        Contact(row["person_id"], row["organization_id"], f"lead {row['id']}") for row in rows
    ]
    linked.sort(key=lambda contact: len(contact.body), reverse=True)
    if not linked or not linked[0].body:
        raise LeadTrouble(
            "the account has no lead whose person or organization a test lead could be linked to; "
            "set LEAD_SYNC_LIVE_PERSON or LEAD_SYNC_LIVE_ORGANIZATION to the id of one"
        )
    return linked[0]


def make(calls: Calls, contact: Contact, user_id: int) -> str:
    """Make a lead and return its id.

    An answer that is lost may hide a lead that was made, so it is looked for before another try.

    Raises:
        LeadTrouble: It cannot be made.
    """
    body = {"title": f"{MARK}, may be deleted", "origin_id": mark_of_this(), **contact.body}
    said = ""
    for _ in range(TRIES):
        try:
            reply = calls("POST", "leads", body)
        except Unreachable as error:
            said = str(error)
        else:
            if reply.status in {200, 201} and reply.data:
                return str(reply.data["id"])
            said = reply.words
            if reply.status not in PASSING:
                break
        made = [lead for lead in marked(calls, user_id) if lead["origin_id"] == mark_of_this()]
        if made:
            return str(made[0]["id"])
    raise LeadTrouble(f"no test lead could be made: {said}")


def delete(calls: Calls, lead_id: str, *, pauses: Sequence[float] = PAUSES) -> None:
    """Delete a lead; one that is gone already is well.

    Raises:
        LeadTrouble: It may still be there.
    """
    by_hand = f"the test lead {lead_id} may still be there, delete it by hand"
    try:
        reply = calls.patiently("DELETE", f"leads/{lead_id}", pauses=pauses)
    except Unreachable as error:
        raise LeadTrouble(f"{by_hand} ({error})") from None
    if reply.status not in {200, 204, 404}:
        raise LeadTrouble(f"{by_hand} ({reply.words})")


def delete_left_behind(calls: Calls, user_id: int) -> list[str]:
    """Delete the leads of suites that were killed and return their ids."""
    found = [str(lead["id"]) for lead in marked(calls, user_id) if is_left_behind(lead)]
    for lead_id in found:
        delete(calls, lead_id)
    return found


def marked(calls: Calls, user_id: int) -> Iterator[Lead]:
    """Yield the leads that carry the mark and were made by the token's user."""
    for path in ("leads", "leads/archived"):
        for lead in _newest(calls, path):
            texts = (str(lead.get("origin_id")), str(lead.get("title")))
            if lead.get("creator_id") == user_id and any(one.startswith(MARK) for one in texts):
                yield lead


def _newest(calls: Calls, path: str) -> Iterator[Lead]:
    start: int | None = 0
    while start is not None:
        reply = calls.patiently("GET", path, sort="add_time DESC", start=start, limit=PAGE)
        rows = reply.data if isinstance(reply.data, list) else []
        young = [row for row in rows if _age(row) < LOOKS_BACK]
        yield from young
        older = len(young) < len(rows)
        start = None if older else next_start(dict(reply.document), start, len(rows), PAGE)


def mark_of_this() -> str:
    """Return the mark of leads that this process makes."""
    return f"{MARK}/{_host()}/{os.getpid()}"


def is_left_behind(lead: Lead) -> bool:
    """Tell whether the suite that made a lead is over: its process is gone, or it is long ago."""
    if _age(lead) > LONGEST_SUITE:
        return True
    _, _, place = str(lead.get("origin_id")).partition(f"{MARK}/")
    host, _, pid = place.rpartition("/")
    return host == _host() and pid.isdigit() and not _is_alive(int(pid))


def _age(lead: Lead) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(lead["add_time"]).astimezone(UTC)


def _host() -> str:
    return socket.gethostname()[:60]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
