"""What of the mirror a run takes as known, as a condition on the mirror's rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Known:
    """Which rows of the mirror say how a lead is.

    The list that every run reads shows a lead that has come back, so one that is not in it and
    was found gone or archived a while ago still is.

    Attributes:
        run_id: What this run has read is known; None for whatever was read last.
        period: What was found gone or archived in this time is known too; None for nothing. Its
            end keeps out what bears a time to come, from before a clock was set back.
        archived: Whether that holds for archived leads as well as for those that are gone.
    """

    run_id: str | None
    period: tuple[datetime, datetime] | None = None
    archived: bool = True

    def condition(self) -> tuple[str, list[Any]]:
        """Returns SQL on a row `m` of the mirror, and its arguments."""
        read = "m.read_by = coalesce(%s, m.read_by)"
        if self.period is None:
            return read, [self.run_id]
        out_of_list = "(m.gone_at IS NOT NULL OR m.is_archived)"
        which = out_of_list if self.archived else "m.gone_at IS NOT NULL"
        sql = f"({read} OR ({which} AND m.read_at BETWEEN %s AND %s))"
        return sql, [self.run_id, *self.period]
