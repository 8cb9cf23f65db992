"""What a run reads: the account, the desired table's columns, and the leads as they are."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import pendulum

from connector.errors import AccountError, DesiredTableError
from connector.pipedrive.client import (
    COST_LABELS,
    COST_ME,
    COST_USERS,
    MOST_PAGES,
    MostPages,
    Pipedrive,
)
from connector.pipedrive.errors import BudgetSpent, PipedriveError, TooManyPages
from connector.pipedrive.lookup import Found, look_up, one_by_one
from connector.planning.columns import CHANGES, Columns, fold, managed_names, map_columns, names_of
from connector.planning.model import Outcome
from connector.records.definitions import custom_fields
from connector.records.fields import Field, by_key
from connector.records.kinds import parse_uuid
from connector.records.leads import LEADS, STANDARD_FIELDS, standard_fields
from connector.records.options import NO_OPTIONS, Options, options_of
from connector.settings import Settings
from connector.sync.company import confirm_company
from connector.sync.session import Session
from connector.warehouse import history, schema
from connector.warehouse.comparison import MirrorFilter, unknown
from connector.warehouse.listing import least_listed
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.record import RunRecord
from connector.warehouse.store import Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """What a run knows of the account.

    Attributes:
        columns: What the desired table's columns manage.
        fields: Every field of a lead by its key.
    """

    columns: Columns
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class Reading:
    """What came of reading the leads; they are in the mirror.

    Attributes:
        unreadable: Leads that cannot be read, each with the trouble.
    """

    unreadable: Mapping[str, str]


BY_LABEL = frozenset({"labels", "addlabels", "removelabels"})
BY_EMAIL = frozenset({"owneremail"})
DOUBTFUL = BY_LABEL | BY_EMAIL | {"channel", "channelid"}
"""Names of a lead's own fields that custom fields may well have: an address of an owner that is
kept as text must make nobody the owner. Any other name is looked at where all fields are read."""


def columns_for(
    warehouse: Warehouse, client: Pipedrive, settings: Settings
) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns; returns what they manage, and every field by its key.

    All fields of the account are asked for, so as to find a name that could be of two.

    Raises:
        DesiredTableError: The table is missing or a column maps to nothing.
        ConfigError: A rule in config names no field.
    """
    return map_table(named_columns(warehouse, settings), client, settings, thorough=True)


@dataclass(frozen=True)
class Named:
    """What the desired table calls fields.

    Attributes:
        columns: All of its columns with their types.
        names: What its columns and its `changes` call fields, with the types of the values.
    """

    columns: Mapping[str, str]
    names: Mapping[str, str]

    def is_doubtful(self, settings: Settings) -> bool:
        """Tells whether a name is one that people give their own fields as well."""
        return bool(DOUBTFUL & (set(map(fold, self.names)) - set(map(fold, settings.columns))))


def named_columns(warehouse: Warehouse, settings: Settings) -> Named:
    """Returns the columns of the desired table, and what it calls fields.

    Raises:
        DesiredTableError: The table is missing, or `changes` is a STRUCT.
    """
    columns = warehouse.columns()
    _refuse_struct(columns)
    renamed = settings.columns
    names = {renamed.get(name, name): columns[name] for name in managed_names(columns)}
    if CHANGES in columns:
        changed = {renamed.get(name, name) for name in warehouse.changed_names()}
        names |= dict.fromkeys(changed - names.keys(), "JSON")
    return Named(columns, names)


def map_table(
    table: Named,
    client: Pipedrive,
    settings: Settings,
    only: Sequence[str] = (),
    *,
    thorough: bool = False,
    options_as_text: bool = False,
) -> tuple[Columns, Mapping[str, Field]]:
    """Reads the account's fields, and maps the desired table's columns to them.

    Args:
        table: The desired table.
        client: The account.
        settings: What names stand for, and by which rules.
        only: Names of the only fields to look at; none for all.
        thorough: Whether to ask for all fields, though the table may need only a lead's own.
        options_as_text: Whether the account takes the ids of options as text.

    Raises:
        DesiredTableError: A column maps to nothing, or could be of two fields.
        ConfigError: A rule in config names no field.
    """
    thorough = thorough or table.is_doubtful(settings)
    fields = read_fields(client, table.names, thorough=thorough, options_as_text=options_as_text)
    mapped = map_columns(
        table.columns,
        fields,
        settings.columns,
        settings.timezone,
        on_null=settings.on_null,
        only_if_blank=settings.only_if_blank or (),
        on_conflict=settings.on_conflict,
        only=only,
    )
    return mapped, by_key(fields)


