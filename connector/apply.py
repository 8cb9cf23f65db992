"""Sending patches: in parallel, each until its outcome is known. Nothing is raised for a lead.

After an answer that says nothing (a timeout, a reset, a 5xx, half a body) the PATCH may be in
effect. So the lead is read, for 2 tokens, before the PATCH is sent again, for 10.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import pendulum

from connector.diff import Status, shows
from connector.fields import Field
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import (
    AccountError,
    BudgetSpent,
    InDoubt,
    Interrupted,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
)
from connector.pipedrive.retry import retrying
from connector.pipedrive.usage import Usage
from connector.rows import Patch


@dataclass(frozen=True)
class Outcome:
    """What became of one patch.

    Attributes:
        body: The body as it was sent; None for the plan's own.
        lead: The lead as last returned, complete; None where no answer brought one.
        gone: Whether Pipedrive said that there is no such lead.
        waited_seconds: Time held back by limits and between attempts.
    """

    patch: Patch
    status: Status
    reason: str | None = None
    body: dict[str, Any] | None = None
    lead: dict[str, Any] | None = None
    gone: bool = False
    error: PipedriveError | None = None
    attempts: int = 0
    tokens: int = 0
    waited_seconds: float = 0.0
    sent_at: datetime | None = None
    finished_at: datetime = field(default_factory=lambda: pendulum.now("UTC"))


class Sender:
    """Sends patches to one account until something says that no more may be sent.

    Args:
        client: The account; its `stop` event ends the sending.
        fields: The lead's fields by key, for checking answers.
    """

    def __init__(self, client: Pipedrive, fields: Mapping[str, Field]) -> None:
        self._client = client
        self._fields = fields
        self._lock = threading.Lock()
        self._options_as_text = False
        self.halted_by: PipedriveError | None = None

    def send_lead(self, patches: list[Patch]) -> list[Outcome]:
        """Sends one lead's patches in order; one that fails defers those behind it."""
        outcomes: list[Outcome] = []
        for patch in patches:
            behind = next((one for one in outcomes if one.status not in DONE), None)
            if behind is None:
                outcomes.append(self.send(patch))
            else:
                outcomes.append(_deferred(patch, f"the patch before it is {behind.status}"))
        return outcomes

    def send(self, patch: Patch) -> Outcome:
        """Sends one patch and returns its outcome, whatever happens."""
        if self._client.stop.is_set():
            return _deferred(patch, self._why())
        if not patch.intact:
            reason = "the warehouse does not give its body back as it was planned; not sent"
            return Outcome(patch, "failed", reason)
        return self._outcome_of(patch)

    def _outcome_of(self, patch: Patch) -> Outcome:
        attempt = _Attempt(self._client, patch, self._fields)
        try:
            return self._in_either_spelling(attempt)
        except Interrupted:
            return attempt.unsent(self._why())
        except (BudgetSpent, RateLimited) as error:
            self._halt(error)
            return attempt.unsent(self._why())
        except AccountError as error:
            self._halt(error)
            return attempt.failed(error)
        except Exception as error:
            log.exception("patch %s", patch.patch_id)
            return attempt.failed(PipedriveError(f"unexpected {type(error).__name__}"))

    def _in_either_spelling(self, attempt: _Attempt) -> Outcome:
        """Sends option ids as numbers, or as text to an account that takes only that.

        Which of the two an account takes is not documented; a refusal tells, once a run.
        """
        if self._options_as_text:
            attempt.spell_options_as_text()
        outcome = attempt.run()
        refused = outcome.error is not None and outcome.status == "failed"
        if refused and attempt.spell_options_as_text():
            again = attempt.run()
            self._options_as_text = again.status in DONE
            return again if self._options_as_text else outcome
        return outcome

    def _halt(self, error: PipedriveError) -> None:
        with self._lock:
            self.halted_by = self.halted_by or error
        self._client.stop.set()

    def _why(self) -> str:
        return f"the run stopped: {self.halted_by or 'asked to'}"


log = logging.getLogger(__name__)
DONE: frozenset[Status] = frozenset({"applied", "confirmed"})


