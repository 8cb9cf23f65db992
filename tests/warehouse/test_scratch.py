"""What a run has read, and what it remembers of earlier ones, in real files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.planning.model import Agreement
from connector.warehouse.scratch import (
    MEMORY_NAME,
    NAME,
    Cells,
    Scratch,
    Wanted,
    digest_of,
    open_scratch,
)

LEADS = [f"{number:08x}-0e10-11eb-879b-05d71fb426ec" for number in range(4)]
Record = dict[str, Any]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    with open_scratch(tmp_path) as found:
        yield found


def want(scratch: Scratch, *rows: tuple[str | None, str]) -> int:
    found: list[tuple[str | None, Cells, Cells]] = [(one, (one, it), (it,)) for one, it in rows]
    return scratch.want(found)


def lead(number: int, **fields: Any) -> Record:
    return {"id": LEADS[number], **fields}


def compared(scratch: Scratch) -> dict[str | None, Wanted]:
    return {one.lead_id: one for one in scratch.compared()}


def a_run(folder: Path, context: str, title: str, record: Record) -> bool:
    """A run that finds that a row agrees with a lead; tells whether it knew that before."""
    with open_scratch(folder) as scratch:
        want(scratch, (LEADS[0], title))
        scratch.see([record])
        scratch.remember_in(folder, context)
        same = scratch.set_aside_same()
        found = [one.agreement for one in scratch.compared() if one.agreement]
        scratch.remember((one, 3) for one in found)
        scratch.keep_memory()
        assert same == ((0, 0) if found else (1, 3))
        return not found


def test_it_begins_empty_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"what a killed run has left")
    with open_scratch(tmp_path) as scratch:
        assert scratch.count("wanted") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_lead_that_the_books_have_is_not_to_be_loaded_again(scratch: Scratch) -> None:
    same, other = lead(0, title="a", value=None), lead(1, title="b")
    scratch.note_mirror([(LEADS[0], digest_of(same), True, False), (LEADS[1], "x", True, False)])
    turned = dict(reversed(same.items()))
    found = scratch.see_all([turned, other, lead(2)])
    assert found == [(other, digest_of(other)), (lead(2), digest_of(lead(2)))]
    assert scratch.seen(LEADS) == {LEADS[0]: {}, LEADS[1]: other, LEADS[2]: lead(2)}


@pytest.mark.parametrize("newer_first", [True, False])
def test_of_a_lead_that_comes_twice_the_newer_copy_counts(
    scratch: Scratch, newer_first: bool
) -> None:
    older, newer = lead(0, title="a", update_time="1"), lead(0, title="b", update_time="2")
    scratch.note_mirror([(LEADS[0], digest_of(newer), True, False)])
    copies = [newer, older] if newer_first else [older, newer]
    loaded = [one for copy in copies for one, _ in scratch.see_all([copy])]
    assert loaded == ([] if newer_first else [older, newer])
    assert scratch.seen(LEADS) == {LEADS[0]: {} if newer_first else newer}


def test_only_what_is_as_the_run_takes_it_to_be_is_confirmed(scratch: Scratch) -> None:
    same, other, read, edited = (lead(number, title="a") for number in range(4))
    known = [(LEADS[0], digest_of(same), True, True), (LEADS[1], "x", True, True)]
    scratch.note_mirror([*known, *((one, "x", True, True) for one in LEADS[2:])])
    scratch.see([read, edited])
    scratch.confirm([same, other, read, {**edited, "title": "b"}, {"id": "not in the books"}])
    assert scratch.seen(LEADS) == {LEADS[0]: {}, LEADS[2]: read}


@pytest.mark.parametrize("newer_first", [True, False])
def test_a_lead_of_which_the_list_has_two_copies_is_not_confirmed(
    scratch: Scratch, newer_first: bool
) -> None:
    older, newer = lead(0, title="a"), lead(0, title="b")
    scratch.note_mirror([(LEADS[0], digest_of(older), True, True)])
    for copy in [newer, older] if newer_first else [older, newer]:
        scratch.confirm([copy])
    assert scratch.seen(LEADS) == {}


def test_what_agreed_before_is_known_until_anything_changes(tmp_path: Path) -> None:
    record = lead(0, title="a")
    assert not a_run(tmp_path, "rules", "a", record)
    assert a_run(tmp_path, "rules", "a", record)
    assert not a_run(tmp_path, "rules", "b", record)
    assert a_run(tmp_path, "rules", "b", record)
    assert not a_run(tmp_path, "rules", "b", {**record, "score": 1})
    assert not a_run(tmp_path, "other rules", "b", {**record, "score": 1})
    assert a_run(tmp_path, "other rules", "b", {**record, "score": 1})


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "no such file": lambda _: b"no such file" * 1000,
    "a zeroed page": lambda data: data[:4096] + bytes(4096) + data[8192:],
    "cut off": lambda data: data[:6000],
    "other columns": lambda data: data.replace(b"kept_nulls INT", b"kept_nones INT"),
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_memory_is_made_anew(tmp_path: Path, damage: str) -> None:
    a_run(tmp_path, "rules", "a", lead(0))
    place = tmp_path / MEMORY_NAME
    whole = place.read_bytes()
    place.write_bytes(DAMAGES[damage](whole))
    assert place.read_bytes() != whole
    assert not a_run(tmp_path, "rules", "a", lead(0))
    assert a_run(tmp_path, "rules", "a", lead(0))


def test_a_memory_that_cannot_be_had_is_done_without(tmp_path: Path) -> None:
    (tmp_path / MEMORY_NAME).mkdir()
    assert [a_run(tmp_path, "rules", "a", lead(0)) for _ in range(2)] == [False, False]


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    a_run(tmp_path, "rules", "a", lead(0))
    with open_scratch(tmp_path) as scratch:
        want(scratch, (LEADS[1], "a"))
        scratch.see([lead(1)])
        scratch.remember_in(tmp_path, "rules")
        found = [one.agreement for one in scratch.compared() if one.agreement]
        scratch.remember((one, 0) for one in found)
        with closing(sqlite3.connect(tmp_path / MEMORY_NAME)) as other:
            other.execute("DROP TABLE agreed")
            scratch.keep_memory()
        assert scratch.seen([LEADS[1]]) == {LEADS[1]: lead(1)}
    assert not a_run(tmp_path, "rules", "a", lead(0))
    assert a_run(tmp_path, "rules", "a", lead(0))


def test_a_base_that_moved_is_judged_anew(tmp_path: Path) -> None:
    def knows(base: Record) -> bool:
        with open_scratch(tmp_path) as scratch:
            want(scratch, (LEADS[0], "a"))
            scratch.see([lead(0)])
            scratch.note_bases([(LEADS[0], base)])
            scratch.remember_in(tmp_path, "rules")
            same, _ = scratch.set_aside_same()
            found = [one.agreement for one in scratch.compared() if one.agreement]
            scratch.remember((one, 0) for one in found)
            scratch.keep_memory()
            assert same + len(found) == 1
            return bool(same)

    assert [knows(base) for base in ({"title": "a"}, {"title": "a"}, {"title": "b"})] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "trouble", ["several rows", "failed", "passed", "gone", "unread", "unreadable"]
)
def test_what_agreed_before_is_judged_anew_where_something_else_is_known(
    tmp_path: Path, trouble: str
) -> None:
    assert not a_run(tmp_path, "rules", "a", lead(0))
    with open_scratch(tmp_path) as scratch:
        want(scratch, *[(LEADS[0], "a")] * (2 if trouble == "several rows" else 1))
        scratch.see([lead(0)] if trouble != "unread" else [])
        scratch.see_gone([LEADS[0]] if trouble == "gone" else [])
        scratch.mark(trouble, [LEADS[0]] if trouble in ("failed", "passed", "unreadable") else [])
        scratch.remember_in(tmp_path, "rules")
        assert scratch.set_aside_same() == (0, 0)
        found = list(scratch.compared())
    assert len(found) == (trouble != "passed")
    for one in found:
        assert len(one.rows) == (2 if trouble == "several rows" else 1)
        assert isinstance(one.agreement, Agreement) is (trouble in ("failed", "unreadable"))


def test_only_what_agreed_is_set_aside(tmp_path: Path) -> None:
    """Also the rows that name no lead, and those of a lead that nobody remembers, are compared."""
    assert not a_run(tmp_path, "rules", "a", lead(0))
    with open_scratch(tmp_path) as scratch:
        want(scratch, (LEADS[1], "a"), (None, "b"), (LEADS[0], "a"), (None, "c"))
        scratch.see([lead(1), lead(0)])
        scratch.mark("left", [LEADS[0]])
        scratch.remember_in(tmp_path, "rules")
        assert scratch.set_aside_same() == (1, 3)
        found = [(one.lead_id, [title for _, title in one.rows]) for one in scratch.compared()]
    assert found == [(LEADS[1], ["a"]), (None, ["b"]), (None, ["c"])]


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.decimals() | st.dates()


@given(st.lists(st.tuples(st.sampled_from([*LEADS, "x", None]), VALUES), max_size=8))
def test_each_lead_comes_once_with_all_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, Any]]
) -> None:
    with open_scratch(tmp_path_factory.mktemp("scratch")) as scratch:
        assert want(scratch, *rows) == len(rows)
        found = list(scratch.compared())
        for one in LEADS:
            its = [repr(cells) for cells in scratch.rows_of([one]).get(one, [])]
            assert its == [repr(row) for row in rows if row[0] == one]
    named = [one.lead_id for one in found if one.lead_id is not None]
    assert named == sorted({one for one, _ in rows if one is not None})
    assert sorted(repr(cells) for one in found for cells in one.rows) == sorted(map(repr, rows))
    assert all(len(one.rows) == 1 for one in found if one.lead_id is None)
