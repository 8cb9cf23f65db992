"""One patch on its way, until its outcome is known.

After an answer that says nothing (a timeout, a reset, a 5xx, half a body) the PATCH may be in
effect. So the lead is read, for 2 tokens, before the PATCH is sent again, for 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pendulum

from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import (
    BudgetSpent,
    InDoubt,
    Interrupted,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    Refused,
)
from connector.pipedrive.retry import retrying
from connector.pipedrive.usage import Usage
from connector.planning.diff import shows
from connector.planning.model import Outcome, Patch, Status
from connector.records.fields import Field
from connector.records.leads import LEADS

MAYBE_LATER = "; not in effect when last read, but a send had no answer, so it may be in effect"


class Attempt:
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
        self._unanswered: InDoubt | None = None

    def run(self) -> Outcome:
        """Sends until an answer says what became of the patch.

        Raises:
            PipedriveError: One that concerns more than this lead.
        """
        tries = retrying(self._client.stop, self._client.attempts, self._usage)
        try:
            return tries(self._once)
        except LeadNotFound as error:
            return self._outcome("not_found", "no such lead any more", error=error, gone=True)
        except LeadArchived as error:
            return self._outcome("archived", "archived in Pipedrive", error=error)
        except Refused as error:
            return self._refused(error)
        except InDoubt as error:
            error.tries = int(tries.statistics["attempt_number"])
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
        """Returns the outcome of a patch that the end of the run overtook.

        A read-back that does not show it proves nothing: it may be in effect later.
        """
        if self._unanswered is not None:
            return self.failed(self._unanswered)
        return self._outcome("deferred", reason)

    def failed(self, error: PipedriveError, lead: dict[str, Any] | None = None) -> Outcome:
        """Returns the outcome of a patch that was refused or never got an answer."""
        reason = f"{error}{MAYBE_LATER}" if self._unanswered else str(error)
        return self._outcome("failed", reason, error=error, lead=lead)

    def _once(self) -> Outcome:
        if self._doubt is not None:
            lead = self._read_back(self._doubt)
            if shows(self._patch.body, lead, self._fields):
                return self._outcome("confirmed", "found in effect by reading", lead=lead)
            self._doubt = None
        lead = self._send()
        if shows(self._patch.body, lead, self._fields):
            return self._outcome("applied", lead=lead)
        later = MAYBE_LATER if self._unanswered else ""
        reason = f"{_ignored(self._patch, lead, self._fields)}{later}"
        return self._outcome("ignored", reason, lead=lead)

    def _read_back(self, doubt: InDoubt) -> dict[str, Any]:
        try:
            return self._client.get_once(LEADS, self._patch.lead_id, self._usage)
        except LeadNotFound:
            raise
        except Refused as error:
            # It is the reading that is refused; of the PATCH nothing is known.
            raise InDoubt(f"{doubt}; the lead cannot be read: {error}", error.answer) from None

    def _send(self) -> dict[str, Any]:
        if self._client.stop.is_set():
            raise Interrupted("the run was asked to stop")
        sends, sent_at = self._sends, self._sent_at
        self._sends, self._sent_at = sends + 1, sent_at or pendulum.now("UTC")
        try:
            return self._client.patch(LEADS, self._patch.lead_id, self._body, self._usage)
        except InDoubt as error:
            self._doubt = self._unanswered = error
            raise
        except (Interrupted, BudgetSpent) as error:
            if error.answer is None:  # it never left
                self._sends, self._sent_at = sends, sent_at
            raise

    def _last_look(self, error: InDoubt) -> Outcome:
        """Reads once more after the last attempt, so that the outcome tells the truth."""
        try:
            lead = self._client.get_once(LEADS, self._patch.lead_id, self._usage)
        except PipedriveError:
            return self.failed(error)
        if shows(self._patch.body, lead, self._fields):
            return self._outcome("confirmed", "found in effect by reading", lead=lead)
        reason = f"attempts used up: {error}{MAYBE_LATER}"
        return self._outcome("failed", reason, error=error, lead=lead)

    def _refused(self, error: Refused) -> Outcome:
        """Looks at the lead, as no status or text tells an archived lead for certain."""
        try:
            lead = self._client.get(LEADS, self._patch.lead_id, self._usage)
        except LeadNotFound:
            return self._outcome("not_found", "no such lead any more", error=error, gone=True)
        except PipedriveError:
            reason = f"{error}; the lead cannot be read, so it may be in effect"
            return self._outcome("failed", reason, error=error)
        if shows(self._patch.body, lead, self._fields):
            return self._outcome("confirmed", f"in effect, though refused: {error}", lead=lead)
        if lead.get("is_archived") is True:
            return self._outcome("archived", "archived in Pipedrive", error=error, lead=lead)
        return self.failed(error, lead)

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


def _ignored(patch: Patch, lead: Mapping[str, Any], fields: Mapping[str, Field]) -> str:
    lost = [key for key in patch.body if not shows({key: patch.body[key]}, lead, fields)]
    return f"Pipedrive answered 200 but did not take {', '.join(lost)}"