class _Attempt:
    """One patch on its way: how often it was sent, and whether it may be in effect."""

    def __init__(self, client: Pipedrive, patch: Patch, fields: Mapping[str, Field]) -> None:
        self._client = client
        self._patch = patch
        self._body = patch.body
        self._fields = fields
        self._usage = Usage(client.usage)
        self._sends = 0
        self._sent_at: datetime | None = None
        self._doubt: InDoubt | None = None

    def run(self) -> Outcome:
        """Sends until an answer says what became of the patch.

        Raises:
            PipedriveError: One that concerns more than this lead.
        """
        try:
            return retrying(self._client.stop, self._client.attempts, self._usage)(self._once)
        except LeadNotFound as error:
            return self._outcome("not_found", "no such lead any more", error=error, gone=True)
        except LeadArchived as error:
            return self._outcome("archived", "archived in Pipedrive", error=error)
        except Refused as error:
            return self._refused(error)
        except InDoubt as error:
            return self._last_look(error)

    def spell_options_as_text(self) -> bool:
        """Spells option ids as text, and tells whether that changed the body."""
        spelled = {
            key: str(value) if self._is_option(key) and isinstance(value, int) else value
            for key, value in self._body.items()
        }
        changed, self._body = spelled != self._body, spelled
        return changed

    def _is_option(self, key: str) -> bool:
        return key in self._fields and self._fields[key].type == "enum"

    def unsent(self, reason: str) -> Outcome:
        """Returns the outcome of a patch that the end of the run overtook."""
        if self._doubt is not None:
            return self.failed(self._doubt)
        return self._outcome("deferred", reason)

    def failed(self, error: PipedriveError) -> Outcome:
        """Returns the outcome of a patch that was refused or never got an answer."""
        if self._doubt is not None:
            return self._outcome("failed", "may be in effect: no answer told", error=error)
        return self._outcome("failed", str(error), error=error)

    def _once(self) -> Outcome:
        if self._doubt is not None:
            lead = self._client.lead_once(self._patch.lead_id, self._usage)
            if shows(self._patch.body, lead, self._fields):
                return self._outcome("confirmed", "found in effect by reading", lead=lead)
            self._doubt = None
        lead = self._send()
        if shows(self._patch.body, lead, self._fields):
            return self._outcome("applied", lead=lead)
        return self._outcome("ignored", _ignored(self._patch, lead, self._fields), lead=lead)

    def _send(self) -> dict[str, Any]:
        self._sent_at = self._sent_at or pendulum.now("UTC")
        self._sends += 1
        try:
            return self._client.patch_lead(self._patch.lead_id, self._body, self._usage)
        except InDoubt as error:
            self._doubt = error
            raise

    def _last_look(self, error: InDoubt) -> Outcome:
        """Reads once more after the last attempt, so that the outcome tells the truth."""
        try:
            lead = self._client.lead_once(self._patch.lead_id, self._usage)
        except PipedriveError:
            return self.failed(error)
        if shows(self._patch.body, lead, self._fields):
            return self._outcome("confirmed", "found in effect by reading", lead=lead)
        return self._outcome("failed", f"attempts used up: {error}", error=error, lead=lead)

    def _refused(self, error: Refused) -> Outcome:
        """Looks at the lead, as no status or text tells an archived lead for certain."""
        try:
            lead = self._client.lead(self._patch.lead_id, self._usage)
        except PipedriveError:
            return self.failed(error)
        if lead.get("is_archived") is True:
            return self._outcome("archived", "archived in Pipedrive", error=error, lead=lead)
        return self._outcome("failed", str(error), error=error, lead=lead)

    def _outcome(self, status: Status, reason: str | None = None, **known: Any) -> Outcome:
        return Outcome(
            self._patch,
            status,
            reason,
            body=self._body,
            attempts=self._sends,
            tokens=self._usage.tokens,
            waited_seconds=round(self._usage.waited_seconds, 3),
            sent_at=self._sent_at,
            **known,
        )


def send_in_chunks(
    leads: Iterable[list[Patch]],
    send_lead: Callable[[list[Patch]], list[Outcome]],
    *,
    workers: int,
    chunk_size: Callable[[], int],
) -> Iterator[list[Outcome]]:
    """Yields the outcomes of chunk after chunk, in the order of the plan.

    While the caller loads one chunk's outcomes, the next chunk is on its way.

    Args:
        leads: The patches of each lead.
        send_lead: Sends one lead's patches.
        workers: Leads on their way at once.
        chunk_size: Tells how many leads the next chunk takes.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="patch") as pool:
        ahead: list[Future[list[Outcome]]] = []
        for chunk in _chunks(leads, chunk_size):
            under_way = [pool.submit(send_lead, patches) for patches in chunk]
            if ahead:
                yield _collect(ahead)
            ahead = under_way
        yield _collect(ahead)


def _collect(futures: list[Future[list[Outcome]]]) -> list[Outcome]:
    return [outcome for future in futures for outcome in future.result()]


def _chunks(leads: Iterable[list[Patch]], size: Callable[[], int]) -> Iterator[list[list[Patch]]]:
    waiting = iter(leads)
    while chunk := list(islice(waiting, size())):
        yield chunk


def _deferred(patch: Patch, reason: str) -> Outcome:
    return Outcome(patch, "deferred", reason)


def _ignored(patch: Patch, lead: Mapping[str, Any], fields: Mapping[str, Field]) -> str:
    lost = [key for key in patch.body if not shows({key: patch.body[key]}, lead, fields)]
    return f"Pipedrive answered 200 but did not take {', '.join(lost)}"
