"""Reading the leads that matter and are not in the list, by the cheapest means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import InDoubt, LeadNotFound, Refused, Unreached
from connector.pipedrive.record_api import RecordApi


@dataclass(frozen=True)
class Found:
    """What Pipedrive said of one lead that was asked for.

    Attributes:
        lead: The lead, archived or not; None where there is none or it cannot be read.
        trouble: Why it cannot be read; None where it was read or is known to be gone.
    """

    lead_id: str
    lead: dict[str, Any] | None = None
    trouble: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether Pipedrive said that there is none."""
        return self.lead is None and self.trouble is None


def look_up(
    client: Pipedrive, record_type: RecordApi, lead_ids: Iterable[str], workers: int
) -> Iterator[Found]:
    """Yields each lead as it is.

    The archived list is read for as long as its pages bring enough of the leads to be cheaper
    than asking for each; the rest is asked for one by one.

    Args:
        client: The account.
        record_type: Where the API has leads, and what calls cost.
        lead_ids: Ids of those to read, in lower case.
        workers: How many are asked for at once.
    """
    worth_a_page = record_type.tokens.archived_page // record_type.tokens.one
    missing = set(lead_ids)
    if len(missing) > worth_a_page:
        for page in client.archived_pages(record_type):
            found = {key: lead for lead in page if (key := str(lead.get("id")).lower()) in missing}
            missing -= found.keys()
            yield from (Found(key, lead) for key, lead in found.items())
            if min(len(found), len(missing)) < worth_a_page:
                break
    yield from one_by_one(client, record_type, sorted(missing), workers)


def look_among_archived(
    client: Pipedrive, record_type: RecordApi, lead_ids: Collection[str]
) -> Iterator[Found]:
    """Yields leads that a call for each has not shown, as the archived list does or as gone.

    No documentation tells whether that call shows archived leads. The list is read on only where
    it does not show one of the first page either.

    Args:
        client: The account.
        record_type: Where the API has leads, and what calls cost.
        lead_ids: Ids of those to look for, in lower case.
    """
    missing, are_hidden = set(lead_ids), False
    for page in client.archived_pages(record_type):
        shown = {str(lead.get("id")).lower(): lead for lead in page}
        found = missing & shown.keys()
        missing -= found
        yield from (Found(key, shown[key]) for key in sorted(found))
        are_hidden = are_hidden or bool(found) or _are_hidden(client, record_type, shown)
        if not missing or not are_hidden:
            break
    yield from map(Found, sorted(missing))


def _are_hidden(client: Pipedrive, record_type: RecordApi, archived: Iterable[str]) -> bool:
    return any(_look_up(client, record_type, one).lead is None for one in islice(archived, 1))


def one_by_one(
    client: Pipedrive, record_type: RecordApi, lead_ids: list[str], workers: int
) -> Iterator[Found]:
    """Yields each lead as it is, with a call for each.

    Args:
        client: The account.
        record_type: Where the API has leads, and what calls cost.
        lead_ids: Ids of those to read.
        workers: How many are asked for at once.
    """
    look = partial(_look_up, client, record_type)
    waiting = iter(lead_ids)
    with ThreadPoolExecutor(workers, thread_name_prefix=record_type.name) as pool:
        while batch := list(islice(waiting, 100)):
            yield from pool.map(look, batch)


def _look_up(client: Pipedrive, record_type: RecordApi, lead_id: str) -> Found:
    try:
        return Found(lead_id, client.get(record_type, lead_id))
    except LeadNotFound:
        return Found(lead_id)
    except (Refused, InDoubt, Unreached) as error:
        return Found(lead_id, trouble=str(error))
