"""The house holds: a room imports only from the rooms below it, and nothing stands outside."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cases import check_each

ROOT = Path(__file__).parents[1] / "connector"
TESTS = sorted(Path(__file__).parent.rglob("*.py"))
FLOORS = (
    ("__init__", "__main__"),
    ("cli",),
    ("demo", "rehearsal"),
    ("report", "source"),
    ("scaffold",),
    ("sync",),
    ("warehouse",),
    ("settings",),
    ("configuration",),
    ("planning",),
    ("records",),
    ("pipedrive",),
    ("errors", "sandbox"),
)
"""From the roof to the ground; CONTRIBUTING.md has the same map in words."""
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(module: Path) -> str:
    """Return the room that a module stands in: its folder, or itself at the top."""
    return module.relative_to(ROOT).with_suffix("").parts[0]


def imported_rooms(module: Path) -> Iterator[str]:
    """Yield the rooms of this package that a module imports from, its own left out."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out from `connector`"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "connector" and rest:
                yield rest.partition(".")[0]


def test_a_room_imports_only_from_the_rooms_below_it() -> None:
    def check(module: Path) -> None:
        here = room_of(module)
        assert here in FLOOR_OF, f"{here} has no place in the house"
        above = [
            room
            for room in imported_rooms(module)
            if room != here and FLOOR_OF.get(room, -1) <= FLOOR_OF[here]
        ]
        assert not above

    check_each(MODULES, check)


def test_no_circle_of_modules() -> None:
    names = {
        ".".join(("connector", *path.relative_to(ROOT).with_suffix("").parts)) for path in MODULES
    }
    graph = {name: set(imported_modules(name, names)) for name in names}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def imported_modules(name: str, names: set[str]) -> Iterator[str]:
    """Yield the modules of this package that a module needs when it is imported."""
    module = ROOT.parent / (name.replace(".", "/") + ".py")
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from {whole, str(node.module)} & names


def test_nothing_is_imported_from_a_test_module() -> None:
    """What two of them need is in `tests/support`, so that either may be changed for itself."""

    def check(module: Path) -> None:
        names = [
            name
            for node in ast.walk(ast.parse(module.read_text()))
            for name in imported_names(node)
            if re.search(r"(^|\.)(test_\w+|conftest)(\.|$)", name)
        ]
        assert not names

    check_each(TESTS, check)


def imported_names(node: ast.AST) -> list[str]:
    """Return the full names that an import brings in; a relative one begins with a dot."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        whole = "." * node.level + (node.module or "")
        return [f"{whole}.{alias.name}" for alias in node.names]
    return []


def test_three_arguments_are_documented() -> None:
    """A command of `cli.py` tells its options in its help; what dlt calls has dlt's arguments."""
    of_dlt = {"create_load_job", "get_value"}
    modules = [one for one in MODULES if "sandbox" not in one.parts and one.name != "cli.py"]

    def check(module: Path) -> None:
        for one in public_functions(ast.parse(module.read_text())):
            given = [arg.arg for arg in (*one.args.args, *one.args.kwonlyargs)]
            names = [name for name in given if name not in ("self", "cls") and name[0] != "_"]
            if len(names) < 3 or one.name in of_dlt:
                continue
            text = ast.get_docstring(one) or ""
            missing = [
                one for one in names if not re.search(rf"^    [*]{{0,2}}{one}: ", text, re.M)
            ]
            assert not missing or "takes what `" in text, f"{one.name}: {missing}"

    check_each(modules, check)


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods that others may call; one within another is its own."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            if not child.name.startswith("_"):
                yield child
        else:
            yield from public_functions(child)


def test_nothing_is_too_long_to_be_read_at_once() -> None:
    """A function has up to 40 lines beside its docstring, a module up to 500."""

    def check(module: Path) -> None:
        text = module.read_text()
        assert text.count("\n") <= 500
        for one in ast.walk(ast.parse(text)):
            if isinstance(one, ast.FunctionDef):
                first = one.body[ast.get_docstring(one) is not None :] or one.body
                assert (one.end_lineno or 0) - first[0].lineno < 40, one.name

    check_each(MODULES, check)


def test_the_tests_stand_in_rooms_and_themes() -> None:
    folders = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir()}
    themes = {"benchmarks", "contract", "docs", "faults", "snapshots", "support", "__pycache__"}
    assert folders - set(FLOOR_OF) <= themes


def test_contributing_has_the_same_map() -> None:
    text = (ROOT.parent / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    told = [tuple(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows]
    assert told == list(FLOORS)
    assert [int(floor) for floor, _ in rows] == list(range(len(FLOORS)))[::-1]


@pytest.mark.parametrize(
    "place", ["records/kinds.py", "records/definitions.py", "settings.py", "cli.py"]
)
def test_contributing_names_places_that_are_there(place: str) -> None:
    assert f"`{place}`" in (ROOT.parent / "CONTRIBUTING.md").read_text()
    assert (ROOT / place).is_file()
