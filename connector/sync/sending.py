"""When so many patches have failed that going on would only burn tokens. No I/O."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from itertools import islice

from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import (
    AccountError,
    BudgetSpent,
    Interrupted,
    PipedriveError,
    RateLimited,
    TooManyFailures,
)
from connector.planning.look import Anew, decide_anew, decide_exactly
from connector.planning.model import DAMAGED, DONE, FreshLook, Lead, Outcome, Patch
from connector.records.fields import Field
from connector.sync.attempt import Attempt, DecideAnew
from connector.sync.plans import Plan, patches_to_send
from connector.sync.recording import begin_sending, outcome_batches, save_counts
from connector.sync.session import Session
from connector.sync.spelling import OptionSpelling
from connector.warehouse import history
from connector.warehouse.record import RunRecord

log = logging.getLogger(__name__)
MISSED = "failed or were not taken"


class Breaker:
    """Counts the patches that were sent, and tells when to send no more.

    What breaks each lead, such as a changed API, shows as failures in a row; what breaks many,
    such as a field that lost its options, as the share that has failed. A patch that Pipedrive
    answered with 200 and did not take counts as one that failed; one that it tidied was taken.

    Args:
        in_a_row: So many failures in a row are too many, and so many in all are enough to judge
            the share by.
        percent: More than this share of the patches is too much; 0 leaves the share alone.
    """

    def __init__(self, in_a_row: int, percent: int) -> None:
        self._most_in_a_row = in_a_row
        self._percent = percent
        self._in_a_row = self._failed = self._sent = 0

    def count(self, outcome: Outcome) -> str | None:
        """Counts a patch that was sent; returns why to send no more, where there is a reason."""
        failed = outcome.status in ("failed", "ignored") and not outcome.is_tidied
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._failed += failed
        self._sent += 1
        if self._in_a_row >= self._most_in_a_row:
            return f"{self._most_in_a_row} patches in a row {MISSED}"
        if self._too_large_a_share():
            share = f"{self._failed} of {self._sent} patches {MISSED}"
            return f"{share}, more than breaker_percent {self._percent}"
        return None

    def _too_large_a_share(self) -> bool:
        judged = self._percent > 0 and self._failed >= self._most_in_a_row
        return judged and 100 * self._failed > self._percent * self._sent


class Sender:
    """Sends patches to one account until something says that no more may be sent.

    Args:
        client: The account; its `stop` event ends the sending.
        fields: The lead's fields by key, for checking answers.
        breaker: Ends the sending when too many patches fail.
        spelling: How the account takes the ids of options.
        look: Which leads are read directly before their PATCH.
        decide: Decides on these anew.
        stopped_by: Says who has asked the run to stop.
    """

    def __init__(
        self,
        client: Pipedrive,
        fields: Mapping[str, Field],
        breaker: Breaker,
        spelling: OptionSpelling,
        look: FreshLook = "auto",
        decide: DecideAnew = decide_anew,
        stopped_by: Callable[[], str] = lambda: "asked to",
    ) -> None:
        self._client = client
        self._fields = fields
        self._breaker = breaker
        self._spelling = spelling
        self._look = look
        self._decide = decide
        self._stopped_by = stopped_by
        self._lock = threading.Lock()
        self.halted_by: PipedriveError | None = None

    def send_lead(self, patches: list[Patch]) -> list[Outcome]:
        """Sends one lead's patches in order; one that fails defers those behind it."""
        outcomes: list[Outcome] = []
        for place, patch in enumerate(patches, 1):
            failed = next((one for one in outcomes if one.status not in DONE), None)
            if failed is None:
                outcomes.append(self.send(patch, patches[place:]))
            else:
                outcomes.append(_deferred(patch, f"the patch before it is {failed.status}"))
        return outcomes

    def send(self, patch: Patch, behind: Sequence[Patch] = ()) -> Outcome:
        """Sends one patch and returns its outcome, whatever happens.

        Args:
            patch: The patch.
            behind: Those that the lead gets after it.
        """
        if self._client.stop.is_set():
            return _deferred(patch, self._why())
        if not patch.intact:
            return Outcome(patch, "failed", DAMAGED, took=patch.took)
        outcome = self._outcome_of(patch, behind)
        self._watch(outcome)
        return outcome

    def _watch(self, outcome: Outcome) -> None:
        if outcome.status == "deferred":
            return  # not sent
        with self._lock:
            too_many = self._breaker.count(outcome)
        if too_many:
            self.halt(TooManyFailures(too_many))

    def _decide_for(self, patch: Patch, behind: Sequence[Patch]) -> DecideAnew | None:
        """Returns what decides anew on a patch that is looked at first; None for sending at once.

        Nothing is sent to a lead that one of its patches behind leaves to a person.
        """
        depends = patch.unread or self._decide is decide_exactly
        depends = depends or any(one.conditions for one in (patch, *behind))
        if self._look == "never" or (self._look == "auto" and not depends):
            return None

        def decide(patch: Patch, lead: Lead, fields: Mapping[str, Field]) -> Anew:
            anew = self._decide(patch, lead, fields)
            later = [self._decide(one, lead, fields) for one in behind]
            conflicts = [conflict for one in later if one.stops for conflict in one.conflicts]
            if not conflicts:
                return anew
            return Anew(anew.change, (*anew.conflicts, *conflicts), stops=True)

        return decide

    def _outcome_of(self, patch: Patch, behind: Sequence[Patch]) -> Outcome:
        decide = self._decide_for(patch, behind)
        attempt = Attempt(self._client, patch, self._fields, decide)
        try:
            return self._spelling.send(attempt)
        except Interrupted:
            return attempt.unsent(self._why())
        except (BudgetSpent, RateLimited) as error:
            self.halt(error)
            return attempt.unsent(self._why())
        except AccountError as error:
            self.halt(error)
            return attempt.failed(error)
        except Exception as error:
            log.exception("patch %s", patch.patch_id)
            return attempt.failed(PipedriveError(f"unexpected {type(error).__name__}"))

    def halt(self, error: PipedriveError) -> None:
        """Ends the sending; the first reason counts."""
        with self._lock:
            self.halted_by = self.halted_by or error
        self._client.stop.set()

    def _why(self) -> str:
        return f"the run stopped: {self.halted_by or self._stopped_by()}"


