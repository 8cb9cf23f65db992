"""What a run reads: the account, the desired table's columns, and the leads as they are."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pendulum

from connector.errors import AccountError, DesiredTableError
from connector.pipedrive.client import MOST_PAGES, MostPages, Pipedrive
from connector.pipedrive.errors import PipedriveError, TooManyPages
from connector.pipedrive.lookup import Found, look_up, one_by_one
from connector.planning.columns import CHANGES, Columns, fold, managed_names, map_columns, names_of
from connector.planning.model import Outcome
from connector.records.fields import Field, by_key, custom_fields
from connector.records.kinds import parse_uuid
from connector.records.leads import LEADS, STANDARD_FIELDS, standard_fields
from connector.records.options import NO_OPTIONS, Options, options_of
from connector.settings import Settings
from connector.sync.session import Job
from connector.warehouse import history, schema
from connector.warehouse.history import new_names
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.store import Warehouse

log = logging.getLogger(__name__)
BY_LABEL = frozenset({"labels", "addlabels", "removelabels"})
BY_EMAIL = frozenset({"owneremail"})


def columns_for(
    warehouse: Warehouse, client: Pipedrive, settings: Settings, only: Sequence[str] = ()
) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns; returns what they manage, and every field by its key.

    Raises:
        DesiredTableError: The table is missing or a column maps to nothing.
        ConfigError: A rule in config names no field.
    """
    columns = warehouse.columns()
    _refuse_struct(columns)
    renamed = settings.columns
    names = {renamed.get(name, name): columns[name] for name in managed_names(columns)}
    if CHANGES in columns:
        names |= dict.fromkeys(warehouse.changed_names() - names.keys(), "JSON")
    fields = read_fields(client, names)
    mapped = map_columns(
        columns,
        fields,
        renamed,
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


def read_fields(client: Pipedrive, names: Mapping[str, str]) -> list[Field]:
    """Returns every field that the given names may mean.

    The account's own fields are asked for when a name is none of the standard ones, labels
    and users when something gives them by name.

    Args:
        client: The account.
        names: What the desired table's columns and its `changes` call fields, each with the
            type of its values in the warehouse.
    """
    known = names_of(STANDARD_FIELDS)
    wanted = {fold(name): kind for name, kind in names.items()}
    definitions = client.definitions(LEADS) if wanted.keys() - known.keys() else []
    by_label = bool(BY_LABEL & wanted.keys())
    by_email = bool(BY_EMAIL & wanted.keys()) or _users_as_text(definitions, wanted)
    users = user_options(client) if by_email else NO_OPTIONS
    label_names = label_options(client) if by_label else NO_OPTIONS
    return [*standard_fields(label_names, users), *custom_fields(definitions, users)]


def read_names(client: Pipedrive, fields: Iterable[Field], shown: Collection[str]) -> list[Field]:
    """Returns the fields with the names of owners and labels, for people to read.

    Args:
        client: The account; where its token may not ask for names, ids are shown.
        fields: The fields to name.
        shown: Keys of the fields that will be shown; nothing is asked for the sake of others.
    """
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


def listed_leads(job: Job) -> Iterator[Marked]:
    """Yields the leads that are not archived, page by page.

    Raises:
        AccountError: The list is far longer than it can be, as far as is known.
    """
    most = _most_pages(job)
    try:
        for rows in mirror_pages(job.client.pages(LEADS, most), job.run_id):
            job.tally.leads_read += len(rows)
            job.progress("refresh", job.tally.leads_read, None)
            yield from into("leads", rows)
    except TooManyPages as error:
        way_out = "if it is right, `lead-sync run --full-refresh` reads it to its end"
        raise AccountError(f"{error}, far more leads than were known; {way_out}") from None


def _most_pages(job: Job) -> MostPages:
    """Returns how many pages the list may have, by the size of its pages.

    They may be smaller than asked for; one that is hardly filled says nothing of their size.
    """
    known = history.most_read(job.warehouse)
    if job.scope.full_refresh or not known:
        most = MOST_PAGES if job.scope.full_refresh else FIRST_PAGES
        return lambda _rows: most
    return lambda rows: 2 * -(-known // max(rows, SHORTEST_PAGE)) + SPARE_PAGES


def looked_up_leads(job: Job, lead_ids: list[str]) -> Iterator[Marked]:
    """Yields the leads that the list does not show; notes those that cannot be read."""
    found = look_up(job.client, LEADS, filter(_is_lead_id, lead_ids), job.settings.workers)
    yield from _rows_of(job, found)


def _rows_of(job: Job, looked_up: Iterator[Found]) -> Iterator[Marked]:
    while batch := list(islice(looked_up, BATCH)):
        job.unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
        job.tally.leads_read += sum(one.lead is not None for one in batch)
        yield from into("leads", [row for one in batch if (row := _looked_up_row(job, one))])


def read_leads(job: Job, lead_ids: Collection[str]) -> None:
    """Reads certain leads into the mirror, by the cheaper of the list and a call for each."""
    pages = -(-history.count_active(job.warehouse) // LEADS.page_limit) or 1
    if len(lead_ids) * LEADS.tokens.one <= pages * LEADS.tokens.page:
        found = one_by_one(job.client, LEADS, list(lead_ids), job.settings.workers)
        job.load(_rows_of(job, found))
        return
    job.load(listed_leads(job))
    unlisted = set(lead_ids).difference(history.read_by(job.warehouse, job.run_id))
    job.load(looked_up_leads(job, sorted(unlisted)))


def _looked_up_row(job: Job, found: Found) -> schema.TableRow | None:
    if found.lead is not None:
        return schema.lead_row(found.lead, pendulum.now("UTC"), job.run_id)
    return None if found.trouble else _gone_row(job, found.lead_id)


def _gone_row(job: Job, lead_id: str) -> schema.TableRow:
    record, gone_at = history.mirrored(job.warehouse, lead_id) or ({"id": lead_id}, None)
    return schema.gone_row(record, pendulum.now("UTC"), job.run_id, gone_at)


def mirror_row(job: Job, outcome: Outcome) -> schema.TableRow | None:
    """Returns the row of an outcome's lead; None where no answer told of it."""
    if outcome.lead is not None:
        return schema.lead_row(outcome.lead, outcome.finished_at, job.run_id)
    return _gone_row(job, outcome.patch.lead_id) if outcome.gone else None


def _is_lead_id(lead_id: str) -> bool:
    try:
        return bool(parse_uuid(lead_id))
    except ValueError:
        return False


def read_account(job: Job) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns to the account's fields.

    Raises:
        DesiredTableError: The table is missing, a column maps to nothing, or the one lead that
            is asked for has no row.
    """
    columns, fields = columns_for(job.warehouse, job.client, job.settings, job.scope.fields)
    job.tally.desired_rows = job.warehouse.count_desired(job.lead)
    if job.lead and not job.tally.desired_rows:
        raise DesiredTableError(f"{job.settings.desired_table} has no row for lead {job.lead}")
    job.whole_table = None if job.lead else job.settings.desired_table
    job.load(into("lead_fields", new_names(job.warehouse, dict.fromkeys(fields.values()))))
    log.info("%d desired rows, %d managed columns", job.tally.desired_rows, len(columns.managed))
    return columns, fields


def read_account_for(job: Job, keys: set[str], *, named: bool = False) -> Mapping[str, Field]:
    """Returns the fields of keys that were planned or sent earlier.

    Args:
        job: The job.
        keys: The keys.
        named: Whether people will read their values, so that owners and labels need names.
    """
    fields = read_fields(job.client, dict.fromkeys(keys, "JSON"))
    fields = read_names(job.client, fields, keys) if named else fields
    return by_key(fields)


def refresh(job: Job) -> None:
    """Reads the leads as they are into the mirror, but for those known to be out of the list."""
    if job.lead is None:
        job.load(listed_leads(job))
    job.load(looked_up_leads(job, list(job.warehouse.unknown(job.known, job.lead))))
    log.info("read %d leads", job.tally.leads_read)
