"""The protocol in small: one lead, two fields, three values, and everybody who may touch them.

A state is what is there between two steps: the lead, the tables, the process that runs, what is on
its way, and what really happened (which no process sees). A step is one call to Pipedrive with
what becomes of it, and the local work behind it; an edit of a colleague; or a kill. What is
decided, sent and recorded is decided by the production functions, `Sender` with its `Attempt`
included. Only the calls are answered here, and the tables are tuples.

Whose turn it is decides `Turn`. A process may fall asleep between two calls, for longer than its
turn lasts: another machine may take over then, and the first one may wake up at any time.

Simplified: a PATCH arrives before the turn of its process is over, and a load is whole or nothing,
as no warehouse takes one whose turn is over (`tests/faults/test_asleep.py`); an edit between a
process's last look and its PATCH is not seen by anybody; the lead is neither deleted nor archived;
no guard stops anything; and no base of `on_conflict` is known, so that only fresh looks hold it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from itertools import product, takewhile
from typing import Any, Literal, NamedTuple, cast

import orjson

from connector.errors import TurnLost
from connector.pipedrive.budget import SetAside
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import Answer as HttpAnswer
from connector.pipedrive.errors import InDoubt, Interrupted, Refused
from connector.pipedrive.usage import Usage
from connector.planning.columns import Columns, map_columns
from connector.planning.diff import decide
from connector.planning.earlier import (
    as_wanted,
    resolve_doubt,
    resolve_interrupted,
    resolve_planned,
)
from connector.planning.look import decide_anew, decide_exactly
from connector.planning.model import Comparison, Outcome, Patch, Planned
from connector.planning.repeats import without_repeats
from connector.planning.undo import undo
from connector.sync.sending import Breaker, Sender
from connector.sync.spelling import OptionSpelling
from connector.sync.turn import Turn
from connector.warehouse import history
from connector.warehouse.rows import (
    digest,
    doubtful_patch_of,
    outcome_row,
    patch_of,
    patch_rows,
    settling_row,
    taken_patch_of,
    tried_of,
)
from connector.warehouse.store import Warehouse
from tests.support.account import BY_KEY, FIELDS, LEAD_ID

KEYS = ("title", "channel_id")
VALUES: tuple[tuple[str | None, ...], ...] = (("A", "B", "C"), (None, "B", "C"))
WISHES = (("B", "B"), ("C", None))
BEGINNING = ("A", None)
PERSON = "a person"
NOTHING = "null"
"""A document that makes no difference any more."""
Lead = tuple[str | None, ...]


class PatchRow(NamedTuple):
    """A row of `lead_patches`; documents are JSON text."""

    patch_id: str
    plan_id: str
    lead_id: str
    body: str
    before: str
    digest: str
    conditions: str
    planned_at: None = None


class OutcomeRow(NamedTuple):
    """A row of `lead_outcomes`."""

    outcome_id: str
    run_id: str
    settled_by: str | None
    plan_id: str
    patch_id: str
    lead_id: str
    status: str
    body: str
    before: str
    after: str
    took: str | None
    http_status: int | None
    lead_updated: None = None
    error: None = None
    reason: str = ""
    conditions: str = "null"
    sent_at: None = None


class RunRow(NamedTuple):
    """A row of `sync_runs`."""

    run_id: str
    plan_id: str
    command: str
    state: str = "running"
    released: bool = False
    sends_from: bool = False
    sends_plans: str | None = None
    sends_until: str | None = None
    lead: None = None
    machine: int = 0
    settled: bool = False

    @property
    def started_at(self) -> str:
        return self.run_id


class Tables(NamedTuple):
    """What the warehouse has."""

    runs: tuple[RunRow, ...] = ()
    patches: tuple[PatchRow, ...] = ()
    outcomes: tuple[OutcomeRow, ...] = ()

    def with_rows(self, rows: tuple[PatchRow | OutcomeRow, ...]) -> Tables:
        """Return the tables once rows are loaded: none is ever written over another."""
        patches, outcomes = list(self.patches), list(self.outcomes)
        for row in rows:
            if isinstance(row, PatchRow):
                patches += [row] * all(one.patch_id != row.patch_id for one in patches)
            else:
                outcomes += [row] * all(one.outcome_id != row.outcome_id for one in outcomes)
        return Tables(self.runs, tuple(patches), tuple(outcomes))

    def with_run(self, run_id: str, **changes: Any) -> Tables:
        runs = (run._replace(**changes) if run.run_id == run_id else run for run in self.runs)
        return self._replace(runs=tuple(runs))

    def rows_of(self, patch_id: str) -> list[OutcomeRow]:
        return [row for row in self.outcomes if row.patch_id == patch_id]

    @property
    def unfinished(self) -> list[PatchRow]:
        """What `Warehouse.unfinished_patches` selects."""
        plans = {one.plan_id for one in self.runs if one.released and one.state in OPEN}
        done = {row.patch_id for row in self.outcomes}
        return [one for one in self.patches if one.plan_id in plans and one.patch_id not in done]

    @property
    def doubtful(self) -> list[OutcomeRow]:
        """What `Warehouse.doubtful_outcomes` selects."""
        told = {row.patch_id for row in self.outcomes if row.took is not None}
        return [row for row in self.outcomes if row.took is None and row.patch_id not in told]


OPEN = ("running", "failed")
Package = tuple[PatchRow | OutcomeRow, ...]


class Sending(NamedTuple):
    """A patch that is to be sent: its row, and what of it is in effect already."""

    row: PatchRow
    left: tuple[str, ...] | None = None
    took: tuple[str, ...] = ()

    @property
    def patch(self) -> Patch:
        return replace(patch_of(self.row._asdict()), left=self.left, took=self.took)


class Answer(NamedTuple):
    """What a call brought: the lead, or nothing for a reason; and whether a stop was asked then."""

    lead: Lead | None
    error: Literal["", "lost", "refused"] = ""
    stop: bool = False


class Request(NamedTuple):
    """The call that a process makes next."""

    method: Literal["GET", "PATCH"]
    patch_id: str = ""
    body: tuple[tuple[str, str | None], ...] = ()


class Job(NamedTuple):
    """A process of the command: what it does, and what Pipedrive has answered to it so far."""

    machine: int
    run_id: str
    command: str
    target: str
    sending: tuple[Sending, ...] | None = None
    answers: tuple[Answer, ...] = ()
    policy: str = ""


class Truth(NamedTuple):
    """What really happened; nobody in the model may look at it.

    Attributes:
        writers: Who made each field what it is: a patch, a person, or nobody.
        fresh: The fields that a person has changed since a process last read the lead.
        overtaken: Patches and keys that a process has seen changed by a person meanwhile.
        offered: Patches and keys that a run was about to send, and which run.
        issued: Patches and keys that left a process.
        effects: Patches and keys that took effect.
        persons: Keys and values that a person has set.
    """

    writers: tuple[str, ...] = ("", "")
    fresh: frozenset[str] = frozenset()
    overtaken: frozenset[tuple[str, str]] = frozenset()
    offered: frozenset[tuple[str, str, str]] = frozenset()
    issued: frozenset[tuple[str, str]] = frozenset()
    effects: frozenset[tuple[str, str]] = frozenset()
    persons: frozenset[tuple[str, str | None]] = frozenset()


class State(NamedTuple):
    """All there is between two steps.

    Attributes:
        pending: For each machine the package that a killed process left in its folder.
        late: Patches whose PATCH is still on its way, with its body.
        asleep: A process that stands still for longer than its turn lasts.
    """

    lead: Lead = BEGINNING
    wish: int = 0
    tables: Tables = Tables()
    pending: tuple[Package, Package] = ((), ())
    job: Job | None = None
    late: tuple[Request, ...] = ()
    truth: Truth = Truth()
    asleep: Job | None = None


class Step(NamedTuple):
    """A step, and the state after it.

    Attributes:
        length: Of how many single steps it is made; nobody else can see what is between them.
        troubles: How many of these nobody wished for: an edit, a kill, a call that went wrong.
    """

    label: str
    after: State
    length: int = 1
    troubles: int = 0

    def then(self, label: str, after: State, length: int = 0, troubles: int = 0) -> Step:
        """Return the step that goes on with this one."""
        return Step(f"{self.label}; {label}", after, self.length + length, self.troubles + troubles)


class Violation(AssertionError):
    """An invariant does not hold."""


class _NotAnsweredYet(BaseException):
    """A process has made a call to which there is no answer yet."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.request = request


