"""How an account takes the ids of options, as numbers or as text: found out by one lead."""

from __future__ import annotations

import threading
from dataclasses import replace

from connector.pipedrive.errors import Refused
from connector.planning.model import DONE, Outcome
from connector.sync.attempt import Attempt


class OptionSpelling:
    """Sends what has options in the spelling that the account takes.

    Which of the two it is, no documentation tells. As long as it is not known, one lead with an
    option goes out at a time, and the first that is refused is sent in the other spelling too.

    Args:
        as_text: Whether it is text; None where no run has found out.

    Attributes:
        as_text: The same, as far as it is known now.
    """

    def __init__(self, as_text: bool | None) -> None:
        self.as_text = as_text
        self._tried = as_text is not None
        self._finding_out = threading.Lock()

    def send(self, attempt: Attempt) -> Outcome:
        """Sends one patch to its end."""
        if not attempt.options_left:
            return attempt.run()
        if not self._tried:
            with self._finding_out:
                if not self._tried:
                    return self._find_out(attempt)
        attempt.spell_options(as_text=bool(self.as_text))
        return attempt.run()

    def _find_out(self, attempt: Attempt) -> Outcome:
        """Sends one patch in both spellings, if need be; what others have set proves nothing."""
        options = attempt.options_left
        attempt.spell_options(as_text=False)
        outcome = attempt.run()
        if not options.isdisjoint(outcome.took or ()):
            self._note(as_text=False)
            return outcome
        respells = _is_refused(outcome) and attempt.options_left
        if not respells or not attempt.spell_options(as_text=True):
            return outcome
        again = attempt.run()
        if not options.isdisjoint(again.took or ()):
            self._note(as_text=True)
            return again
        if again.status in DONE:
            return again
        self._tried = True  # it is not the spelling that is refused
        if again.took is None or not isinstance(again.error, Refused):
            return again
        spent = {name: vars(again)[name] for name in ("attempts", "tokens", "waited_seconds")}
        return replace(outcome, took=again.took, finished_at=again.finished_at, **spent)

    def _note(self, *, as_text: bool) -> None:
        self.as_text, self._tried = as_text, True


def _is_refused(outcome: Outcome) -> bool:
    refused = outcome.status == "failed" and isinstance(outcome.error, Refused)
    return outcome.took is not None and (refused or outcome.status == "ignored")
