"""What may still be spent of the day's tokens, which the whole company shares."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from connector.pipedrive.errors import BudgetSpent, Interrupted, OwnBudgetSpent
from connector.pipedrive.headers import day_budget, day_left

LOOK_SECONDS = 0.5
"""How long a wait for answers lasts before the request to stop is looked at again."""


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
        self._in_flight = 0
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

    def take(self, cost: int, stop: threading.Event) -> int:
        """Takes the tokens of one call before it is sent, and returns the call's number.

        Where what is in flight may have spent the last of the day, it waits for those answers.

        Raises:
            BudgetSpent: They are not there to be spent; nothing is taken.
            Interrupted: The run was asked to stop during the wait.
        """
        with self._settled:
            while not self._is_free(cost):
                if stop.is_set():
                    raise Interrupted("the run was asked to stop")
                self._settled.wait(LOOK_SECONDS)
            self._own_left = None if self._own_left is None else self._own_left - cost
            self._in_flight += cost
            self._taken += 1
            return self._taken

    def _is_free(self, cost: int) -> bool:
        if self._own_left is not None and self._own_left < cost:
            left = f"{self.own_left} left, and a call costs {cost}"
            raise OwnBudgetSpent(f"token_budget is used up: {left}")
        if self._day_left is None:
            return True
        if self._day_left - cost < self._reserve:
            raise BudgetSpent(self._why_none(cost))
        return self._day_left - self._in_flight - cost >= self._reserve

    def _why_none(self, cost: int) -> str:
        if self._reserve:
            return f"only the token_reserve of {self._reserve} is left"
        left = f"{self.day_left} left, and a call costs {cost}"
        return f"the day's token budget is used up: {left}, so it would meet a 429"

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
