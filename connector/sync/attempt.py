"""One patch on its way, until its outcome is known.

After an answer that says nothing (a timeout, a reset, a 5xx, half a body) the PATCH may be in
effect. So the lead is read, for 2 tokens, before the PATCH is sent again, for 10. Only what is
still as it was goes out again; over what somebody else has changed nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pendulum

from connector.pipedrive.budget import SetAside
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import (
    InDoubt,
    Interrupted,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
    Unreached,
)
from connector.pipedrive.retry import retrying
from connector.pipedrive.usage import Usage
from connector.planning.desired import RowRejected
from connector.planning.earlier import ALREADY_SO, FOUND_LATER, told_tidied, why_archived
from connector.planning.look import Anew
from connector.planning.model import Conflict, Lead, Outcome, Patch, Status
from connector.planning.truth import CENTS, DECIMALS, Effect, changed_since, effect_of
from connector.records.fields import Field
from connector.records.kinds import Option, spell_id
from connector.records.leads import LEADS

BY_OTHERS = "made so in Pipedrive by somebody else"
MAYBE_LATER = "; not in effect when last read, but a send had no answer, so it may be in effect"
MAYBE_HIDDEN = "a send had no answer, and the lead is not shown: it may be archived"
NOT_GONE = frozenset({403, 409})
"""What a PATCH of a lead that is there is refused with; if no call shows it, it is archived."""


DecideAnew = Callable[[Patch, Lead, Mapping[str, Field]], Anew]
"""Decides again on a lead that is looked at directly before its PATCH."""


class Attempt:
    """One patch: what of it is in effect, what is still to be sent, and what became of each send.

    Args:
        client: The account.
        patch: The patch.
        fields: The lead's fields by key.
        look: Decides again on the lead, which is then read first; None for sending at once.

    Attributes:
        is_open: Whether a PATCH was sent of which nothing is known: it may be in effect, or be
            so later.
    """

    def __init__(
        self,
        client: Pipedrive,
        patch: Patch,
        fields: Mapping[str, Field],
        look: DecideAnew | None = None,
    ) -> None:
        self._client = client
        self._look_first = self._look_again = look
        self._left_alone = ""
        self._kept: tuple[Conflict, ...] = ()
        self._patch = patch
        self._planned = patch.body
        self._left = list(patch.body_left)
        self._took = {*patch.took}
        self._through_earlier = {*patch.took}
        self._fields = fields
        self._usage = Usage(client.usage)
        self._sends = 0
        self._sent_at: datetime | None = None
        self._doubt: InDoubt | None = None
        self._unanswered: InDoubt | None = None
        self.is_open = False

    def run(self) -> Outcome:
        """Sends until an answer says what became of the patch.

        Raises:
            PipedriveError: One that concerns more than this lead.
        """
        tries = retrying(self._client.stop, self._client.attempts, self._usage)
        try:
            return tries(self._once)
        except LeadNotFound as error:
            if self.is_open and LEADS.archive_key in self._patch.body:
                return self._outcome("failed", MAYBE_HIDDEN, error=error)
            return self._outcome("not_found", "no such lead any more", error=error, gone=True)
        except Refused as error:
            return self._archived(error) if self._needs_no_look(error) else self._refused(error)
        except (InDoubt, Unreached) as error:
            error.tries = int(tries.statistics["attempt_number"])
            return self._give_up(error)

    @property
    def options_left(self) -> frozenset[str]:
        """The keys under which the id of an option is still to be sent."""
        body = self._patch.body
        return frozenset(
            key for key in self._left if self._is_option(key) and body[key] is not None
        )

    def spell_options(self, *, as_text: bool) -> bool:
        """Spells the ids of options as text or as numbers; tells whether that changes the body."""
        spelled = {
            key: spell_id(value, as_text=as_text) if self._is_option(key) else value
            for key, value in self._patch.body.items()
        }
        changed = spelled != self._patch.body
        self._patch = replace(self._patch, body=spelled)
        return changed

    def _is_option(self, key: str) -> bool:
        return key in self._fields and isinstance(self._fields[key].kind, Option)

    def unsent(self, reason: str) -> Outcome:
        """Returns the outcome of a patch that the end of the run overtook."""
        if self.is_open and self._unanswered:
            return self.failed(self._unanswered)
        if self._took:
            part = f"{reason}; in effect are {', '.join(self._took)}"
            return self._outcome("failed", part, error=self._unanswered)
        return self._outcome("deferred", reason)

    def failed(self, error: PipedriveError, lead: dict[str, Any] | None = None) -> Outcome:
        """Returns the outcome of a patch that was refused or never got an answer."""
        return self._outcome("failed", self._with_doubt(str(error)), error=error, lead=lead)

    def _with_doubt(self, reason: str) -> str:
        return f"{reason}{MAYBE_LATER}" if self.is_open else reason

    def _look(self, aside: SetAside) -> Outcome | None:
        """Looks at the lead and decides anew; returns the outcome where nothing is to be sent.

        It looks only where the budget lasts for the PATCH as well: else run after run would
        spend all on looks.

        Raises:
            LeadNotFound: There is no such lead any more.
        """
        look = self._look_first
        if look is None:
            return None
        try:
            lead = self._client.get(LEADS, self._patch.lead_id, self._usage, aside)
        except LeadNotFound:
            may_be_hidden = self._patch.body.get(LEADS.archive_key) is False
            if may_be_hidden:  # its PATCH tells
                return None
            raise
        except (Refused, InDoubt, Unreached) as error:
            reason = f"not sent, as the lead cannot be read: {error}"
            return self._outcome("failed", reason, error=error)
        if self._patch.sent_by:  # what is there before this run sends is the earlier one's
            self._see(lead)
            self._through_earlier |= self._took
        try:
            anew = look(replace(self._patch, left=tuple(self._left)), lead, self._fields)
        except RowRejected as rejected:
            status: Status = "failed" if self._sends or self._took else "rejected"
            return self._outcome(status, str(rejected), lead=lead)
        return self._take_on(anew, lead)

    def _take_on(self, anew: Anew, lead: dict[str, Any]) -> Outcome | None:
        """Sends this change instead of the planned one, besides what is in effect already.

        Returns:
            The outcome where nothing is to be sent.
        """
        change, kept = anew.change, "; ".join(map(str, anew.conflicts))
        if anew.stops or (kept and not change.body):
            return self._outcome("conflict", kept, lead=lead)
        if not change.body:
            reason = ALREADY_SO if self._left else FOUND_LATER
            return self._in_effect("confirmed", reason, lead)
        if lead.get(LEADS.archive_key) is True and LEADS.archive_key not in change.body:
            return self._outcome("archived", why_archived(self._took), lead=lead)
        patch, self._look_first = self._patch, None
        taken = {key: patch.body[key] for key in patch.body if key in self._took}
        body, before = {**taken, **change.body}, {**patch.before, **change.before}
        self._patch = replace(patch, body=body, before=before)
        self._left = list(change.body)
        blank_only = {key for key, one in patch.conditions.items() if one.get("only_if_blank")}
        filled = [str(one) for one in anew.conflicts if one.field.key in blank_only]
        self._kept += tuple(one for one in anew.conflicts if one.field.key not in blank_only)
        self._left_alone = f"left as they are: {'; '.join(filled)}" if filled else ""
        return None

    def _once(self) -> Outcome:
        with self._client.setting_aside() as aside:
            return self._look_and_send(aside)

    def _look_and_send(self, aside: SetAside) -> Outcome:
        if self._doubt is not None:
            lead = self._read_back(self._doubt)
            if seen := self._seen(self._see(lead), lead):
                return seen
        elif found := self._look(aside):
            return found
        doubt, self._doubt = self._doubt, None
        try:
            lead = self._send(aside)
        except (RateLimited, Unreached):
            # The wait may be long: what was seen before it proves nothing.
            self._doubt, self._look_first = doubt, self._look_again
            raise
        effect = self._see(lead, DECIMALS)
        if not effect.lost:
            return self._in_effect("applied", self._left_alone or None, lead)
        if effect.edited:  # no other spelling goes over a person's
            self._left = []
        missed = f"Pipedrive answered 200 but did not take {', '.join(effect.lost)}"
        return self._outcome("ignored", self._with_doubt(missed), lead=lead)

    def _unsent(self) -> dict[str, Any]:
        return {key: self._patch.body[key] for key in self._left}

    def _see(self, lead: Mapping[str, Any], decimals: Sequence[int] = CENTS) -> Effect:
        """Tells what of the rest is in effect, and takes it off what is left to send.

        A PATCH that shows in part was processed, and will not be later.
        """
        patch, unsent = self._patch, self._unsent()
        effect = effect_of(patch.before, unsent, lead, self._fields, patch.conditions, decimals)
        self._took.update(effect.took)
        self._left = [key for key in self._left if key not in effect.took]
        self.is_open = self.is_open and not effect.took
        return effect

    def _seen(self, effect: Effect, lead: dict[str, Any]) -> Outcome | None:
        """Returns the outcome where all of the patch is in effect, or somebody else was there."""
        if effect.edited:
            found = changed_since(self._patch, effect.edited, lead, self._fields)
            told = self._with_doubt("; ".join(map(str, found)))
            return self._outcome("conflict", told, lead=lead)
        if effect.untouched:
            return None
        return self._in_effect("confirmed", "found in effect by reading", lead)

    def _read_back(self, doubt: InDoubt) -> dict[str, Any]:
        try:
            return self._client.get_once(LEADS, self._patch.lead_id, self._usage)
        except LeadNotFound:
            raise
        except Refused as error:
            # It is the reading that is refused; of the PATCH nothing is known.
            raise InDoubt(f"{doubt}; the lead cannot be read: {error}", error.answer) from None

    def _send(self, aside: SetAside) -> dict[str, Any]:
        if self._client.stop.is_set():
            raise Interrupted("the run was asked to stop")
        was_open, sends, sent_at = self.is_open, self._sends, self._sent_at
        self.is_open, self._sends = True, sends + 1
        self._sent_at = sent_at or pendulum.now("UTC")
        try:
            body, lead_id = self._unsent(), self._patch.lead_id
            lead = self._client.patch(LEADS, lead_id, body, self._usage, aside)
        except InDoubt as error:
            self._doubt = self._unanswered = error
            raise
        except PipedriveError as error:  # it had no effect
            self.is_open = was_open
            if error.answer is None:  # it never left
                self._sends, self._sent_at = sends, sent_at
            raise
        self.is_open = was_open
        return lead

    def _give_up(self, error: InDoubt | Unreached) -> Outcome:
        """Returns the outcome after the last attempt; reads once more, so that it tells the truth.

        Raises:
            Interrupted: The run was asked to stop, and the PATCH never left.
        """
        if isinstance(error, Unreached):
            if self._client.stop.is_set():
                raise Interrupted("the run was asked to stop")
            return self.failed(error)
        try:
            lead = self._client.get_once(LEADS, self._patch.lead_id, self._usage)
        except PipedriveError:
            return self.failed(error)
        if seen := self._seen(self._see(lead), lead):
            return seen
        reason = self._with_doubt(f"attempts used up: {error}")
        return self._outcome("failed", reason, error=error, lead=lead)

    def _needs_no_look(self, error: Refused) -> bool:
        """Tells whether a text says that the lead is archived, and it was not to be brought back.

        What refused that is read, so that the next run knows the lead as it was then.
        """
        brings_back = self._patch.body.get(LEADS.archive_key) is False
        return isinstance(error, LeadArchived) and not brings_back

    def _refused(self, error: Refused) -> Outcome:
        """Looks at the lead, as no status or text tells an archived lead for certain.

        What was refused has no effect. So what is there is somebody else's, but for a send before
        it that had no answer. Only what is untouched is left to be sent in another spelling:
        nothing where somebody has changed a field, or where the lead cannot be read.
        """
        try:
            lead = self._client.get(LEADS, self._patch.lead_id, self._usage)
        except LeadNotFound:
            if error.answer and error.answer.status in NOT_GONE:
                return self._archived(error)
            return self._outcome("not_found", "no such lead any more", error=error, gone=True)
        except PipedriveError:
            self._left = []
            reason = self._with_doubt(f"{error}; the lead cannot be read")
            return self._outcome("failed", reason, error=error)
        patch, unsent, was_open = self._patch, self._unsent(), self.is_open
        if was_open:
            self._see(lead)
        effect = effect_of(patch.before, unsent, lead, self._fields, patch.conditions)
        self._left = [] if effect.theirs else [*effect.untouched]
        if effect.is_whole:
            how = "in effect" if was_open else BY_OTHERS
            reason = f"{how}, though refused: {error}"
            return self._outcome("confirmed", reason, error=error, lead=lead)
        if lead.get(LEADS.archive_key) is True:
            return self._archived(error, lead=lead)
        return self.failed(error, lead)

    def _in_effect(self, status: Status, reason: str | None, lead: dict[str, Any]) -> Outcome:
        """Returns the outcome of a patch that is whole in effect; a part may be tidied."""
        patch = self._patch
        effect = effect_of(patch.before, patch.body, lead, self._fields, patch.conditions, DECIMALS)
        if effect.tidied:
            return self._outcome("ignored", told_tidied(effect), lead=lead)
        return self._outcome(status, reason, lead=lead)

    def _archived(self, error: PipedriveError, **known: Any) -> Outcome:
        is_own = LEADS.archive_key in self._took
        reason = why_archived(self._took) if is_own else "archived in Pipedrive"
        return self._outcome("archived", reason, error=error, **known)

    def _outcome(self, status: Status, reason: str | None = None, **known: Any) -> Outcome:
        body, patch = self._patch.body, self._patch
        is_earlier = self._took and self._took <= self._through_earlier
        if self.is_open or not is_earlier:
            patch = replace(patch, sent_by=None)
        return Outcome(
            patch,
            status,
            reason,
            kept=self._kept,
            took=None if self.is_open else tuple(key for key in body if key in self._took),
            is_rewritten=self._sends > 0 and body != self._planned,
            attempts=self._sends,
            tokens=self._usage.tokens,
            waited_seconds=round(self._usage.waited_seconds, 3),
            sent_at=None if patch.sent_by else self._sent_at,
            **known,
        )