class _Stop(threading.Event):
    """A request to stop that came with one of the answers; nobody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class _Turn(Turn):
    """The turn of a process that wakes up: it is over, and the warehouse says who has it now."""

    def __init__(self, holder: str, held_by: str, stop: threading.Event) -> None:
        super().__init__(cast(Warehouse, None), holder, -1.0, stop)
        self._held_by = held_by

    def renew(self) -> bool:
        if self._held_by != self._holder:
            self._lose("another run has taken over")
        return self._held_by == self._holder


class _Account:
    """Answers the calls of a process from a list, as far as it goes.

    Attributes:
        turn: Of a process that has woken up, which then reads the lead as it is now.
    """

    def __init__(self, patch_id: str, answers: tuple[Answer, ...], attempts: int) -> None:
        self.stop, self.usage, self.attempts = _Stop(), Usage(), attempts
        self.turn: _Turn | None = None
        self.now: Lead = ()
        self.wrong = ""
        self._patch_id = patch_id
        self._answers = iter(answers)

    def wake(self, holder: str, held_by: str, now: Lead) -> _Turn:
        """Let whatever is not answered yet be for a process that wakes up."""
        self.turn, self.now = _Turn(holder, held_by, self.stop), now
        return self.turn

    def setting_aside(self) -> AbstractContextManager[SetAside]:
        """Bound nothing: no budget ends in here."""
        return nullcontext(SetAside())

    def get(
        self, _type: Any, _lead_id: str, _usage: Usage | None = None, _aside: Any = None
    ) -> dict[str, Any]:
        return self._answer(Request("GET"))

    get_once = get

    def patch(
        self, _type: Any, _id: str, body: dict[str, Any], _usage: Any, _aside: Any
    ) -> dict[str, Any]:
        return self._answer(Request("PATCH", self._patch_id, tuple(body.items())))

    def _answer(self, request: Request) -> dict[str, Any]:
        answer = next(self._answers, None)
        if answer is None and self.turn is not None:
            if request.method == "PATCH":
                if self.turn.may_send():
                    self.wrong = f"{request} is sent when its turn is over"
                raise Interrupted("the run may write no more")
            answer = Answer(self.now)
        if answer is None:
            raise _NotAnsweredYet(request)
        if answer.stop:
            self.stop.set()
        if answer.error == "lost":
            raise InDoubt("no answer")
        if answer.error == "refused":
            raise Refused("400", HttpAnswer(400, {}, {"success": False}))
        return _document(cast(Lead, answer.lead))


def _document(lead: Lead) -> dict[str, Any]:
    return {"id": LEAD_ID, "is_archived": False, **dict(zip(KEYS, lead, strict=True))}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


_read = cache(orjson.loads)


def _stored(rows: Iterator[Mapping[str, Any]] | list[Any]) -> Package:
    """Return rows of outcomes as the tables have them."""
    found = []
    for row in rows:
        known = {name: row[name] for name in OutcomeRow._fields if name in row}
        known |= {name: _json(row[name]) for name in ("body", "before", "after")}
        known["took"] = None if row["took"] is None else _json(row["took"])
        known |= {"error": None, "reason": "", "lead_updated": None, "sent_at": None}
        found.append(OutcomeRow(**known))
    return tuple(found)


class _Runs:
    """As much of a warehouse as tells who has sent what."""

    def __init__(self, tables: Tables, run_id: str) -> None:
        rows = (run for run in tables.runs if run.released and run.state in OPEN)
        self._rows = [
            {**run._asdict(), "started_at": run.started_at} for run in rows if run.run_id != run_id
        ]

    def column_names(self, _table: str) -> set[str]:
        return {"run_id"}

    def table(self, name: str) -> str:
        return name

    def query(self, _sql: str, *_args: str) -> list[dict[str, Any]]:
        return self._rows


@dataclass(frozen=True)
class Rules:
    """What is the same in all states.

    Attributes:
        on_conflict: The policy of the table.
        attempts: Tries of a call.
        commands: How many commands may be started.
        machines: How many working folders there are.
        late: Whether a PATCH without an answer may arrive while its process lives.
        sleeps: Whether a process may stand still for longer than its turn lasts.
        policies: The policies that a run may be called with.
    """

    on_conflict: str = "warehouse"
    attempts: int = 2
    commands: int = 4
    machines: int = 1
    late: bool = False
    sleeps: bool = False
    policies: tuple[str, ...] = ()


class Protocol:
    """All steps that may follow a state, each held against the invariants."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._policies = rules.policies or (rules.on_conflict,)
        self._columns: dict[str, Columns] = {
            policy: map_columns(["lead_id", *KEYS], FIELDS, on_conflict=policy)
            for policy in self._policies
        }
        self._next = cache(self._advance)
        self._begun = cache(self._begin)

    def steps(self, state: State) -> Iterator[Step]:
        """Yield each step and the state after it."""
        for number, key in enumerate(KEYS):
            for value in VALUES[number]:
                if value != state.lead[number]:
                    label, edited = f"a person sets {key} to {value}", _edited(state, number, value)
                    yield Step(label, edited, troubles=1)
        if state.asleep is not None:
            yield self._woken(state, state.asleep)
        if state.job is None:
            yield from self._starts(state)
            return
        for number, request in enumerate(state.late):
            others = state.late[:number] + state.late[number + 1 :]
            arrived = _written(state._replace(late=others), request)
            yield Step(f"arrives late: {request.body}", arrived)
        for call in self._called(state, state.job):
            for step in self._heard(call):
                yield step if step.after.job else step._replace(after=_arrived(step.after))
                if step.after.late and step.after.job is None:
                    yield step.then("what is late arrives", _arrived(step.after, written=True))

    # Commands

    def _starts(self, state: State) -> Iterator[Step]:
        if state.wish == 0:
            yield Step("the table changes", state._replace(wish=1), troubles=1)
        if len(state.tables.runs) >= self._rules.commands:
            return
        alike = state.pending[0] == state.pending[1] and state.asleep is None
        machines = [*range(1 if alike else self._rules.machines)]
        if state.asleep is not None:  # its working folder is locked as long as it lives
            machines.remove(state.asleep.machine)
        for machine, (command, target, policy) in product(machines, self._commands(state.tables)):
            package, pending = state.pending[machine], list(state.pending)
            pending[machine] = ()
            if _has_settled_since(state.tables.runs, machine):
                package = ()  # another machine has settled what this one left
            tables = state.tables.with_rows(package)
            runs = tuple(
                run._replace(state="failed") if run.state == "running" else run
                for run in tables.runs
            )
            run_id = f"r{len(runs) + 1}"
            plan_id = target if command == "apply" else run_id
            row = RunRow(run_id, plan_id, command, machine=machine)
            job = Job(machine, run_id, command, target, policy=policy)
            begun = state._replace(
                tables=tables._replace(runs=(*runs, row)),
                pending=(pending[0], pending[1]),
                job=job,
            )
            how = f" under {policy}" * bool(self._rules.policies) * (command in ("run", "plan"))
            step = Step(f"machine {machine} begins {command} {target}".rstrip() + how, begun)
            yield from self._read(step, job)

    def _commands(self, tables: Tables) -> Iterator[tuple[str, str, str]]:
        """Yield what may be asked for; the rest is refused, as `admit` and `admit_revert` do."""
        for policy in self._policies:
            yield "run", "", policy
            yield "plan", "", policy
        done = {row.patch_id for row in tables.outcomes}
        for run in tables.runs:
            left = [one for one in tables.patches if one.plan_id == run.run_id]
            if run.state == "done" and any(one.patch_id not in done for one in left):
                yield "apply", run.run_id, self._policies[0]
            sent = any(
                row.run_id == run.run_id and row.took not in (None, "[]") for row in tables.outcomes
            )
            plans = {run.run_id, run.plan_id}
            open_ = any(one.plan_id in plans for one in tables.unfinished) or any(
                row.run_id in plans for row in tables.doubtful
            )
            if sent or open_:
                yield "revert", run.run_id, self._policies[0]

    def _read(self, begun: Step, job: Job) -> Iterator[Step]:
        """The lead is read, what earlier runs left is settled, a plan is made and loaded."""
        state = begun.after
        yield begun.then("killed", _killed(state), 1, 1)
        truth = _seen(state.truth, state.tables, state.lead)
        tables, packages, sending = self._begun(
            state.tables, state.lead, state.wish, job._replace(machine=0)
        )
        step = begun.then("reads", state._replace(tables=tables, truth=truth), 1)
        for package in packages:
            yield from _kills(step, package)
            loaded = step.after.tables.with_rows(package)
            step = step.then("loads", step.after._replace(tables=loaded), 1)
        settled = step.after.tables.with_run(job.run_id, settled=True)
        step = step._replace(after=step.after._replace(tables=settled))
        if job.command == "revert":
            _check_undo(step.after, job)
        if packages:
            yield step.then("killed before it sends", _killed(step.after), 1, 1)
        if not sending:
            yield step.then("ends", self._ended(step.after, "done"), 1)
            return
        plans = " ".join(sorted({one.row.plan_id for one in sending}))
        until = max(one.row.patch_id for one in sending)
        sends = {"sends_from": True, "sends_plans": plans, "sends_until": until}
        tables = step.after.tables.with_run(job.run_id, **sends)
        offered = {(one.row.patch_id, key, job.run_id) for one in sending for key in one.patch.body}
        truth = truth._replace(offered=truth.offered | offered)
        begins = step.after._replace(tables=tables, job=job._replace(sending=sending), truth=truth)
        yield step.then("begins to send", begins, 1)

    def _begin(
        self, tables: Tables, lead: Lead, wish: int, job: Job
    ) -> tuple[Tables, list[Package], tuple[Sending, ...]]:
        """Return the tables, what is loaded one after the other, and what is to be sent then."""
        now = _document(lead)
        row = {"lead_id": LEAD_ID, **dict(zip(KEYS, WISHES[wish], strict=True))}
        doubts = [doubtful_patch_of(one._asdict()) for one in tables.doubtful]
        settled: list[Outcome] = []
        if doubts:
            settled = resolve_doubt(Comparison(LEAD_ID, [], now, doubts), BY_KEY)
        packages = [_stored([settling_row(job.run_id, one) for one in settled])]
        sender = history.sender(cast(Warehouse, _Runs(tables, job.run_id)), job.run_id)
        releases = job.command in ("run", "apply")
        resumed = job.command == "apply" and any(
            run.plan_id == job.target and run.released for run in tables.runs
        )
        if releases:
            tables = tables.with_run(job.run_id, released=True)
        left = [Sending(one) for one in tables.unfinished]
        others = [one for one in left if job.command != "apply" or one.row.plan_id != job.target]
        parts: dict[str, Sending] = {}
        if others:
            sent = [sender(one.patch) for one in others]
            wanted = as_wanted(self._columns[job.policy], unarchive=False)
            overtaken = "a later plan of this lead comes in its place"
            still = wanted if job.command in ("run", "plan") else lambda _found, _rest: overtaken
            found = Comparison(LEAD_ID, [row], now, sent)
            packages.append(self._resolve(resolve_interrupted(found, BY_KEY, still), job, parts))
        if job.command == "apply":
            own = [one.patch for one in left if one.row.plan_id == job.target]
            if resumed:
                own = [*map(sender, own)]
            if own:
                resolved = resolve_planned(Comparison(LEAD_ID, [], now, own), BY_KEY)
                packages.append(self._resolve(resolved, job, parts))
        after = tables
        for package in packages:
            after = after.with_rows(package)
        packages.append(self._plan(after, now, row, job))
        after = after.with_rows(packages[-1])
        sending = tuple(parts.get(one.patch_id, Sending(one)) for one in after.unfinished)
        return tables, [one for one in packages if one], sending if releases else ()

    def _resolve(self, resolved: Any, job: Job, parts: dict[str, Sending]) -> Package:
        rows = _stored([outcome_row(job.run_id, one) for one in resolved.outcomes])
        for one in resolved.left:
            parts[one.patch_id] = Sending(_row_of(one), one.left, one.took)
        return rows

    def _plan(self, tables: Tables, now: dict[str, Any], row: Any, job: Job) -> Package:
        if job.command == "apply":
            return ()
        if job.command == "revert":
            taken = [
                taken_patch_of(one._asdict())
                for one in tables.outcomes
                if one.run_id == job.target and one.took is not None
            ]
            taken = [one for one in taken if one.body]
            if not taken:
                return ()
            decision = undo(Comparison(LEAD_ID, [], now, taken), BY_KEY)
        else:
            own = [one for one in tables.outcomes if job.run_id in (one.run_id, one.settled_by)]
            if job.command == "run" and (
                tables.unfinished or any(one.status == "conflict" for one in own)
            ):
                return ()
            tried = [
                tried_of(one._asdict())
                for one in tables.outcomes
                if one.took is not None and one.status == "ignored"
            ]
            wanted = decide([row], now, self._columns[job.policy], unarchive=False)
            decision = without_repeats(wanted, now, tried, BY_KEY)
        if not isinstance(decision, Planned):
            return ()
        planned = patch_rows(job.run_id, 1, decision)
        return tuple(
            PatchRow(
                one["patch_id"],
                job.run_id,
                LEAD_ID,
                _json(one["body"]),
                _json(one["before"]),
                one["digest"],
                _json(one["conditions"]),
            )
            for one in planned
        )

    # Sending

    def _called(self, state: State, job: Job) -> Iterator[Step]:
        """The process makes its next call."""
        made = self._next(job)
        assert isinstance(made, Request)
        if self._rules.sleeps and state.asleep is None:
            yield Step("falls asleep", state._replace(job=None, asleep=job), 1, 1)
        if made.method == "PATCH":
            if job.command == "run" and job.policy != "warehouse" and not job.answers:
                raise Violation(f"{made} goes out under {job.policy} without a look")
            yield from self._sent(state, made)
            return
        yield Step("killed", _killed(state), 1, 1)
        seen = state._replace(truth=_seen(state.truth, state.tables, state.lead))
        for stop in (False, True):
            said = ", asked to stop" * stop
            yield Step(f"reads{said}", _told(seen, Answer(state.lead, stop=stop)), 1, stop)
            lost = _told(state, Answer(None, "lost", stop))
            yield Step(f"reads in vain{said}", lost, 1, 1 + stop)

    def _sent(self, state: State, made: Request) -> Iterator[Step]:
        what = f"sends {', '.join(f'{key} {value}' for key, value in made.body)}"
        sent = _issued(state, made, strict=not self._rules.late)
        took = _written(sent, made)
        for reached, effect in ((sent, "no effect"), (took, "in effect")):
            yield Step(f"{what}, killed, {effect}", _killed(reached), 1, 1)
            for stop in (False, True):
                said = ", asked to stop" * stop
                lost = _told(reached, Answer(None, "lost", stop))
                yield Step(f"{what}, no answer, {effect}{said}", lost, 1, 1 + stop)
        yield Step(f"{what}, done", _told(took, Answer(took.lead)))
        yield Step(f"{what}, refused", _told(sent, Answer(None, "refused")), 1, 1)
        if len(made.body) > 1 and not self._rules.late:
            part = _written(sent, made._replace(body=made.body[:1]))
            yield Step(f"{what}, taken in part", _told(part, Answer(part.lead)), 1, 1)
        if self._rules.late and not state.late:
            late = sent._replace(late=(made,))
            yield Step(f"{what}, late", _told(late, Answer(None, "lost")), 1, 1)

    def _heard(self, step: Step) -> Iterator[Step]:
        """A call has ended; after the last one the process loads what came of them and ends."""
        job = step.after.job
        made = None if job is None else self._next(job)
        if job is None or made is None or isinstance(made, Request):
            yield step
            return
        package, stopped = made
        yield from _kills(step, package)
        if self._rules.sleeps and step.after.asleep is None:
            asleep = step.after._replace(job=None, asleep=job)
            yield step.then("falls asleep before a load", asleep, 1, 1)
        loaded = step.after._replace(tables=step.after.tables.with_rows(package))
        yield step.then("killed before its end", _killed(loaded), 2, 1)
        yield step.then("ends", self._ended(loaded, "stopped" if stopped else "done"), 2)

    def _woken(self, state: State, job: Job) -> Step:
        """A process wakes up when its turn is over: it sends nothing, and may record nothing."""
        account = self._account(job)
        turn = account.wake(job.run_id, state.tables.runs[-1].run_id, state.lead)
        package, _ = self._run(job, account)
        if account.wrong:
            raise Violation(account.wrong)
        try:
            turn.hold_on()
        except TurnLost:
            if state.tables.runs[-1].run_id == job.run_id:
                raise Violation(f"{job} records nothing, though nobody has come") from None
            return Step("wakes up, and its turn is lost", state._replace(asleep=None))
        if state.tables.runs[-1].run_id != job.run_id:
            raise Violation(f"{job} records something after another run has come")
        seen = _seen(state.truth, state.tables, state.lead)
        tables = state.tables.with_rows(package)
        loaded = state._replace(tables=tables, truth=seen, job=job, asleep=None)
        return Step("wakes up, and ends", self._ended(loaded, "stopped"))

    def _account(self, job: Job) -> _Account:
        patch_id = (job.sending or ())[0].row.patch_id
        return _Account(patch_id, job.answers, self._rules.attempts)

    def _advance(self, job: Job) -> Request | tuple[Package, bool]:
        """Let the production code run on the answers so far; return its next call, or its end."""
        try:
            return self._run(job, self._account(job))
        except _NotAnsweredYet as made:
            return made.request

    def _run(self, job: Job, account: _Account) -> tuple[Package, bool]:
        exactly = decide_exactly if job.command == "apply" else decide_anew
        client = cast(Pipedrive, account)
        sender = Sender(client, BY_KEY, Breaker(100, 0), OptionSpelling(False), "auto", exactly)
        outcomes = sender.send_lead([one.patch for one in job.sending or ()])
        return _stored([outcome_row(job.run_id, one) for one in outcomes]), account.stop.is_set()

    def _ended(self, state: State, how: str) -> State:
        job = cast(Job, state.job)
        tables = state.tables.with_run(job.run_id, state=how)
        ended = state._replace(tables=tables, job=None)
        self._check_books(ended, job)
        return _without_history(ended)

    def _check_books(self, state: State, job: Job) -> None:
        """Hold the tables against what really happened, when a command has come to its end."""
        tables, truth = state.tables, state.truth
        left = {one.patch_id for one in tables.unfinished}
        released = {run.plan_id for run in tables.runs if run.released}
        for patch in tables.patches:
            rows = tables.rows_of(patch.patch_id)
            told = [row for row in rows if row.took is not None]
            if len(rows) > 2 or len(told) > 1 or (len(rows) == 2 and rows[0].took is not None):
                raise Violation(f"{patch.patch_id} has outcomes {rows}")
            in_time = job.command in ("run", "apply") or patch.patch_id not in left
            if patch.plan_id in released and not rows and in_time:
                raise Violation(f"{patch.patch_id} has no outcome")
            if rows and not told and rows[0].run_id != job.run_id:
                raise Violation(f"{patch.patch_id} is in doubt though {job.run_id} read the lead")
            if told and patch.body != NOTHING:
                _check_took(told[0], truth)
        for key, writer in zip(KEYS, truth.writers, strict=True):
            told = [row for row in tables.rows_of(writer) if row.took is not None]
            if told and key not in _read(told[0].took) and not self._is_chance(told[0], truth):
                raise Violation(f"{writer} made {key} what it is, and {told} does not say so")

    def _is_chance(self, row: OutcomeRow, truth: Truth) -> bool:
        """Tell whether a person wished the same while a PATCH was late: it seemed to be there."""
        return self._rules.late and not truth.persons.isdisjoint((_read(row.body) or {}).items())


