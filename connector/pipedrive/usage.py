"""What calls have cost so far, for one lead or for a whole run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Usage:
    """Counts requests, tokens and waiting; what is added counts for the parent as well.

    Attributes:
        requests: Requests sent.
        retries: Requests sent again after one that brought nothing.
        tokens: Pipedrive's tokens spent (documented cost of each call; a 429 costs none).
        written: Those of them that PATCHes took.
        waited_seconds: Time held back by the limiter or between two attempts.
    """

    parent: Usage | None = None
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    written: int = 0
    waited_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self,
        *,
        requests: int = 0,
        retries: int = 0,
        tokens: int = 0,
        written: int = 0,
        waited: float = 0.0,
    ) -> None:
        """Adds to the counts, safe to call from any thread.

        Args:
            requests: Requests that were sent.
            retries: Those of them that were sent again.
            tokens: What they cost.
            written: What of it PATCHes cost.
            waited: Seconds spent waiting.
        """
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.tokens += tokens
            self.written += written
            self.waited_seconds += waited
        if self.parent is not None:
            self.parent.add(
                requests=requests, retries=retries, tokens=tokens, written=written, waited=waited
            )
