"""How far a run is, in a file beside its working folder, for whoever asks from elsewhere.

A run holds its DuckDB file until its end, so that nobody else can read there how it stands.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STANDING = ".standing"
EVERY_SECONDS = 1.0
"""A run writes its file at most so often."""


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        step: What it does just now.
        done: How much of that is done.
        total: Of how much; None where that is not known yet.
        seconds: How long the step has taken so far.
        statuses: How many outcomes there are of each status in this step.
        tokens: Pipedrive's tokens spent so far.
        tokens_left: What may still be spent, as far as is known.
        pid: The process; a file that a killed one has left is not taken for another's.
    """

    run_id: str
    command: str
    step: str
    done: int
    total: int | None
    seconds: float
    statuses: Mapping[str, int]
    tokens: int
    tokens_left: int | None
    pid: int = field(default_factory=os.getpid)

    @property
    def rate(self) -> float | None:
        """How much is done in a second; None before anything is."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """How long the step still takes at this rate, where that can be told."""
        if self.total is None or self.rate is None:
            return None
        return max(self.total - self.done, 0) / self.rate


class Board:
    """Where a run says how far it is: to who watches it, and in its file.

    Args:
        folder: dlt's working folder.
        watch: Told of every change, from any thread.
    """

    def __init__(self, folder: Path, watch: Callable[[Standing], None] | None) -> None:
        self._file = folder.with_suffix(STANDING)
        self._watch = watch
        self._step = ""
        self._began = self._written = 0.0

    def begin(self, step: str) -> None:
        """Starts the clock of a step; one that goes on keeps it."""
        if step != self._step:
            self._step, self._began, self._written = step, time.monotonic(), 0.0

    def post(self, **known: Any) -> None:
        """Says how far the step is; what it says must not stop a run, so a full disk is passed by.

        Args:
            **known: The other attributes of a `Standing`.
        """
        now = time.monotonic()
        seconds = round(now - self._began, 2)
        standing = Standing(step=self._step, seconds=seconds, **known)
        if self._watch:
            self._watch(standing)
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            with suppress(OSError):
                beside = self._file.with_name(f"{self._file.name}.new")
                beside.write_text(json.dumps(asdict(standing)), encoding="utf-8")
                beside.replace(self._file)

    def clear(self) -> None:
        """Removes the file at the end of the run."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def read_standing(folder: Path) -> Standing | None:
    """Returns how far the run is that holds a working folder; None where it has not said."""
    try:
        return Standing(**json.loads(folder.with_suffix(STANDING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