def _row_of(patch: Patch) -> PatchRow:
    documents = _json(patch.body), _json(patch.before)
    conditions = _json(dict(patch.conditions) or None)
    return PatchRow(
        patch.patch_id, patch.plan_id, LEAD_ID, *documents, digest(patch.body), conditions
    )


def _has_settled_since(runs: Sequence[RunRow], machine: int) -> bool:
    """Tell whether another machine has settled what this one left last."""
    since = takewhile(lambda run: run.machine != machine, reversed(runs))
    return any(run.settled for run in since)


def _kills(step: Step, package: Package) -> Iterator[Step]:
    """A process is killed before it loads a package, or once that is in its folder."""
    state = step.after
    job = cast(Job, state.job)
    yield step.then("killed before a load", _killed(state), 1, 1)
    pending = list(state.pending)
    pending[job.machine] = package
    packed = state._replace(pending=(pending[0], pending[1]))
    yield step.then("killed in a load", _killed(packed), 1, 1)


def _killed(state: State) -> State:
    return state._replace(job=None)


def _arrived(state: State, *, written: bool = False) -> State:
    """Nothing is on its way for longer than its process lives."""
    for request in state.late if written else ():
        state = _written(state, request)
    return state._replace(late=())


def _told(state: State, answer: Answer) -> State:
    job = cast(Job, state.job)
    return state._replace(job=job._replace(answers=(*job.answers, answer)))


