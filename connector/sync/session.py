"""What the steps of one run share: its locks, its connections and its counts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NoReturn

import dlt
import pendulum
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from connector.configuration import readers
from connector.errors import ConfigError, LeadSyncError, WarehouseError
from connector.pipedrive.auth import ApiToken
from connector.pipedrive.budget import Budget
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import PipedriveError
from connector.records.kinds import parse_uuid
from connector.settings import Settings, load_settings, read_argument
from connector.sync.lock import hold
from connector.sync.stopping import Stop, stop_after
from connector.sync.summary import State, Summary, Tally, every_status
from connector.warehouse.claim import claim_folder
from connector.warehouse.dataset import open_dataset
from connector.warehouse.destination import make_pipeline, sweep, working_folder
from connector.warehouse.load import Marked, batches
from connector.warehouse.rows import new_id
from connector.warehouse.schema import TableRow
from connector.warehouse.store import MirrorFilter, Warehouse

Progress = Callable[[str, int, int | None], None]
"""Told the step, how much of it is done, and of how much (None: not known yet)."""


def silent(_step: str, _done: int, _total: int | None) -> None:
    """Shows no progress."""


@dataclass(frozen=True)
class Scope:
    """What a run looks at.

    Attributes:
        lead: The only lead; None for all.
        limit: Change at most so many leads.
        fields: Names of the only fields; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.
    """

    lead: str | None = None
    limit: int | None = None
    fields: tuple[str, ...] = ()
    full_refresh: bool = False


def scope_of(
    lead: str | None = None,
    limit: Any = None,
    fields: Any = (),
    full_refresh: Any = False,
) -> Scope:
    """Reads what a run is asked to look at, as the settings are read.

    Args:
        lead: The only lead; None for all.
        limit: Change at most so many leads.
        fields: Names of the only fields, as a list or as text with commas; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.

    Raises:
        ConfigError: One of them cannot be used.
    """
    names = read_argument("fields", readers.names, fields or ())
    if not names and isinstance(fields, str):  # as from a variable that is empty: not all fields
        raise ConfigError(f"fields {fields!r} names no field; leave it out for all of them")
    return Scope(
        lead,
        None if limit is None else read_argument("limit", readers.whole(1, sys.maxsize), limit),
        tuple(names),
        read_argument("full_refresh", readers.flag, full_refresh),
    )


@dataclass
class Job:
    """One run, from its locks to its summary.

    Attributes:
        given: Settings that were given as arguments, and so win over config.
        unreadable: Leads that cannot be read, with the trouble.
        whole_table: The desired table, where the plan is of all of it.
        desired_table: The same, once it is held against the guards.
        stored_plan: The plan made by an earlier run that this one applies.
        resumes: Whether that plan was being sent when an earlier run was cut off.
        reverts: The run whose changes this one takes back.
    """

    command: str
    settings: Settings
    given: Mapping[str, Any]
    pipeline: dlt.Pipeline
    warehouse: Warehouse
    client: Pipedrive
    scope: Scope
    progress: Progress
    run_id: str = field(default_factory=new_id)
    started_at: datetime = field(default_factory=lambda: pendulum.now("UTC"))
    finished_at: datetime | None = None
    state: State = "running"
    message: str = ""
    tally: Tally = field(default_factory=Tally)
    unreadable: dict[str, str] = field(default_factory=dict)
    whole_table: str | None = None
    desired_table: str | None = None
    stored_plan: str | None = None
    resumes: bool = False
    reverts: str | None = None
    tripped: list[TableRow] = field(default_factory=list)
    overridden: list[TableRow] = field(default_factory=list)

    @property
    def lead(self) -> str | None:
        """The only lead to look at."""
        return self.scope.lead

    @property
    def limit(self) -> int | None:
        """Change at most so many leads."""
        return self.scope.limit

    @property
    def plan_id(self) -> str:
        """The stored plan that this run applies, or its own; a plan has the id of its run."""
        return self.stored_plan or self.run_id

    @property
    def known(self) -> MirrorFilter:
        """What this run need not ask for; one lead alone is always asked for.

        An archived lead that may be brought back is compared with what it is, never with what
        it was.
        """
        hours = self.settings.recheck_hours
        if self.scope.full_refresh or self.lead or not hours:
            return MirrorFilter(self.run_id)
        period = (self.started_at - timedelta(hours=hours), self.started_at)
        return MirrorFilter(self.run_id, period, archived=not self.settings.unarchive)

    def summary(self) -> Summary:
        """Returns what the run has come to so far."""
        tally, usage = self.tally, self.client.usage
        return Summary(
            run_id=self.run_id,
            plan_id=self.plan_id,
            command=self.command,
            state=self.state,
            started_at=self.started_at,
            finished_at=self.finished_at,
            desired_rows=tally.desired_rows,
            leads_read=tally.leads_read,
            planned=tally.planned,
            patches=tally.patches,
            burst=self.client.burst,
            day_left=self.client.day_left,
            statuses=every_status(tally.statuses),
            unchanged=tally.unchanged,
            kept_nulls=tally.kept_nulls,
            requests=usage.requests,
            retries=usage.retries,
            tokens=usage.tokens,
            message=self.message,
            tolerate=self.settings.tolerate or (),
            reverts=self.reverts,
            tripped=self.tripped,
            overridden=self.overridden,
        )

    def load(self, marked: Iterator[Marked]) -> None:
        """Loads batches of rows in one dlt package; without rows there is none.

        Raises:
            PipedriveError: The rows come from the API, and it failed.
            WarehouseError: They cannot be loaded.
        """
        first = next(marked, None)
        if first is not None:
            self.load_package([batches(chain([first], marked))])

    def load_package(self, resources: list[DltResource] | None) -> None:
        """Loads resources in one dlt package, or what an earlier run left when there are none.

        Raises:
            PipedriveError: The rows come from the API, and it failed.
            WarehouseError: They cannot be loaded.
        """
        try:
            self.pipeline.run(resources)
        except PipelineStepFailed as error:
            _raise_cause(error)

    def add_columns(self, names: list[str]) -> None:
        """Adds the columns that tables lack though dlt has recorded that they have them."""
        with self.pipeline.destination_client() as client:
            client.update_stored_schema(only_tables=names, force=True)


@contextmanager
def open_job(
    command: str,
    given: Mapping[str, Any],
    scope: Scope,
    progress: Progress = silent,
    stop: threading.Event | None = None,
) -> Iterator[Job]:
    """Takes the locks and opens the warehouse.

    Args:
        command: What the run is called in `sync_runs`.
        given: Settings that win over configuration.
        scope: What it looks at.
        progress: Told how far it is.
        stop: Ends it early and cleanly, once it is set.

    Raises:
        ConfigError: A setting is missing or cannot be used.
        LockedError: Another run or program holds the working folder or the warehouse.
        WarehouseError: The warehouse cannot be opened.
    """
    settings = load_settings(**given)
    client = make_client(settings, stop)
    folder = working_folder(settings)
    with ExitStack() as stack:
        stack.enter_context(hold(folder))
        sweep(folder)
        pipeline = make_pipeline(settings)
        warehouse = stack.enter_context(open_dataset(pipeline, settings))
        claim_folder(pipeline)
        stack.enter_context(stop_after(settings.max_seconds, client.stop))
        only = None if scope.lead is None else lead_id(scope.lead)
        scope = replace(scope, lead=only)
        yield Job(command, settings, given, pipeline, warehouse, client, scope, progress)


def lead_id(text: str) -> str:
    """Returns a lead's id as the tables have it.

    Raises:
        ConfigError: It is no UUID.
    """
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise ConfigError(f"lead {text!r} {error}") from None


def make_client(settings: Settings, stop: threading.Event | None = None) -> Pipedrive:
    """Returns a client for the account that the settings name, which a stop ends."""
    return Pipedrive(
        settings.base_url,
        ApiToken(settings.api_token),
        stop=Stop(stop),
        attempts=settings.max_attempts,
        timeout_seconds=settings.timeout_seconds,
        burst=settings.burst_limit or None,
        budget=Budget(settings.token_budget or None, settings.token_reserve),
    )


def _raise_cause(error: PipelineStepFailed) -> NoReturn:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PipedriveError | LeadSyncError):
            raise cause from None
        last, cause = cause, cause.__cause__ or cause.__context__
    name = type(last).__name__
    first_line = next((line for line in str(last).splitlines() if line.strip()), repr(last))
    raise WarehouseError(f"the {error.step} step of a load failed: {name}: {first_line}") from error
