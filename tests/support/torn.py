"""`python -m tests.support.torn TABLE …`: `lead-sync` that is killed within the load of outcomes.

Of the tables of that load only one is merged; at its end the process gets a real SIGKILL. With
`staged:` before the table it gets one as soon as the rows of that table are staged, and for
`packed` before any rows are.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dlt.common.schema import Schema
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from dlt.destinations.job_client_impl import SqlLoadJob
from dlt.load import Load

from connector.warehouse.destination import TypedCopyJob

PATIENCE_SECONDS = 60.0


def program(table: str) -> tuple[str, ...]:
    """Return the command of which this table alone is merged."""
    return (sys.executable, "-m", "tests.support.torn", table)


def tear_after(table: str, patch: pytest.MonkeyPatch) -> None:
    """Merge no other table of a package of outcomes, and end this process at its merge."""
    staged, name = "staged:" in table, table.removeprefix("staged:")
    kinds: Any = (InsertValuesLoadJob, TypedCopyJob) if staged else (SqlLoadJob,)

    def tearing(run: Callable[[Any], None]) -> Callable[[Any], None]:
        def run_one(job: Any) -> None:
            file = Path(job._file_path)
            is_of_outcomes = any(file.parents[1].glob("*/lead_outcomes.*"))
            is_last = file.name.startswith(f"{name}.")
            if is_of_outcomes and not is_last:
                time.sleep(PATIENCE_SECONDS)
            run(job)
            if is_of_outcomes:
                os.kill(os.getpid(), signal.SIGKILL)

        return run_one

    for kind in kinds:
        patch.setattr(kind, "run", tearing(kind.run))


def end_before_load(patch: pytest.MonkeyPatch) -> None:
    """End this process when a package of outcomes is to be loaded."""
    load_package = Load.load_single_package

    def load_others(load: Load, load_id: str, schema: Schema) -> None:
        if any("lead_outcomes." in name for name in load.load_storage.list_new_jobs(load_id)):
            os.kill(os.getpid(), signal.SIGKILL)
        load_package(load, load_id, schema)

    patch.setattr(Load, "load_single_package", load_others)


if __name__ == "__main__":
    from connector.__main__ import main

    if (table := sys.argv.pop(1)) == "packed":
        end_before_load(pytest.MonkeyPatch())
    else:
        tear_after(table, pytest.MonkeyPatch())
    main()
