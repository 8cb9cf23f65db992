"""Which tests take more than half a second, and so are left to CI: `tests/slow.txt`.

`python -m tests.support.slow REPORT` writes it anew from what `pytest --junitxml=REPORT` has told
of all tests. It names functions: on average a case of one takes so long.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import mean
from xml.etree import ElementTree

PLACE = Path(__file__).parents[1] / "slow.txt"
MOST_SECONDS = 0.5
"""Of a case of it on average, beside three others on two cores."""
THE_WHOLE_JOB = "tests/sync/test_any_warehouse.py"
"""Always runs: it goes once through each promise, on both warehouses."""

THE_LIVE_HALF = "tests/contract/"


@cache
def slow_tests() -> frozenset[str]:
    """Return the functions that are slow, each as `tests/room/test_module.py::test_name`."""
    return frozenset(PLACE.read_text().split())


def function_of(nodeid: str) -> str:
    """Return the function that a test is a case of."""
    return nodeid.partition("[")[0]


def main(report: str) -> None:
    """Write the list anew."""
    seconds = defaultdict(list)
    for function, taken in _tests(report):
        seconds[function].append(taken)
    slow = sorted(
        function
        for function, taken in seconds.items()
        if mean(taken) > MOST_SECONDS and not function.startswith(THE_WHOLE_JOB)
    )
    PLACE.write_text("\n".join(slow) + "\n")


def _tests(report: str) -> Iterator[tuple[str, float]]:
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.attrib["classname"].replace(".", "/")
        function = function_of(f"{module}.py::{case.attrib['name']}")
        if case.find("skipped") is not None and not module.startswith(THE_LIVE_HALF):
            raise SystemExit(f"{function} was skipped; a list is made where every test runs")
        yield function, float(case.attrib["time"])


if __name__ == "__main__":
    main(*sys.argv[1:])
