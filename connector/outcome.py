"""What became of one patch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pendulum

from connector.diff import Status
from connector.pipedrive.errors import PipedriveError
from connector.rows import Patch

DAMAGED = "the warehouse does not give its body back as it was planned; not sent"


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
