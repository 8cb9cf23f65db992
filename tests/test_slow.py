"""The list of tests that are left to CI."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import slow
from tests.support.slow import slow_tests

ROOT = Path(__file__).parents[1]


def test_each_test_that_is_left_to_ci_is_there() -> None:
    """One that was renamed is not left out of it by accident."""
    there = {
        f"{module}::{node.name}"
        for module in sorted({name.partition("::")[0] for name in slow_tests()})
        for node in ast.parse((ROOT / module).read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert slow_tests() - there == set()


def test_each_case_of_a_test_on_the_list_is_marked(request: pytest.FixtureRequest) -> None:
    """By the hook of `conftest.py`, for whatever is collected."""

    class Item(pytest.Item):
        def runtest(self) -> None: ...

    def is_marked(nodeid: str) -> bool:
        item = Item.from_parent(request.session, name="any", nodeid=nodeid)
        request.config.hook.pytest_collection_modifyitems(
            session=request.session, config=request.config, items=[item]
        )
        return item.get_closest_marker("slow") is not None

    some = min(slow_tests())
    assert [is_marked(one) for one in (some, f"{some}[case]", f"{some}_not")] == [True, True, False]


def test_the_list_is_made_of_what_took_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, place = tmp_path / "report.xml", tmp_path / "slow.txt"
    cases = [
        ("tests.a.test_b", "test_c[x::y]", "0.2"),
        ("tests.a.test_b", "test_c[z]", "2.4"),
        ("tests.a.test_b", "test_d", "0.4"),
        ("tests.sync.test_any_warehouse", "test_e[postgres]", "5.0"),
    ]
    told = [f'<testcase classname="{a}" name="{b}" time="{c}"/>' for a, b, c in cases]
    report.write_text(f"<testsuites><testsuite>{''.join(told)}</testsuite></testsuites>")
    monkeypatch.setattr(slow, "PLACE", place)
    slow.main(str(report))
    assert place.read_text() == "tests/a/test_b.py::test_c\n"


def test_a_report_without_all_tests_makes_no_list(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    told = '<testcase classname="tests.a.test_b" name="test_c" time="0.0"><skipped/></testcase>'
    report.write_text(f"<testsuites><testsuite>{told}</testsuite></testsuites>")
    with pytest.raises(SystemExit, match=r"tests/a/test_b\.py::test_c was skipped"):
        slow.main(str(report))
