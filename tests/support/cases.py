"""Many small cases of one theme in one test, which tells of every case that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

Case = TypeVar("Case")


def check_each(cases: Iterable[Case], check: Callable[[Case], None]) -> None:
    """Check each case, and tell of all that fail.

    Raises:
        AssertionError: Some fail, or there are none.
    """
    count, failed = 0, {}
    for count, case in enumerate(cases, start=1):
        try:
            check(case)
        except (Exception, pytest.fail.Exception) as error:
            failed[count, repr(case)[:200]] = f"{type(error).__name__}: {error}"
    assert count, "there are no cases"
    assert not failed, "\n".join(f"{case}: {why}" for (_, case), why in failed.items())
