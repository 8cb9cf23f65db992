"""What stops a run. A single lead's trouble is no error: it is recorded as its outcome."""

from __future__ import annotations

from typing import Any


class LeadSyncError(Exception):
    """The run cannot go on; the message names what is wrong and the way out.

    Attributes:
        end: The `Summary` of what the run had come to; None when none had begun.
    """

    end: Any = None

    @property
    def run(self) -> dict[str, Any] | None:
        """What the run had come to, as JSON types; None when none had begun."""
        return None if self.end is None else dict(self.end.as_dict())


class ConfigError(LeadSyncError):
    """A setting is missing or cannot be used."""


class WarehouseError(LeadSyncError):
    """The warehouse cannot be opened, read or written."""


class BooksMissing(WarehouseError):
    """The file for the tables written is not there yet; the first plan makes it."""


class DesiredTableError(WarehouseError):
    """The desired table is missing, or one of its columns maps to no field."""


class LockedError(LeadSyncError):
    """Another run or program holds the warehouse or the working folder."""


class RunUnderWay(LockedError):
    """Another run has its turn on this dataset; this one has done nothing."""


class TurnLost(LeadSyncError):
    """The run could not keep its turn: it has sent nothing more, and written over nothing."""


class AccountError(LeadSyncError):
    """Pipedrive cannot be used at all: the token, the account, the URL or the network."""


class PlanError(LeadSyncError):
    """A stored plan cannot be applied, or a run cannot be taken back."""


class GuardTripped(LeadSyncError):
    """A guard stopped a plan before anything of it was sent."""
