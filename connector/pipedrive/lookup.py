"""Reading the leads that matter and are not in the list, by the cheapest means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from connector.pipedrive.client import COST_ARCHIVED, COST_LEAD, Pipedrive
from connector.pipedrive.errors import InDoubt, LeadNotFound, Refused

WORTH_A_PAGE = COST_ARCHIVED // COST_LEAD
"""A page of the archived list costs as much as so many leads read one by one."""


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


def look_up(client: Pipedrive, lead_ids: Iterable[str], workers: int) -> Iterator[Found]:
    """Yields each lead as it is.

    The archived list is read for as long as its pages bring enough of the leads to be cheaper
    than asking for each; the rest is asked for one by one.
    """
    missing = set(lead_ids)
    if len(missing) > WORTH_A_PAGE:
        for page in client.archived_leads():
            found = {key: lead for lead in page if (key := str(lead.get("id")).lower()) in missing}
            missing -= found.keys()
            yield from (Found(key, lead) for key, lead in found.items())
            if min(len(found), len(missing)) < WORTH_A_PAGE:
                break
    yield from one_by_one(client, sorted(missing), workers)


def one_by_one(client: Pipedrive, lead_ids: list[str], workers: int) -> Iterator[Found]:
    """Yields each lead as it is, with a call for each."""
    waiting = iter(lead_ids)
    with ThreadPoolExecutor(workers, thread_name_prefix="lead") as pool:
        while batch := list(islice(waiting, 100)):
            yield from pool.map(lambda lead_id: _look_up(client, lead_id), batch)


def _look_up(client: Pipedrive, lead_id: str) -> Found:
    try:
        return Found(lead_id, client.lead(lead_id))
    except LeadNotFound:
        return Found(lead_id)
    except (Refused, InDoubt) as error:
        return Found(lead_id, trouble=str(error))
