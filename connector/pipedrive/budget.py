"""What may still be spent of the day's tokens, which the whole company shares."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from connector.pipedrive.errors import BudgetSpent, Interrupted, OwnBudgetSpent
from connector.pipedrive.headers import day_budget, day_left

LOOK_SECONDS = 0.5
"""How long a wait for answers lasts before the request to stop is looked at again."""


@dataclass
class SetAside:
    """What a read has kept of the budget for the PATCH that is to follow it.

    Attributes:
        tokens: So many; 0 until the record is read, and once they are taken or given back.
    """

    tokens: int = 0


class Budget:
    """Keeps a command within its own budget and the day's, and leaves a reserve to others.

    Args:
        tokens: Spend at most so many tokens; None for no limit.
        reserve: Leave so many of the day's tokens, as far as the server tells how many are left.
        spent: What the command has spent before, of its own tokens.

    Attributes:
        day: Tokens of the company's whole day, as far as the server has told.
    """

    def __init__(self, tokens: int | None = None, reserve: int = 0, spent: int = 0) -> None:
        self._own_left = None if tokens is None else tokens - spent
        self._reserve = reserve
        self._day_left: float | None = None
        self.day: int | None = None
        self._told_at = 0
        self._taken = 0
        self._in_flight = self._set_aside = 0
        self._settled = threading.Condition()

    @property
    def own_left(self) -> int | None:
        """Tokens that the command may still spend; None for no limit of its own."""
        return None if self._own_left is None else max(self._own_left, 0)

    @property
    def day_left(self) -> int | None:
        """Tokens left of the day, as far as the server has told."""
        return None if self._day_left is None else int(self._day_left)

    @property
    def left(self) -> int | None:
        """Tokens that may still be spent, as far as is known: the reserve is left to others."""
        of_day = None if self.day_left is None else max(self.day_left - self._reserve, 0)
        known = [left for left in (self.own_left, of_day) if left is not None]
        return min(known, default=None)

    def take(
        self, cost: int, stop: threading.Event, aside: SetAside | None = None, ahead: int = 0
    ) -> int:
        """Takes the tokens of one call before it is sent, and returns the call's number.

        Where they are not free, it waits for calls in flight, which may not be charged in the
        end, and for PATCHes to come, which may not be sent. So nothing that has its tokens is
        cut short by one that finds none.

        Args:
            cost: The call's tokens.
            stop: Ends the wait.
            aside: What was set aside for this call; or where to set aside for the one behind it.
            ahead: Tokens to set aside for that one: both calls have them, or none has.

        Raises:
            BudgetSpent: They are not there to be spent; nothing is taken.
            Interrupted: The run was asked to stop during the wait.
        """
        with self._settled:
            while not self._is_free(cost, ahead, aside):
                if stop.is_set():
                    raise Interrupted("the run was asked to stop")
                self._settled.wait(LOOK_SECONDS)
            self._own_left = None if self._own_left is None else self._own_left - cost
            self._in_flight += cost
            if aside is not None:
                self._keep(aside, ahead)
            self._taken += 1
            return self._taken

    def _is_free(self, cost: int, ahead: int, aside: SetAside | None) -> bool:
        # A call that has its tokens set aside waits for none that has the same: each would wait.
        kept = 0 if aside is not None and aside.tokens else self._set_aside
        need, day = cost + ahead + kept, self._day_left
        own_lasts = self._own_left is None or self._own_left >= need
        if own_lasts and (day is None or day - self._in_flight - need >= self._reserve):
            return True
        if not self._in_flight and not kept:
            raise self._why_none(cost, ahead, of_day=own_lasts)
        return False

    def _why_none(self, cost: int, ahead: int, *, of_day: bool) -> BudgetSpent:
        costs = f"a read and its PATCH cost {cost + ahead}" if ahead else f"a call costs {cost}"
        if not of_day:
            return OwnBudgetSpent(f"token_budget is used up: {self.own_left} left, and {costs}")
        if self._reserve:
            return BudgetSpent(f"only the token_reserve of {self._reserve} is left")
        left = f"{self.day_left} left, and {costs}"
        return BudgetSpent(f"the day's token budget is used up: {left}, so it would meet a 429")

    @contextmanager
    def setting_aside(self) -> Iterator[SetAside]:
        """Lets a read keep tokens for its PATCH; what that has not taken in the end is free."""
        aside = SetAside()
        try:
            yield aside
        finally:
            self.give_back(aside)

    def give_back(self, aside: SetAside) -> None:
        """Frees what was set aside."""
        with self._settled:
            self._keep(aside, 0)
            self._settled.notify_all()

    def _keep(self, aside: SetAside, tokens: int) -> None:
        self._set_aside += tokens - aside.tokens
        aside.tokens = tokens

    def settle(self, call: int, cost: int, headers: Mapping[str, str], *, charged: bool) -> None:
        """Notes that a call has ended, and what is left of the day.

        The server counts what other programs spend as well. Of answers that cross on their way,
        the lowest is the latest. Only a call that was sent after that can tell of a new day.

        Args:
            call: The call's number.
            cost: Its tokens.
            headers: Of its answer; empty where none came.
            charged: Whether the server charged it.
        """
        left, day = day_left(headers), day_budget(headers)
        with self._settled:
            self._in_flight -= cost
            self.day = self.day if day is None else day
            if not charged and self._own_left is not None:
                self._own_left += cost
            if left is None and charged and self._day_left is not None:
                left = self._day_left - cost
            if left is not None and (
                self._day_left is None or left <= self._day_left or call > self._told_at
            ):
                self._day_left, self._told_at = left, self._taken
            self._settled.notify_all()
