"""A rehearsal: a stored plan is applied to a local Pipedrive that has what the mirror has.

The same code applies it, through the same client, to books of its own in a temporary folder. It is
given a made-up token and an address of this machine. The account's are not even read, and the books
are only read.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import orjson

from connector.configuration.providers import ask, configured_as
from connector.errors import LeadSyncError, PlanError
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.lookup import one_by_one
from connector.planning.model import Lead, Patch
from connector.planning.truth import effect_of
from connector.records.definitions import FIELD_TYPES
from connector.records.fields import Field, base_key, by_key, fields_of, is_custom_key
from connector.records.leads import LEADS
from connector.report.rehearsed import Changed, Rehearsal, RehearsedLead
from connector.sandbox import LocalPipedrive
from connector.settings import SECTION, Settings, load_settings, load_warehouse_settings
from connector.sync.reading import read_fields, read_names
from connector.sync.runs import apply
from connector.sync.session import Progress, make_client, silent
from connector.warehouse import history, journal, noted, rehearsed
from connector.warehouse.dataset import open_dataset
from connector.warehouse.destination import make_pipeline
from connector.warehouse.rows import document_of, patch_of
from connector.warehouse.schema import FieldRow, TableRow
from connector.warehouse.store import Warehouse, open_warehouse

OF_THE_ACCOUNT: Final = frozenset({"base_url", "api_token"})
OF_THE_DAY: Final = frozenset(
    {"burst_limit", "token_budget", "token_reserve", "max_seconds", "lock_wait_seconds"}
)
"""Settings about what the account and the day allow, of which a rehearsal spends nothing."""
OF_PLACES: Final = frozenset({"dataset_name", "pipeline_name", "desired_table", "attached"})
BOOKS: Final = "books.duckdb"


@dataclass(frozen=True)
class Script:
    """What a rehearsal is made from, all of it read from the books.

    Attributes:
        plan_id: The plan.
        runs: The rows of `sync_runs` that applying it looks back on.
        rows: The rows of `lead_patches` that have no outcome yet.
        patches: The same, read.
        fields: The account's fields, as runs have noted them.
        company_id: The company; None where no run has noted it.
        options_as_text: How the account takes the ids of options; None where that is not known.
    """

    plan_id: str
    runs: list[TableRow]
    rows: list[TableRow]
    patches: list[Patch]
    fields: Mapping[str, FieldRow]
    company_id: int | None
    options_as_text: bool | None


def rehearse(
    plan_id: str | None = None,
    *,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Rehearsal:
    """Applies a stored plan to a local Pipedrive, and tells how the leads are afterwards.

    Args:
        plan_id: The plan, as for `apply`; by default the latest that is not applied yet.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over configuration, as for `apply`.

    Raises:
        PlanError: There is no such plan, or it may not be applied.
        LeadSyncError: The books cannot be read, or the local Pipedrive does not start.
    """
    places = load_warehouse_settings()
    with TemporaryDirectory(prefix="lead-sync-") as name:
        folder = Path(name)
        with open_warehouse(make_pipeline(places), places) as books:
            script = _read_script(books, plan_id)
            leads, read_at = _write_world(books, script, folder / "world")
        own = _own_settings(folder)
        pipedrive = _local_pipedrive(script, folder / "world")
        with pipedrive as account, configured_as(own, folder):
            _write_books(folder, script, account)
            both: dict[str, Any] = {"progress": progress, "stop": stop}
            summary = apply(script.plan_id, **both, **settings, **account)
            told, left = _look(script, account, whole=summary.state == "done")
    return Rehearsal(script.plan_id, leads, read_at, summary, told, left)


def _read_script(books: Warehouse, plan_id: str | None) -> Script:
    if not books.column_names("sync_runs"):
        raise PlanError("there is no plan yet; `lead-sync plan` makes one")
    if plan_id is None:
        found = _latest_plan(history.every_run(books))
    else:
        found = journal.find(books, plan_id, "plan")
    runs, rows = rehearsed.looked_back_on(books, found), rehearsed.open_patches(books, found)
    patches = [patch_of(row) for row in rows]
    own = [row for row in runs if row["plan_id"] == found]
    if own and not patches and not any(row["released"] for row in own):
        raise PlanError(f"plan {found} changes no lead; there is nothing to rehearse")
    known = noted.noted_fields(books)
    unknown = {key for patch in patches for key in map(base_key, patch.body)} - known.keys()
    if unknown := {key for key in unknown if is_custom_key(key)}:
        raise PlanError(
            f"the books do not tell what the field {min(unknown)} is, which plan {found} changes; "
            "`lead-sync plan` notes it"
        )
    company = next((company_id for company_id, _ in history.owners(books)), None)
    as_text = history.options_as_text(books)
    return Script(found, runs, rows, patches, known, company, as_text)


def _latest_plan(runs: Sequence[TableRow]) -> str:
    """Returns the latest plan that has come to its end and that no run has applied.

    A revert that was planned must be named, as for `apply`.

    Args:
        runs: All runs, oldest first.
    """
    released = {row["plan_id"] for row in runs if row["released"]}
    made = [
        row
        for row in runs
        if row["run_id"] == row["plan_id"] and not row["reverts"]
        if row["run_id"] not in released
        if row["state"] == "done" or (row["state"] == "stopped" and row["tripped"])
    ]
    if not made:
        raise PlanError("there is no plan that is not applied yet; `lead-sync plan` makes one")
    return str(made[-1]["run_id"])


def _write_world(books: Warehouse, script: Script, file: Path) -> tuple[int, datetime | None]:
    """Writes the company and its leads as the local Pipedrive reads them.

    Returns:
        How many leads they are, and when the last of them was read.
    """
    company = {
        "fields": list(_definitions(script.fields)),
        "labels": _named(script.fields.get("label_ids"), "name", str),
        "users": _named(script.fields.get("owner_id"), "email", int),
    }
    count, newest = 0, None
    with file.open("wb") as lines:
        lines.write(orjson.dumps(company) + b"\n")
        for record, read_at in rehearsed.records(books):
            lines.write(record + b"\n")
            count, newest = count + 1, max(newest or read_at, read_at)
    return count, newest


def _definitions(known: Mapping[str, FieldRow]) -> Iterator[dict[str, Any]]:
    """Yields the company's own fields; a second key is its field's, and users have a list."""
    for row in known.values():
        if is_custom_key(row.key) and row.key == base_key(row.key) and row.type in FIELD_TYPES:
            options = None if row.type == "user" else document_of(row.options)
            named = {"key": row.key, "name": row.name, "field_type": row.type}
            yield {**named, "options": options}


def _named(row: FieldRow | None, name: str, id_of: type) -> list[dict[str, Any]] | None:
    """Returns the options of a field as records; None where no run has asked for them."""
    options = document_of(row.options) if row else None
    return options and [{"id": id_of(one), name: text} for one, text in options.items()]


def _own_settings(folder: Path) -> dict[str, Any]:
    """Returns the configuration of a rehearsal: as configured, but for places and the account."""
    names = {one.name for one in fields(Settings)} - OF_THE_ACCOUNT - OF_THE_DAY - OF_PLACES
    source = {name: value for name in names if (value := ask(SECTION, name)) is not None}
    books = {"destination_type": "duckdb", "credentials": f"duckdb:///{folder / BOOKS}"}
    return {SECTION[0]: {SECTION[1]: source}, "destination": {"warehouse": books}}


@contextmanager
def _local_pipedrive(script: Script, world: Path) -> Iterator[dict[str, Any]]:
    """Yields the settings of an account that a local Pipedrive serves.

    Raises:
        LeadSyncError: It does not start, as without its extra.
    """
    behaviour: dict[str, Any] = {"limits": False}
    if script.options_as_text:
        behaviour["enum_write"] = "string"
    if script.company_id is not None:
        behaviour["company"] = script.company_id
    token = secrets.token_hex(20)
    with ExitStack() as stack:
        try:
            made = stack.enter_context(
                LocalPipedrive(leads=0, token=token, world=world, **behaviour)
            )
        except RuntimeError as error:
            raise LeadSyncError(f"the plan cannot be rehearsed: {error}") from None
        yield {"base_url": made.base_url, "api_token": token}


def _write_books(folder: Path, script: Script, account: Mapping[str, Any]) -> None:
    """Makes the rehearsal's own books, with the plan in them."""
    duckdb.connect(str(folder / BOOKS)).close()
    settings = load_settings(**account)
    with open_dataset(make_pipeline(settings), settings) as books:
        books.create_tables()
        rehearsed.put_plan(books, script.runs, script.rows)
        if script.company_id is not None:
            as_text = script.options_as_text
            rehearsed.put_company(books, script.company_id, options_as_text=as_text)


