"""`python -m tests.support.eager`: `lead-sync` that reads increments of however few leads.

It trusts the list at once, so that what is not in an increment is really left out.
"""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest

from connector.sync import increment

PROGRAM = (sys.executable, "-m", "tests.support.eager")


def read_increments(patch: pytest.MonkeyPatch) -> None:
    """Let this process read increments of few leads, without an overlap."""
    patch.setattr(increment, "FEW_LEADS", 0)
    patch.setattr(increment, "OVERLAP", timedelta())


if __name__ == "__main__":
    from connector.__main__ import main

    read_increments(pytest.MonkeyPatch())
    main()
