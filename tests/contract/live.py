"""A real account to hold the contract against, and a lead in it that is left as it was.

Without LEAD_SYNC_LIVE_LEAD the suite makes a lead of its own and deletes it at the end. With it,
the lead is saved to a file before the first PATCH, brought back after each test, and the file is
removed when it is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from connector.pipedrive.client import LOOPBACK
from connector.pipedrive.errors import PipedriveError
from connector.records.definitions import FIELD_TYPES
from connector.sandbox.server import terminable
from tests.contract import own_lead, snapshot
from tests.contract.account import Account, Lead, account_of
from tests.contract.calls import Unreachable

WARNING = (
    "this writes to {url}: webhooks and automations of the account fire for each change, "
    "and it costs about 2,000 tokens of the day"
)
Say = Callable[[str], None]


class NotStarted(Exception):
    """The suite cannot begin; nothing was sent."""


@dataclass
class Live:
    """The account of a session, and its lead as it was before the first test."""

    account: Account
    before: Lead
    contact: own_lead.Contact | None = None

    def put_back(self) -> None:
        """Bring the lead back; a lead of the suite's own that stays away is replaced.

        Raises:
            NotRestored: A given lead is not as it was.
        """
        try:
            snapshot.restore(self.account, self.before)
        except snapshot.NotRestored:
            if self.contact is None:
                raise
            calls = self.account.calls
            own_lead.delete(calls, self.account.lead_id)
            made = own_lead.make(calls, self.contact, self.account.user_id)
            self.account = replace(self.account, lead_id=made)
            self.before = self.account.read()


@dataclass(frozen=True)
class LiveSettings:
    """What `make test-live` is told; the token is in no traceback, which shows arguments.

    Attributes:
        lead_id: A given lead; empty for one of the suite's own.
        person: The id of a person to link the suite's own lead to.
        organization: The same of an organization.
        snapshots: Where a given lead is saved.
    """

    url: str
    token: str = field(repr=False)
    lead_id: str
    person: str
    organization: str
    snapshots: Path


def settings_of(environ: Mapping[str, str]) -> LiveSettings:
    """Return the settings in an environment, LEAD_SYNC_LIVE_URL and so on."""
    url, token, lead_id, person, organization, folder = (
        environ.get(f"LEAD_SYNC_LIVE_{name}", "").strip()
        for name in ("URL", "TOKEN", "LEAD", "PERSON", "ORGANIZATION", "SNAPSHOTS")
    )
    snapshots = Path(folder) if folder else snapshot.FOLDER
    return LiveSettings(url, token, lead_id, person, organization, snapshots)


def _id_in(name: str, text: str) -> int | None:
    if text and not text.isdigit():
        raise NotStarted(f"LEAD_SYNC_LIVE_{name} must be an id, not {text!r}")
    return int(text) if text else None


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address that a token may be sent to.

    Raises:
        ValueError: It is not https, or has more in it; its text is not repeated.
    """
    parts = urlsplit(url.strip())
    if parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("LEAD_SYNC_LIVE_URL is scheme and host alone; leave out the rest")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("LEAD_SYNC_LIVE_URL must begin with https://")
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def live_session(settings: LiveSettings, say: Say) -> Iterator[Live]:
    """Yield the account that the environment names; leave its lead as it was, or none.

    Args:
        settings: The account, and the lead if one is given.
        say: Tells a line to whoever started the suite.

    Raises:
        NotStarted: Something is missing, or an earlier suite left a lead changed.
        NotRestored: A given lead is not as it was; its snapshot is kept.
        LeadTrouble: The suite's own lead may still be there.
    """
    if not settings.url or not settings.token:
        raise NotStarted("set LEAD_SYNC_LIVE_URL and LEAD_SYNC_LIVE_TOKEN")
    try:
        origin = origin_of(settings.url)
        account = account_of("live", origin, settings.token)
    except Exception as error:
        raise NotStarted(str(error)) from None
    say(WARNING.format(url=origin))
    _tell_what_is_missing(account, say)
    session = _given(account, settings) if settings.lead_id else _own(account, settings, say)
    with terminable(), session as live:
        yield live
    say("the test lead is deleted" if live.contact else f"lead {settings.lead_id} is as it was")


def _tell_what_is_missing(account: Account, say: Say) -> None:
    lacking = [field_type for field_type in FIELD_TYPES if account.custom(field_type) is None]
    if lacking:
        say(f"not tried, as the account has no custom field of the type: {', '.join(lacking)}")


@contextmanager
def _own(account: Account, settings: LiveSettings, say: Say) -> Iterator[Live]:
    calls, user_id = account.calls, account.user_id
    try:
        person = _id_in("PERSON", settings.person)
        organization = _id_in("ORGANIZATION", settings.organization)
        for left in own_lead.delete_left_behind(calls, user_id):
            say(f"deleted lead {left}, which an earlier suite left behind")
        contact = own_lead.contact_of(calls, person, organization)
        lead_id = own_lead.make(calls, contact, user_id)
    except (own_lead.LeadTrouble, Unreachable) as error:
        raise NotStarted(str(error)) from None
    say(f"made lead {lead_id} to try things on, linked to the person and organization of "
        f"{contact.of}")  # fmt: skip
    made = replace(account, lead_id=lead_id, own=True)
    live = Live(made, {}, contact)
    try:
        live.before = made.read()
        yield live
    finally:
        own_lead.delete(calls, live.account.lead_id)


@contextmanager
def _given(account: Account, settings: LiveSettings) -> Iterator[Live]:
    lead_id = settings.lead_id
    path = snapshot.path_in(settings.snapshots, lead_id.lower())
    way_back = f"python -m tests.contract.restore {path}"
    given = replace(account, lead_id=lead_id.lower())
    try:
        before = given.read()
        if before["is_archived"]:
            raise NotStarted(f"lead {lead_id} is archived; give one that may be changed")
        snapshot.save(path, snapshot.Snapshot(account.calls.base_url, before))
    except PipedriveError as error:
        raise NotStarted(f"lead {lead_id}: {error}") from None
    except FileExistsError:
        raise NotStarted(
            f"an earlier suite left lead {lead_id} changed; bring it back with {way_back}"
        ) from None
    live = Live(given, before)
    try:
        yield live
    finally:
        try:
            live.put_back()
        except snapshot.NotRestored as error:
            raise snapshot.NotRestored(f"{error}; bring it back with {way_back}") from None
        path.unlink()