def _look(
    script: Script, account: Mapping[str, Any], *, whole: bool
) -> tuple[list[RehearsedLead], list[str]]:
    """Returns what became of each lead, and the leads on which a second plan would find work.

    Args:
        script: The plan.
        account: The local Pipedrive.
        whole: Whether the run came to its end; else nothing is said of what it did not come to.
    """
    settings = load_settings(**account)
    client = make_client(settings)
    known = _fields(client, script)
    with open_warehouse(make_pipeline(settings), settings) as books:
        rows = list(rehearsed.outcomes(books))
    touched = {row["lead_id"] for row in rows if document_of(row["took"])}
    patches = [patch for patch in script.patches if whole or patch.lead_id in touched]
    leads = _read(client, {patch.lead_id for patch in patches}, client.at_once)
    told = [_rehearsed(row, leads.get(row["lead_id"], {}), known) for row in rows]
    left = {
        patch.lead_id for patch in patches if not _is_there(patch, leads.get(patch.lead_id), known)
    }
    return told, sorted(left)


def _read(client: Pipedrive, wanted: set[str], workers: int) -> dict[str, Lead]:
    """Reads leads as they are, by the list where they are many."""
    leads: dict[str, Lead] = {}
    if len(wanted) > LEADS.page_limit:
        for page in client.pages(LEADS):
            leads |= {lead["id"]: lead for lead in page if lead["id"] in wanted}
    for one in one_by_one(client, LEADS, sorted(wanted - leads.keys()), workers):
        if one.lead is not None:
            leads[one.lead_id] = one.lead
    return leads


def _fields(client: Pipedrive, script: Script) -> Mapping[str, Field]:
    keys = {key for patch in script.patches for key in patch.body}
    as_text = bool(script.options_as_text)
    found = read_fields(client, dict.fromkeys(keys, "JSON"), options_as_text=as_text)
    return by_key(read_names(client, found, keys))


def _is_there(patch: Patch, lead: Lead | None, known: Mapping[str, Field]) -> bool:
    """Tells whether a lead says all that a patch wants of it."""
    if lead is None:
        return False
    return effect_of(patch.before, patch.body, lead, known, patch.conditions).is_whole


def _rehearsed(row: TableRow, lead: Lead, known: Mapping[str, Field]) -> RehearsedLead:
    before, took = document_of(row["before"]) or {}, document_of(row["took"]) or []
    changes = [
        Changed(field.key, field.name, field.show(before), field.show(lead))
        for field in fields_of(took, known)
    ]
    title = str(lead.get("title") or row["title"] or "")
    return RehearsedLead(row["lead_id"], title, row["status"], row["reason"] or "", changes)