# What really happens, and what must never


def _edited(state: State, number: int, value: str | None) -> State:
    key = KEYS[number]
    lead, writers = list(state.lead), list(state.truth.writers)
    lead[number], writers[number] = value, PERSON
    truth = state.truth._replace(
        writers=tuple(writers),
        fresh=state.truth.fresh | {key},
        persons=state.truth.persons | {(key, value)},
    )
    return state._replace(lead=tuple(lead), truth=truth)


def _seen(truth: Truth, tables: Tables, lead: Lead) -> Truth:
    """A process reads the lead: it sees which patches a person has overtaken since they were made.

    A value that is as it was planned, or as the patch wants it, tells of nobody.
    """
    overtaken = set()
    for row in tables.patches:
        if row.body == NOTHING:
            continue
        before, body = _read(row.before), _read(row.body)
        for key, value in zip(KEYS, lead, strict=True):
            edited = key in truth.fresh or (row.patch_id, key) in truth.overtaken
            if key in body and edited and value not in (before[key], body[key]):
                overtaken.add((row.patch_id, key))
    return truth._replace(fresh=frozenset(), overtaken=frozenset(overtaken))


def _issued(state: State, made: Request, *, strict: bool) -> State:
    """A PATCH leaves a process."""
    for key, value in made.body:
        number = KEYS.index(key)
        if (made.patch_id, key) in state.truth.overtaken:
            raise Violation(f"{made} goes over a person's {key}")
        is_ours = state.truth.writers[number] not in ("", PERSON)
        if strict and is_ours and state.lead[number] == value:
            raise Violation(f"{made} sends {key} again, which is in effect")
    issued = state.truth.issued | {(made.patch_id, key) for key, _ in made.body}
    return state._replace(truth=state.truth._replace(issued=issued))