class Tally:
    """Counts what has become of leads as it happens, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: Counter[str] = Counter()
        self.leads = 0

    @property
    def statuses(self) -> dict[str, int]:
        """How many patches have come to each status; what was not sent is not counted."""
        with self._lock:
            return dict(self._statuses)

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Counts one lead's."""
        told = [status for one in outcomes for status in one.statuses if status != "deferred"]
        with self._lock:
            self._statuses.update(told)
            self.leads += all(one.status != "deferred" for one in outcomes)


def send_in_chunks(
    leads: Iterable[list[Patch]],
    send_lead: Callable[[list[Patch]], list[Outcome]],
    stop: threading.Event,
    *,
    begin: Callable[[list[Patch]], None],
    workers: Callable[[], int],
    chunk_size: Callable[[], int],
) -> Generator[list[Outcome], None, None]:
    """Yields the outcomes of chunk after chunk, in the order of the plan.

    While the caller loads one chunk's outcomes, the next chunk is on its way. Where it is closed
    before its end, or fails, no more is sent, and what is in flight is waited for: the next run
    would send again what is written after this one has given its turn back.

    Args:
        leads: The patches of each lead.
        send_lead: Sends one lead's patches.
        stop: Ends the sending.
        begin: Is told a chunk's patches before any of them is sent.
        workers: Tells how many leads of the next chunk are on their way at once.
        chunk_size: Tells how many leads it takes.
    """
    ahead: list[Future[list[Outcome]]] = []
    under_way = ahead
    try:
        for chunk in _chunks(leads, chunk_size):
            begin([patch for patches in chunk for patch in patches])
            pool = ThreadPoolExecutor(workers(), "patch")
            under_way = [pool.submit(send_lead, patches) for patches in chunk]
            pool.shutdown(wait=False)  # its threads end with the chunk
            if ahead:
                yield _collect(ahead)
            ahead = under_way
        yield _collect(ahead)
    except BaseException:
        stop.set()
        raise
    finally:
        wait([*ahead, *under_way])


