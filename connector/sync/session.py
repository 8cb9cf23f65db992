"""What the steps of one run share: its settings, its connections, its id and its scope."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pendulum

from connector.configuration import readers
from connector.errors import ConfigError, WarehouseError
from connector.pipedrive.auth import ApiToken
from connector.pipedrive.budget import Budget
from connector.pipedrive.client import Pipedrive
from connector.records.kinds import parse_uuid
from connector.settings import Settings, load_settings, read_argument
from connector.sync.lock import hold
from connector.sync.stopping import Stop, stop_after
from connector.sync.turn import Turn, take_turn, wait_for_turn
from connector.warehouse.claim import claim_folder
from connector.warehouse.dataset import open_dataset
from connector.warehouse.destination import make_pipeline, sweep, working_folder
from connector.warehouse.load import Marked, load, load_pages
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import new_id
from connector.warehouse.schema import TableRow
from connector.warehouse.scratch import Scratch, open_scratch
from connector.warehouse.standing import Board, Standing
from connector.warehouse.store import Warehouse

Progress = Callable[[str, int, int | None], None]
"""Told the step, how much of it is done, and of how much (None: not known yet)."""


class Watcher:
    """A progress that is told more: of each lead at once, its outcome, and the tokens."""

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """Is what a plain progress is told."""

    def watch(self, standing: Standing) -> None:
        """Is told how far the run is, from any thread."""
        raise NotImplementedError


AT_ONCE = 0.001
"""Seconds that are left of a time that is up: 0 would be no limit."""


def silent(_step: str, _done: int, _total: int | None) -> None:
    """Shows no progress."""


@dataclass(frozen=True)
class Scope:
    """What a run looks at.

    Attributes:
        lead: The only lead; None for all.
        limit: Change at most so many leads; those that failed before come last.
        fields: Names of the only fields; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        retry_failed: Send again what Pipedrive refused or did not take before.
    """

    lead: str | None = None
    limit: int | None = None
    fields: tuple[str, ...] = ()
    full_refresh: bool = False
    retry_failed: bool = False

    @property
    def narrowing(self) -> str | None:
        """The options that narrow it, as the command line takes them; None for none."""
        lead = ["--lead", self.lead] if self.lead else []
        limit = [] if self.limit is None else ["--limit", str(self.limit)]
        fields = ["--fields", ",".join(self.fields)] if self.fields else []
        return shlex.join([*lead, *limit, *fields]) or None


def scope_of(
    lead: str | None = None,
    limit: Any = None,
    fields: Any = (),
    full_refresh: Any = False,
    retry_failed: Any = False,
) -> Scope:
    """Reads what a run is asked to look at, as the settings are read.

    Args:
        lead: The only lead; None for all.
        limit: Change at most so many leads.
        fields: Names of the only fields, as a list or as text with commas; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        retry_failed: Send again what Pipedrive refused or did not take before.

    Raises:
        ConfigError: One of them cannot be used.
    """
    names = read_argument("fields", readers.names, () if fields is None else fields)
    if not names and isinstance(fields, str):  # as from a variable that is empty: not all fields
        raise ConfigError(f"fields {fields!r} names no field; leave it out for all of them")
    return Scope(
        None if lead is None else lead_id(lead),
        None if limit is None else read_argument("limit", readers.whole(1, sys.maxsize), limit),
        tuple(names),
        read_argument("full_refresh", readers.flag, full_refresh),
        read_argument("retry_failed", readers.flag, retry_failed),
    )


@dataclass(frozen=True)
class Spent:
    """What a command of several runs has used up before this one, of what bounds all of it."""

    tokens: int = 0
    seconds: float = 0.0


NOTHING_SPENT = Spent()


@dataclass(frozen=True)
class Session:
    """One run's surroundings, from its locks to its end; its `RunRecord` is what changes.

    Attributes:
        given: Settings that were given as arguments, and so win over config.
        client: The account.
        scratch: What it has read and is to compare.
        turn: Its turn on the dataset.
        board: Where it says how far it is.
        stop: Set it to end the run cleanly; the account's calls heed it as well.
    """

    settings: Settings
    given: Mapping[str, Any]
    scope: Scope
    client: Pipedrive
    warehouse: Warehouse
    scratch: Scratch
    turn: Turn
    progress: Progress
    board: Board
    stop: Stop
    run_id: str
    started_at: datetime = field(default_factory=lambda: pendulum.now("UTC"))

    @property
    def workers(self) -> int:
        """How many calls are to be in flight at once, at present."""
        told = self.settings.workers
        return self.client.at_once if told == "auto" else told

    def tell(self, record: RunRecord, step: str, done: int, total: int | None) -> None:
        """Says how far a step is.

        Args:
            record: The run.
            step: What it does.
            done: How much of it is done.
            total: Of how much; None where that is not known yet.
        """
        self.progress(step, done, total)
        self.board.begin(step)
        self.post(record, done, total, {})

    def post(
        self, record: RunRecord, done: int, total: int | None, statuses: Mapping[str, int]
    ) -> None:
        """Says the same of the step that is under way, from any thread, with its outcomes.

        Args:
            record: The run.
            done: How much of it is done.
            total: Of how much.
            statuses: How many outcomes there are of each status.
        """
        self.board.post(
            run_id=self.run_id,
            command=record.command,
            done=done,
            total=total,
            statuses=statuses,
            tokens=self.client.usage.tokens,
            tokens_left=self.client.tokens_left,
        )

    def record(self, command: str, plan_id: str | None = None, **noted: Any) -> RunRecord:
        """Returns the record of this run as it begins.

        Args:
            command: What it does.
            plan_id: The stored plan that it applies; its own by default, which has its id.
            **noted: What is known of it already.
        """
        scope = {"lead": self.scope.lead, "narrowed_by": self.scope.narrowing}
        return RunRecord(
            self.run_id,
            plan_id or self.run_id,
            command,
            started_at=self.started_at,
            **{**scope, **noted},
        )

    def load(self, marked: Iterator[Marked]) -> None:
        """Loads batches of rows in one dlt package; without rows there is none.

        Raises:
            PipedriveError: The rows come from the API, and it failed.
            TurnLost: It is not this run's turn any more.
            WarehouseError: They cannot be loaded.
        """
        self.warehouse.permit()
        with self._told():
            load(self.warehouse.pipeline, self._permitted(marked))

    def load_pages(self, table: str, pages: Iterator[list[TableRow]]) -> None:
        """Loads rows of one table, page by page, in packages of up to 60 MB.

        Raises:
            PipedriveError: The rows come from the API, and it failed.
            TurnLost: It is not this run's turn any more.
            WarehouseError: They cannot be loaded.
        """
        with self._told():
            load_pages(self.warehouse.pipeline, table, pages, self.warehouse.permit)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says that the turn is lost, where a load failed for that."""
        try:
            yield
        except WarehouseError:
            self.warehouse.permit()
            raise

    def _permitted(self, marked: Iterator[Marked]) -> Iterator[Marked]:
        """Lets nothing pass that took so long to read that another run has come meanwhile."""
        yield from marked
        self.warehouse.permit()