def _written(state: State, made: Request) -> State:
    """A PATCH takes effect."""
    lead, writers = list(state.lead), list(state.truth.writers)
    for key, value in made.body:
        number = KEYS.index(key)
        if lead[number] != value:
            lead[number], writers[number] = value, made.patch_id
    effects = state.truth.effects | {(made.patch_id, key) for key, _ in made.body}
    truth = state.truth._replace(writers=tuple(writers), effects=effects)
    return state._replace(lead=tuple(lead), truth=truth)


def _check_undo(state: State, job: Job) -> None:
    """See to it that a revert takes back what the run wrote, and nothing of a person."""
    tables = state.tables
    wrote = {
        (key, _read(row.body)[key])
        for row in tables.outcomes
        if row.run_id == job.target and row.took is not None
        for key in _read(row.took)
    }
    for patch in (one for one in tables.patches if one.plan_id == job.run_id):
        for key in _read(patch.body):
            if (key, state.lead[KEYS.index(key)]) not in wrote:
                raise Violation(f"{patch} takes back {key}, which {job.target} did not write")


def _check_took(row: OutcomeRow, truth: Truth) -> None:
    """See to it that nothing is in `took` that was not sent and is not in effect.

    Of what an earlier run was about to send nobody knows whether it was, once it was killed.
    """
    body = _read(row.body)
    for key in _read(row.took):
        own = (row.patch_id, key) in truth.issued
        others = any(
            (row.patch_id, key) == one[:2] and (row.settled_by or one[2] != row.run_id)
            for one in truth.offered
        )
        if not own and not others:
            raise Violation(f"{row} took {key}, which was never sent")
        if (row.patch_id, key) not in truth.effects and (key, body[key]) not in truth.persons:
            raise Violation(f"{row} took {key}, which never took effect")


