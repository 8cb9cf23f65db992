"""How much of the list of leads a run reads: all of it, or what was updated since the last one.

Which changes touch a lead's `update_time` is not documented. So all of it is read again after a
while, and at once where something else says that leads may show other values than before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from connector.planning.desired import moment_of
from connector.records.fields import Field, is_custom_key
from connector.records.leads import LEADS
from connector.sync.session import Session
from connector.warehouse.listing import least_listed
from connector.warehouse.record import package_version
from connector.warehouse.schema import TableRow

FEW_LEADS = 10 * LEADS.page_limit
"""So many are read within a second, for 200 tokens: nothing is worth not knowing them."""
OVERLAP = timedelta(minutes=1)
"""What Pipedrive may take to show an update in its list."""
WITH_OPTIONS = ("enum", "set")
"""Types whose options come with the definition, also where there is none."""
PUNCTUAL = 0.95
"""Of `full_refresh_every`: a run that cron starts at the same time each day comes seconds early."""


@dataclass(frozen=True)
class Increment:
    """What was updated since an earlier run read the list.

    Attributes:
        since: From when on, by Pipedrive's clock.
        whole_as_of: When the last reading of all leads began, by this machine's clock.
    """

    since: datetime
    whole_as_of: datetime

    @property
    def spelled(self) -> str:
        """When it begins, as the list takes it."""
        return f"{self.since:%Y-%m-%dT%H:%M:%SZ}"


def increment_of(
    session: Session, last: TableRow | None, read_under: str | None
) -> Increment | None:
    """Returns what is enough to read; None where all leads are to be read.

    Args:
        session: The run.
        last: The last run that was to read the whole list.
        read_under: What `read_under_of` has made of the account; None to leave it out.
    """
    settings, scope = session.settings, session.scope
    if scope.full_refresh or scope.lead or not settings.full_refresh_every:
        return None
    if last is None or least_listed(session.warehouse) <= FEW_LEADS:
        return None
    whole, until = moment_of(last["whole_as_of"]), moment_of(last["updated_until"])
    if whole is None or until is None or not is_under(read_under, last["read_under"]):
        return None
    age = session.started_at - whole
    is_young = timedelta() <= age < timedelta(hours=settings.full_refresh_every) * PUNCTUAL
    return Increment(until, whole) if is_young else None


def read_under_of(fields: Mapping[str, Field], user: object) -> str:
    """Returns what changes when leads may show other values though nobody updated them.

    Args:
        fields: The account's fields, with their options.
        user: The token's user, who may not see all leads.

    Returns:
        A JSON object. It has an entry for each thing that was asked for, so that tables that ask
        for different fields can follow each other.
    """
    told: dict[str, str] = {"": _short(package_version(), str(user))}
    for one in dict.fromkeys(fields.values()):
        key, names = _short(one.key), dict(one.options.names)
        if is_custom_key(one.key):
            told[key] = _short(one.name, one.type)
        if names or one.type in WITH_OPTIONS:
            told[f"{key}?"] = _short(one.options.noun, names)
    return orjson.dumps(told).decode()


def is_under(now: str | None, before: str | None) -> bool:
    """Tells whether nothing has changed of what is read under now; None leaves it out."""
    return now is None or _entries(now).items() <= _entries(before).items()


def read_under_with(now: str, before: str | None) -> str:
    """Returns what is read under now, with what was asked for earlier and is not now."""
    return orjson.dumps({**_entries(before), **_entries(now)}).decode()


def _entries(read_under: str | None) -> dict[str, str]:
    """Returns the entries of one; none of what an earlier version has written."""
    try:
        entries = orjson.loads(read_under or "{}")
    except orjson.JSONDecodeError:
        return {}
    return entries if isinstance(entries, dict) else {}


def _short(*parts: object) -> str:
    document = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(document).hexdigest()[:8]


def known_until(
    shown: datetime | None, began: datetime, lasted: timedelta, before: datetime | None
) -> datetime | None:
    """Returns up to when all updates are known, by Pipedrive's clock.

    A lead that was updated behind a reading's back was so while it went on. A time to come is
    no time that all updates before it are known.

    Args:
        shown: The largest `update_time` that the list showed.
        began: When the reading began, by this machine's clock, as the next.
        lasted: How long it took, by no clock that somebody may set.
        before: Up to when they were known before it.
    """
    if shown is None:
        return before
    try:
        until = min(shown, began) - lasted - OVERLAP
    except OverflowError:  # the year 1 is no time that anything was updated
        return before
    return until if before is None else max(until, before)