@contextmanager
def open_session(
    given: Mapping[str, Any],
    scope: Scope,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    spent: Spent = NOTHING_SPENT,
) -> Iterator[Session]:
    """Takes the locks and the turn, and opens the warehouse.

    Args:
        given: Settings that win over config.
        scope: What the run looks at.
        progress: Told how far it is.
        stop: Ends it early and cleanly, once it is set.
        spent: What the command has used up before; `token_budget` and `max_seconds` bound all.

    Raises:
        ConfigError: A setting is missing, or it or an argument cannot be used.
        RunUnderWay: Another run has its turn, or holds the working folder or the warehouse.
        LockedError: Another program holds the warehouse.
        WarehouseError: The warehouse cannot be opened.
    """
    stopping = Stop(None if stop is None else read_argument("stop", readers.event, stop))
    progress = read_argument("progress", readers.function, progress)
    settings = load_settings(**given)
    client = make_client(settings, stopping, spent.tokens)
    run_id = new_id()
    enter = partial(_enter, settings, run_id, stopping)
    seconds = settings.max_seconds and max(settings.max_seconds - spent.seconds, AT_ONCE)
    board = Board(working_folder(settings), getattr(progress, "watch", None))
    with stop_after(seconds, stopping, f"max_seconds {settings.max_seconds:g}"):
        stack, warehouse, turn = wait_for_turn(enter, settings.lock_wait_seconds, stopping)
        client.may_write = turn.may_send
        with stack:
            scratch = stack.enter_context(open_scratch(Path(warehouse.pipeline.working_dir)))
            stack.callback(board.clear)
            places = (client, warehouse, scratch, turn)
            yield Session(settings, given, scope, *places, progress, board, stopping, run_id)


def _enter(
    settings: Settings, run_id: str, stop: threading.Event
) -> tuple[ExitStack, Warehouse, Turn]:
    """Takes what a run needs to itself; what is returned first gives it back.

    Raises:
        LeadSyncError: Somebody holds it, or it cannot be used; nothing is held then.
    """
    folder = working_folder(settings)
    with ExitStack() as stack:
        stack.enter_context(hold(folder))
        sweep(folder)
        pipeline = make_pipeline(settings)
        warehouse = stack.enter_context(open_dataset(pipeline, settings, may_make=True))
        claim_folder(pipeline)
        turn = stack.enter_context(take_turn(warehouse, run_id, settings.lease_seconds, stop))
        return stack.pop_all(), warehouse, turn


def lead_id(text: str) -> str:
    """Returns a lead's id as the tables have it.

    Raises:
        ConfigError: It is no UUID.
    """
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise ConfigError(f"lead {text!r} {error}") from None


def make_client(
    settings: Settings, stop: threading.Event | None = None, spent: int = 0
) -> Pipedrive:
    """Returns a client for the account that the settings name.

    Args:
        settings: The account, and what may be spent there.
        stop: Ends what it does.
        spent: Tokens of the budget that were spent before.
    """
    return Pipedrive(
        settings.base_url,
        ApiToken(settings.api_token),
        stop=stop,
        attempts=settings.max_attempts,
        timeout_seconds=settings.timeout_seconds,
        burst=settings.burst_limit or None,
        budget=Budget(settings.token_budget or None, settings.token_reserve, spent),
    )