def _without_history(state: State) -> State:
    """Leave out what can make no difference any more, so that states with other pasts are one."""
    tables, truth = state.tables, state.truth
    told = {row.patch_id: row for row in tables.outcomes if row.took is not None}
    open_ = [one for one in tables.patches if one.patch_id not in told]
    bodies = [_read(one.body) for one in open_]
    keys = {key for body in bodies for key in body}
    values = {item for body in bodies for item in body.items()}
    ids = {one.patch_id for one in open_}

    def of_open(pairs: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return frozenset(pair for pair in pairs if pair[0] in ids)

    truth = Truth(
        tuple("a job" if one in told else one for one in truth.writers),
        truth.fresh & keys,
        of_open(truth.overtaken),
        frozenset(one for one in truth.offered if one[0] in ids),
        of_open(truth.issued),
        of_open(truth.effects),
        truth.persons & values,
    )
    needed = {one.plan_id for one in open_} | {
        row.plan_id for package in state.pending for row in package
    }
    tables = Tables(
        tuple(run if run.plan_id in needed else _past_run(run) for run in tables.runs),
        tuple(one if one.patch_id in ids else _past_patch(one) for one in tables.patches),
        tuple(row if row.patch_id in ids else _past_outcome(row) for row in tables.outcomes),
    )
    return state._replace(tables=tables, truth=truth)


def _past_run(run: RunRow) -> RunRow:
    return RunRow(run.run_id, run.run_id, "", "done", machine=run.machine, settled=run.settled)


def _past_patch(patch: PatchRow) -> PatchRow:
    return PatchRow(patch.patch_id, patch.plan_id, LEAD_ID, NOTHING, NOTHING, "", NOTHING)


def _past_outcome(row: OutcomeRow) -> OutcomeRow:
    """What a revert reads stays, and what is not sent again."""
    row = row._replace(settled_by=None, http_status=None)
    if row.status == "ignored":
        return row
    row = row._replace(status="", after=NOTHING)
    return row._replace(body=NOTHING, before=NOTHING) if row.took in (None, "[]") else row