def _refuse_struct(columns: Mapping[str, str]) -> None:
    if columns.get(CHANGES, "").startswith("STRUCT"):
        raise DesiredTableError(
            "the column changes is a STRUCT, in which every row has every key, so that each would "
            "be cleared; make it JSON"
        )


def read_fields(
    client: Pipedrive,
    names: Mapping[str, str],
    *,
    thorough: bool = False,
    options_as_text: bool = False,
) -> list[Field]:
    """Returns every field that the given names may mean.

    The account's own fields are asked for when a name is none of the standard ones, labels
    and users when something gives them by name.

    Args:
        client: The account.
        names: What the desired table's columns and its `changes` call fields, each with the
            type of its values in the warehouse.
        thorough: Whether to ask for the account's own fields in any case.
        options_as_text: Whether the account takes the ids of options as text.
    """
    asked = Asked.by(names)
    wanted = {fold(name): kind for name, kind in names.items()}
    definitions = client.definitions(LEADS) if asked.definitions or thorough else []
    by_email = asked.users or _users_as_text(definitions, wanted)
    users = user_options(client) if by_email else NO_OPTIONS
    label_names = label_options(client) if asked.labels else NO_OPTIONS
    custom = custom_fields(definitions, users, options_as_text=options_as_text)
    return [*standard_fields(label_names, users), *custom]


@dataclass(frozen=True)
class Asked:
    """What is asked of an account so as to know what some names mean."""

    definitions: bool
    labels: bool
    users: bool

    @classmethod
    def by(cls, names: Iterable[str]) -> Asked:
        """Returns what some names need; users as well where a custom field of them holds text."""
        wanted = set(map(fold, names))
        is_own = wanted - names_of(STANDARD_FIELDS).keys()
        return cls(bool(is_own), bool(BY_LABEL & wanted), bool(BY_EMAIL & wanted))

    @property
    def tokens(self) -> int:
        """What that costs at least."""
        return (
            self.definitions * LEADS.tokens.definitions
            + self.labels * COST_LABELS
            + self.users * COST_USERS
        )


def check_budget(
    session: Session, names: Iterable[str], lead_ids: Collection[str] | None = None
) -> None:
    """Stops before anything is spent where the budget does not last for reading.

    A list that has become shorter is no reason to stop for ever: `full_refresh` reads on.

    Args:
        session: The run.
        names: What fields are called.
        lead_ids: The only leads to be read; None for the whole list.

    Raises:
        BudgetSpent: It does not; the message has what reading costs.
    """
    left = session.client.own_left
    if left is None or session.scope.full_refresh:
        return
    pages = -(-least_listed(session.warehouse) // LEADS.page_limit) or 1
    leads = pages * LEADS.tokens.page
    if lead_ids is not None:
        leads = min(leads, len(lead_ids) * LEADS.tokens.one)
    cost = COST_ME + Asked.by(names).tokens + leads
    if left < cost:
        budget = session.settings.token_budget
        rest = "" if left == budget else f", of which {left} are left,"
        hint = "raise it" if lead_ids is not None else "raise it, or read on with --full-refresh"
        raise BudgetSpent(
            f"token_budget {budget}{rest} does not last for reading, which costs at least "
            f"{cost} tokens; {hint}"
        )


def read_names(client: Pipedrive, fields: Iterable[Field], shown: Collection[str]) -> list[Field]:
    """Returns the fields with the names of owners and labels, for people to read.

    Args:
        client: The account; where its token may not ask for names, ids are shown.
        fields: The fields to name.
        shown: Keys of the fields that will be shown; nothing is asked for the sake of others.
    """
    fields = list(dict.fromkeys(fields))
    nameless = {field.key for field in fields if not field.options.names} & {*shown}
    try:
        label_names = label_options(client) if "label_ids" in nameless else NO_OPTIONS
        users = user_options(client) if "owner_id" in nameless else NO_OPTIONS
    except PipedriveError:
        return list(fields)
    named = {field.key: field for field in standard_fields(label_names, users)}
    return [named[field.key] if field.key in nameless & named.keys() else field for field in fields]


def user_options(client: Pipedrive) -> Options:
    """Returns the account's users by e-mail address."""
    return options_of("user", client.users(), "email")


def label_options(client: Pipedrive) -> Options:
    """Returns the account's lead labels by name."""
    return options_of("label", client.labels(), "name")


def _users_as_text(definitions: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]) -> bool:
    """Tells whether a user field's column holds text, which may be e-mail addresses."""
    types = {name: one.get("field_type") for one in definitions for name in _names(one)}
    return any(types.get(name) == "user" and "INT" not in kind for name, kind in wanted.items())


