"""What a run reads of the account and of the desired table, but for the leads."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.errors import DesiredTableError
from connector.pipedrive.client import (
    COST_LABELS,
    COST_ME,
    COST_USERS,
    Pipedrive,
)
from connector.pipedrive.errors import BudgetSpent, PipedriveError
from connector.planning.columns import (
    Columns,
    is_settled,
    managed_names,
    map_columns,
    names_of,
    target_of,
)
from connector.records.definitions import custom_fields
from connector.records.fields import Field, by_key, fold
from connector.records.leads import LEADS, STANDARD_FIELDS, standard_fields
from connector.records.options import NO_OPTIONS, Options, options_of
from connector.settings import Settings
from connector.sync.company import confirm_company
from connector.sync.increment import increment_of, read_under_of
from connector.sync.session import Session
from connector.warehouse import history, noted
from connector.warehouse.desired import Head, open_desired
from connector.warehouse.listing import least_listed
from connector.warehouse.record import RunRecord
from connector.warehouse.store import Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """What a run knows of the account.

    Attributes:
        columns: What the desired table's columns manage.
        fields: Every field of a lead by its key.
        table: The desired table.
        read_under: Changes when leads may show other values though nobody updated them.
    """

    columns: Columns
    fields: Mapping[str, Field]
    table: Named
    read_under: str


BY_LABEL = frozenset({"labels", "addlabels", "removelabels"})
BY_EMAIL = frozenset({"owneremail"})
DOUBTFUL = BY_LABEL | BY_EMAIL | {"channel", "channelid"}
"""Names of a lead's own fields that custom fields may well have: an address of an owner that is
kept as text must make nobody the owner. Any other name is looked at where all fields are read."""
STRUCT_OF_CHANGES = (
    "the column changes is a STRUCT, in which every row has every key, so that each would be "
    "cleared; make it JSON"
)


def columns_for(
    warehouse: Warehouse, client: Pipedrive, settings: Settings
) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns; returns what they manage, and every field by its key.

    All fields of the account are asked for, so as to find a name that could be of two.

    Args:
        warehouse: Where the books are.
        client: Asks for the definitions.
        settings: Where the table is, and the rules for its columns.

    Raises:
        DesiredTableError: The table is missing or a column maps to nothing.
        ConfigError: A rule in config names no field.
    """
    with open_desired(warehouse, settings) as table:
        head = table.head()
        changed = table.changed_names(head)
    return map_table(named_by(head, changed, settings), client, settings, thorough=True)


@dataclass(frozen=True)
class Named:
    """What the desired table calls fields.

    Attributes:
        head: All of its columns.
        names: What its columns and its `changes` call fields, with the types of the values.
        is_doubtful: Whether a name is one that people give their own fields as well.
    """

    head: Head
    names: Mapping[str, str]
    is_doubtful: bool

    @classmethod
    def of(cls, head: Head, changed: Iterable[str], settings: Settings) -> Named:
        """Returns what the columns of a table, and the keys of its `changes`, stand for.

        Args:
            head: The table's columns.
            changed: The keys of its `changes`.
            settings: What columns are called otherwise, and the rules for them.
        """
        columns = {name: head.columns[name] for name in managed_names(head.columns)}
        meant = {name: target_of(name, settings.columns) for name in (*changed, *columns)}
        names = {meant[name][0]: kind for name, kind in columns.items()}
        names |= {meant[name][0]: "JSON" for name in changed}
        unsettled = {
            fold(target)
            for target, mapped in meant.values()
            if not is_settled(target, mapped=mapped)
        }
        return cls(head, names, bool(DOUBTFUL & unsettled))

    @property
    def asked(self) -> Asked:
        """What is asked of the account so as to know what the names mean."""
        asked = Asked.by(self.names)
        return replace(asked, definitions=asked.definitions or self.is_doubtful)


