"""When so many patches have failed that going on would only burn tokens. No I/O."""

from __future__ import annotations

from connector.diff import Status


class Breaker:
    """Counts the patches that were sent, and tells when to send no more.

    What breaks each lead, such as a changed API, shows as failures in a row; what breaks many,
    such as a field that lost its options, as the share that has failed.

    Args:
        in_a_row: So many failures in a row are too many, and so many in all are enough to judge
            the share by.
        percent: More than this share of the patches is too much; 0 leaves the share alone.
    """

    def __init__(self, in_a_row: int, percent: int) -> None:
        self._most_in_a_row = in_a_row
        self._percent = percent
        self._in_a_row = self._failed = self._sent = 0

    def count(self, status: Status) -> str | None:
        """Counts a patch that was sent; returns why to send no more, where there is a reason."""
        failed = status in ("failed", "ignored")
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._failed += failed
        self._sent += 1
        if self._in_a_row >= self._most_in_a_row:
            return f"{self._most_in_a_row} patches in a row failed"
        if self._too_large_a_share():
            share = f"{self._failed} of {self._sent} patches failed"
            return f"{share}, more than breaker_percent {self._percent}"
        return None

    def _too_large_a_share(self) -> bool:
        judged = self._percent > 0 and self._failed >= self._most_in_a_row
        return judged and 100 * self._failed > self._percent * self._sent