def _names(definition: Mapping[str, Any]) -> tuple[str, str]:
    return fold(str(definition.get("name"))), fold(str(definition.get("key")))


def mirror_pages(
    pages: Iterable[list[dict[str, Any]]], run_id: str
) -> Iterator[list[schema.TableRow]]:
    """Turns pages of the API into rows of the mirror; a record without an id is no lead."""
    for page in pages:
        read_at = pendulum.now("UTC")
        yield [schema.lead_row(lead, read_at, run_id) for lead in page if lead.get("id")]


FIRST_PAGES = 400
"""Pages of the list of leads where none was read before: 200,000 leads for 8,000 tokens."""
SHORTEST_PAGE = 100
"""Rows of a full page at least: what Pipedrive gives where no limit is named (documented)."""
SPARE_PAGES = 10
"""Pages by which the list may be longer than twice what is known."""


def listed_leads(session: Session, record: RunRecord) -> Iterator[Marked]:
    """Yields the leads that are not archived, page by page.

    Raises:
        AccountError: The list is far longer than it can be, as far as is known.
    """
    most = _most_pages(session)
    try:
        for rows in mirror_pages(session.client.pages(LEADS, most), session.run_id):
            record.leads_read += len(rows)
            session.tell(record, "refresh", record.leads_read, None)
            yield from into("leads", rows)
    except TooManyPages as error:
        hint = "if it is right, `lead-sync run --full-refresh` reads it to its end"
        raise AccountError(f"{error}, far more leads than were known; {hint}") from None