def named_by(head: Head, changed: Iterable[str], settings: Settings) -> Named:
    """Returns the same of a table that can be used.

    Args:
        head: The table's columns.
        changed: The keys of its `changes`.
        settings: What columns are called otherwise, and the rules for them.

    Raises:
        DesiredTableError: `changes` is a STRUCT.
    """
    if head.has_struct:
        raise DesiredTableError(STRUCT_OF_CHANGES)
    return Named.of(head, changed, settings)


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
    thorough = thorough or table.is_doubtful
    fields = read_fields(client, table.names, thorough=thorough, options_as_text=options_as_text)
    mapped = map_columns(
        table.head.columns,
        fields,
        settings.columns,
        settings.timezone,
        on_null=settings.on_null,
        only_if_blank=settings.only_if_blank or (),
        on_conflict=settings.on_conflict,
        only=only,
    )
    return replace(mapped, objects=table.head.objects), by_key(fields)


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


def check_budget(session: Session, asked: Asked, lead_ids: Collection[str] | None = None) -> None:
    """Stops before anything is spent where the budget does not last for reading.

    A list that has become shorter is no reason to stop for ever: `full_refresh` reads on.

    Args:
        session: The run.
        asked: What is asked of the account so as to know its fields.
        lead_ids: The only leads to be read; None for the whole list.

    Raises:
        BudgetSpent: It does not; the message has what reading costs.
    """
    if session.client.own_left is None:
        return
    last = history.last_refresh(session.warehouse, session.run_id)
    is_whole = lead_ids is not None or increment_of(session, last, None) is None
    leads = LEADS.list_tokens(least_listed(session.warehouse) if is_whole else 0)
    if lead_ids is not None:
        leads = min(leads, len(lead_ids) * LEADS.tokens.one)
    stop_where_short(session, COST_ME + asked.tokens + leads, lead_ids)


def stop_where_short(session: Session, cost: int, lead_ids: Collection[str] | None = None) -> None:
    """Stops where the budget does not last for what is still to be read.

    Args:
        session: The run.
        cost: What that costs at least, in tokens.
        lead_ids: The only leads to be read; None for the whole list.

    Raises:
        BudgetSpent: It does not; the message has what reading costs.
    """
    left = session.client.own_left
    if left is None or session.scope.full_refresh or left >= cost:
        return
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
    """Returns the account's users by e-mail address, with the names that people know them by."""
    users = client.users()
    people = options_of("user", users, "name").names
    return replace(options_of("user", users, "email"), people=people)


def label_options(client: Pipedrive) -> Options:
    """Returns the account's lead labels by name."""
    return options_of("label", client.labels(), "name")


def _users_as_text(definitions: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]) -> bool:
    """Tells whether a user field's column holds text, which may be e-mail addresses."""
    types = {name: one.get("field_type") for one in definitions for name in _names(one)}
    return any(types.get(name) == "user" and "INT" not in kind for name, kind in wanted.items())


def _names(definition: Mapping[str, Any]) -> tuple[str, str]:
    return fold(str(definition.get("name"))), fold(str(definition.get("key")))


def read_account(session: Session, record: RunRecord) -> Account:
    """Makes sure whose account it is, and maps the desired table's columns to its fields.

    Raises:
        AccountError: It is another company's than the tables'.
        DesiredTableError: The table is missing, a column maps to nothing, or the one lead that
            is asked for has no row.
    """
    warehouse, lead = session.warehouse, session.scope.lead
    table = _read_desired(session, record)
    check_budget(session, table.asked, None if lead is None else [lead])
    user = confirm_company(session)
    columns, fields = map_table(
        table,
        session.client,
        session.settings,
        session.scope.fields,
        options_as_text=bool(history.options_as_text(warehouse)),
    )
    if lead and not record.desired_rows:
        raise DesiredTableError(f"{session.settings.desired_table} has no row for lead {lead}")
    noted.note_fields(warehouse, fields.values())
    log.info("%d desired rows, %d managed columns", record.desired_rows, len(columns.managed))
    return Account(columns, fields, table, read_under_of(fields, user))


def _read_desired(session: Session, record: RunRecord) -> Named:
    """Reads the desired table, once; returns what it calls fields."""
    settings, changed = session.settings, set[str]()
    with open_desired(session.warehouse, settings) as table:
        head = table.head()
        rows = table.rows(head, session.scope.lead, with_time=minds_time(settings), names=changed)
        record.desired_rows = session.scratch.want(rows)
    return named_by(head, changed, settings)


def minds_time(settings: Settings) -> bool:
    """Tells whether `updated_at` of a row has a say in what is done."""
    rules = settings.on_conflict
    return "newest" in (rules.values() if isinstance(rules, Mapping) else [rules])


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
