"""The list of tests that are left to CI."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import slow
from tests.support.slow import function_of, slow_tests

ROOT = Path(__file__).parents[1]


def test_each_test_that_is_left_to_ci_is_there() -> None:
    """A test that was renamed or quickened is not on the list by accident."""
    there = {
        f"{module}::{node.name}"
        for module in sorted({name.partition("::")[0] for name in slow_tests()})
        for node in ast.parse((ROOT / module).read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert slow_tests() - there == set()


def test_a_test_on_the_list_is_marked(request: pytest.FixtureRequest) -> None:
    items = request.session.items
    assert items
    for item in items:
        assert bool(list(item.iter_markers("slow"))) == (function_of(item.nodeid) in slow_tests())


def test_the_list_is_made_of_what_took_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, place = tmp_path / "report.xml", tmp_path / "slow.txt"
    cases = [
        ("tests.a.test_b", "test_c[x::y]", "0.2"),
        ("tests.a.test_b", "test_c[z]", "2.4"),
        ("tests.a.test_b", "test_d", "0.9"),
        ("tests.sync.test_any_warehouse", "test_e[postgres]", "5.0"),
    ]
    told = [f'<testcase classname="{a}" name="{b}" time="{c}"/>' for a, b, c in cases]
    report.write_text(f"<testsuites><testsuite>{''.join(told)}</testsuite></testsuites>")
    monkeypatch.setattr(slow, "PLACE", place)
    slow.main(str(report))
    assert place.read_text() == "tests/a/test_b.py::test_c\n"
