"""lead-sync: make Pipedrive's leads say what the warehouse says.

`run` is the job, `plan` the same without sending; `apply` sends a stored plan; `revert` takes a
run back, `plan_revert` only plans that; `pipedrive_leads` is the dlt source for reading alone. They
are loaded on first use, so that the local Pipedrive starts without dlt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from connector.errors import LeadSyncError, RunUnderWay

if TYPE_CHECKING:
    from connector.source import pipedrive_leads
    from connector.sync.runs import apply, plan, plan_revert, revert, run
    from connector.sync.summary import Summary

__all__ = [
    "LeadSyncError",
    "RunUnderWay",
    "Summary",
    "apply",
    "pipedrive_leads",
    "plan",
    "plan_revert",
    "revert",
    "run",
]

_HOMES = {
    "Summary": "connector.sync.summary",
    "apply": "connector.sync.runs",
    "pipedrive_leads": "connector.source",
    "plan": "connector.sync.runs",
    "plan_revert": "connector.sync.runs",
    "revert": "connector.sync.runs",
    "run": "connector.sync.runs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