def _most_pages(session: Session) -> MostPages:
    """Returns how many pages the list may have, by the size of its pages.

    They may be smaller than asked for; one that is hardly filled says nothing of their size.
    """
    known = history.most_read(session.warehouse)
    if session.scope.full_refresh or not known:
        most = MOST_PAGES if session.scope.full_refresh else FIRST_PAGES
        return lambda _rows: most
    return lambda rows: 2 * -(-known // max(rows, SHORTEST_PAGE)) + SPARE_PAGES


def _look_up(session: Session, record: RunRecord, looked_up: Iterator[Found]) -> Reading:
    """Loads leads that were asked for; returns which of them cannot be read, and why."""
    unreadable: dict[str, str] = {}

    def rows() -> Iterator[Marked]:
        while batch := list(islice(looked_up, BATCH)):
            unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
            record.leads_read += sum(one.lead is not None for one in batch)
            found = [row for one in batch if (row := _looked_up_row(session, one))]
            yield from into("leads", found)

    session.load(rows())
    return Reading(unreadable)


def read_leads(session: Session, record: RunRecord, lead_ids: Collection[str]) -> Reading:
    """Reads certain leads into the mirror, by the cheaper of the list and a call for each."""
    client, workers = session.client, session.settings.workers
    pages = -(-history.count_active(session.warehouse) // LEADS.page_limit) or 1
    if len(lead_ids) * LEADS.tokens.one <= pages * LEADS.tokens.page:
        return _look_up(session, record, one_by_one(client, LEADS, list(lead_ids), workers))
    session.load(listed_leads(session, record))
    unlisted = set(lead_ids).difference(history.read_by(session.warehouse, session.run_id))
    return _look_up(session, record, _unlisted(session, sorted(unlisted)))


def _unlisted(session: Session, lead_ids: list[str]) -> Iterator[Found]:
    return look_up(session.client, LEADS, filter(_is_lead_id, lead_ids), session.settings.workers)


def _looked_up_row(session: Session, found: Found) -> schema.TableRow | None:
    if found.lead is not None:
        return schema.lead_row(found.lead, pendulum.now("UTC"), session.run_id)
    return None if found.trouble else _gone_row(session, found.lead_id)


def _gone_row(session: Session, lead_id: str) -> schema.TableRow:
    record, gone_at = history.mirrored(session.warehouse, lead_id) or ({"id": lead_id}, None)
    return schema.gone_row(record, pendulum.now("UTC"), session.run_id, gone_at)


def mirror_row(session: Session, outcome: Outcome) -> schema.TableRow | None:
    """Returns the row of an outcome's lead; None where no answer told of it."""
    if outcome.lead is not None:
        return schema.lead_row(outcome.lead, outcome.finished_at, session.run_id)
    return _gone_row(session, outcome.patch.lead_id) if outcome.gone else None


def _is_lead_id(lead_id: str) -> bool:
    try:
        return bool(parse_uuid(lead_id))
    except ValueError:
        return False


def read_account(session: Session, record: RunRecord) -> Account:
    """Makes sure whose account it is, and maps the desired table's columns to its fields.

    Raises:
        AccountError: It is another company's than the tables'.
        DesiredTableError: The table is missing, a column maps to nothing, or the one lead that
            is asked for has no row.
    """
    warehouse, lead = session.warehouse, session.scope.lead
    table = named_columns(warehouse, session.settings)
    check_budget(session, table.names, None if lead is None else [lead])
    confirm_company(session)
    columns, fields = map_table(
        table,
        session.client,
        session.settings,
        session.scope.fields,
        options_as_text=bool(history.options_as_text(warehouse)),
    )
    record.desired_rows = warehouse.count_desired(lead)
    if lead and not record.desired_rows:
        raise DesiredTableError(f"{session.settings.desired_table} has no row for lead {lead}")
    history.note_fields(warehouse, fields.values())
    log.info("%d desired rows, %d managed columns", record.desired_rows, len(columns.managed))
    return Account(columns, fields)


def read_fields_of(session: Session, keys: set[str], *, named: bool = False) -> Mapping[str, Field]:
    """Makes sure whose account it is; returns the fields of keys that were planned or sent earlier.

    Args:
        session: The run.
        keys: The keys.
        named: Whether people will read their values, so that owners and labels need names.

    Raises:
        AccountError: It is another company's than the tables'.
    """
    confirm_company(session)
    as_text = bool(history.options_as_text(session.warehouse))
    fields = read_fields(session.client, dict.fromkeys(keys, "JSON"), options_as_text=as_text)
    fields = read_names(session.client, fields, keys) if named else fields
    return by_key(fields)


def refresh(session: Session, record: RunRecord) -> Reading:
    """Reads the leads as they are into the mirror, but for those known to be out of the list."""
    lead, known = session.scope.lead, known_to(session)
    if lead is None:
        session.load(listed_leads(session, record))
    missing = list(unknown(session.warehouse, known, lead))
    reading = _look_up(session, record, _unlisted(session, missing))
    log.info("read %d leads", record.leads_read)
    return reading


def known_to(session: Session) -> MirrorFilter:
    """Returns what a run need not ask for; one lead alone is always asked for.

    An archived lead that may be brought back is compared with what it is, never with what it was.
    """
    settings, scope = session.settings, session.scope
    if scope.full_refresh or scope.lead or not settings.recheck_hours:
        return MirrorFilter(session.run_id)
    period = (session.started_at - timedelta(hours=settings.recheck_hours), session.started_at)
    return MirrorFilter(session.run_id, period, archived=not settings.unarchive)