def _collect(futures: list[Future[list[Outcome]]]) -> list[Outcome]:
    return [outcome for future in futures for outcome in future.result()]


def _chunks(leads: Iterable[list[Patch]], size: Callable[[], int]) -> Iterator[list[list[Patch]]]:
    waiting = iter(leads)
    while chunk := list(islice(waiting, size())):
        yield chunk


def _deferred(patch: Patch, reason: str) -> Outcome:
    own = patch if patch.took else replace(patch, sent_by=None)
    return Outcome(own, "deferred", reason, took=patch.took)


DEFERRED_CHUNK = 20_000
"""Leads a load once nothing is sent any more: only their outcomes are left to write."""


def apply_changes(
    session: Session,
    record: RunRecord,
    fields: Mapping[str, Field],
    plan: Plan,
    refused: PipedriveError | None = None,
) -> None:
    """Sends what is released and loads what came of it, chunk after chunk.

    Args:
        session: The run.
        record: Counts the outcomes.
        fields: The lead's fields by key, for checking answers.
        plan: What is to be sent.
        refused: Why nothing can be sent, where that is known.

    Raises:
        PipedriveError: What ended the sending early; every outcome is loaded by then.
    """
    settings, stop = session.settings, session.stop
    known = history.options_as_text(session.warehouse)
    spelling = OptionSpelling(known)
    sender = _sender_of(session, fields, plan, spelling)
    if refused is not None:
        sender.halt(refused)
    tally = Tally()

    def send_lead(patches: list[Patch]) -> list[Outcome]:
        outcomes = sender.send_lead(patches)
        tally.count(outcomes)
        session.post(record, tally.leads, plan.leads, tally.statuses)
        return outcomes

    def begin(patches: list[Patch]) -> None:
        if not stop.is_set():
            begin_sending(session, record, plan.plan_id, patches)

    chunks = send_in_chunks(
        patches_to_send(session, plan),
        send_lead,
        stop,
        begin=begin,
        workers=lambda: session.workers,
        chunk_size=lambda: DEFERRED_CHUNK if stop.is_set() else settings.chunk_size,
    )
    sent = 0
    session.tell(record, "apply", 0, plan.leads)
    with closing(chunks):
        for outcomes in chunks:
            session.load(outcome_batches(session, record, outcomes))
            save_counts(session, record)
            known = _note_spelling(session, spelling, known)
            sent += len(outcomes)
            session.progress("apply", tally.leads, plan.leads)
            log.info("%d patches done", sent)
    if sender.halted_by is not None:
        raise sender.halted_by
    if stop.is_set():
        raise Interrupted("the run was asked to stop")


def _sender_of(
    session: Session, fields: Mapping[str, Field], plan: Plan, spelling: OptionSpelling
) -> Sender:
    """Returns what sends a plan's patches as the settings say."""
    settings = session.settings
    return Sender(
        session.client,
        fields,
        Breaker(settings.breaker_failures, settings.breaker_percent),
        spelling,
        settings.fresh_look,
        decide_anew if plan.plan_id is None else decide_exactly,
        lambda: session.stop.reason.removeprefix("stopped "),
    )


def _note_spelling(session: Session, spelling: OptionSpelling, known: bool | None) -> bool | None:
    """Writes down how the account takes the ids of options, once that is found out."""
    if known is None and spelling.as_text is not None:
        history.note_options_as_text(session.warehouse, as_text=spelling.as_text)
    return spelling.as_text
