"""What is wanted beside what is there: the desired table, the books and the scratch file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from connector.errors import DesiredTableError
from connector.planning.model import Comparison
from connector.warehouse import comparison, history
from connector.warehouse.desired import Head, open_desired
from connector.warehouse.history import Trust
from connector.warehouse.rows import document_of
from connector.warehouse.schema import gone_row, lead_row
from connector.warehouse.scratch import Scratch, open_scratch
from connector.warehouse.store import Warehouse
from tests.support.warehouse import (
    EARLIER,
    NOW,
    RUN,
    Site,
    a_run,
    desire,
    lead_id,
    outcome,
    patch_row,
)

HOUR = timedelta(hours=1)
NOTHING = Trust()
LATELY = (NOW - 24 * HOUR, NOW)
AGES = {"at first": NOW - 24 * HOUR, "too long ago": NOW - 25 * HOUR, "to come": NOW + HOUR}


@dataclass(frozen=True)
class Looked:
    """A run that has read what it is going to compare."""

    warehouse: Warehouse
    scratch: Scratch
    head: Head

    def compared(self) -> list[Comparison]:
        return list(comparison.compared(self.warehouse, self.scratch, self.head.read))


@contextmanager
def looked(
    site: Site, trust: Trust = NOTHING, lead: str | None = None, *, anew: bool = False
) -> Iterator[Looked]:
    """Read what the run `RUN` would read; the mirror's rows of that run are what it read."""
    with (
        site.opened() as warehouse,
        TemporaryDirectory() as folder,
        open_scratch(Path(folder)) as scratch,
        open_desired(warehouse, site.settings) as table,
    ):
        head = table.head()
        scratch.want(table.rows(head, lead, with_time=False, names=set()))
        scratch.note_mirror(history.mirror(warehouse, trust))
        rows: list[Any] = list(
            warehouse.query("SELECT * FROM pipedrive_leads.leads WHERE read_by = %s", RUN)
        )
        scratch.see(document_of(row["record"]) for row in rows if row["gone_at"] is None)
        scratch.see_gone(row["id"] for row in rows if row["gone_at"] is not None)
        scratch.mark("left", history.pending_lead_ids(warehouse, lead))
        comparison.mark_failed(warehouse, scratch)
        if anew:
            comparison.mark_passed(warehouse, scratch, RUN)
        yield Looked(warehouse, scratch, head)


def test_every_row_without_a_lead_id_is_compared_alone(site: Site) -> None:
    desire(site, "(NULL, 'a'), (NULL, 'b'), (NULL, 'a')")
    with looked(site) as run:
        found = run.compared()
    assert [one.lead_id for one in found] == [None] * 3
    assert sorted(row["title"] for one in found for row in one.rows) == ["a", "a", "b"]


def test_rows_of_one_lead_are_compared_together_whatever_their_spelling(site: Site) -> None:
    one, two = lead_id(1), lead_id(2)
    desire(site, f"('{one}', 'a'), ('{two}', 'b'), (' {one.upper()} ', 'c'), ('x', 'd')")
    site.load("leads", [lead_row({"id": one, "title": "T"}, NOW, RUN)])
    with looked(site) as run:
        found = {each.lead_id: each for each in run.compared()}
    assert found.keys() == {one, two, "x"}
    assert sorted(row["title"] for row in found[one].rows) == ["a", "c"]
    assert found[one].current == {"id": one, "title": "T"}
    assert found[two].current is None


@pytest.mark.parametrize("only", [None, 3])
def test_a_lead_is_compared_as_this_run_has_read_it(site: Site, only: int | None) -> None:
    ids = [lead_id(number) for number in range(4)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    rows = [
        lead_row({"id": ids[0]}, NOW, RUN),
        lead_row({"id": ids[1]}, NOW, EARLIER),
        gone_row({"id": ids[2]}, NOW, RUN),
    ]
    site.load("leads", rows)
    with looked(site, lead=None if only is None else ids[only]) as run:
        found = {one.lead_id: one.current for one in run.compared()}
        assert set(run.scratch.unknown()) == ({ids[1], ids[3]} if only is None else {ids[3]})
        assert history.mirrored(run.warehouse, ids[0]) == ({"id": ids[0]}, None)
        assert history.mirrored(run.warehouse, ids[2]) == ({"id": ids[2]}, NOW)
        assert history.mirrored(run.warehouse, ids[3]) is None
    whole = {ids[0]: {"id": ids[0]}, ids[1]: None, ids[2]: None, ids[3]: None}
    assert found == (whole if only is None else {ids[3]: None})


@pytest.mark.parametrize(
    ("trust", "unknown"),
    [
        (NOTHING, {"gone", "archived", "active"}),
        (Trust(LATELY), {"active"}),
        (Trust(LATELY, archived=False), {"archived", "active"}),
        (Trust(LATELY, listed=True), set()),
    ],
    ids=["nothing", "lately", "lately gone", "listed"],
)
def test_what_of_the_mirror_is_trusted_is_known(
    site: Site, trust: Trust, unknown: set[str]
) -> None:
    ids = {name: lead_id(number) for number, name in enumerate(("gone", "archived", "active"))}
    desire(site, *(f"('{one}', 'a')" for one in ids.values()))
    records = {name: {"id": ids[name], "is_archived": name == "archived"} for name in ids}
    here = [lead_row(records[name], NOW, EARLIER) for name in ("archived", "active")]
    site.load("leads", [gone_row({"id": ids["gone"]}, NOW, EARLIER), *here])
    with looked(site, trust) as run:
        assert set(run.scratch.unknown()) == {ids[name] for name in unknown}
        found = {one.lead_id: one.current for one in run.compared()}
    there = {name: None if name in unknown or name == "gone" else records[name] for name in ids}
    assert found == {ids[name]: there[name] for name in ids}


def test_only_what_was_found_in_the_period_is_known(site: Site) -> None:
    ids = {age: lead_id(number) for number, age in enumerate(AGES)}
    desire(site, *(f"('{one}', 'a')" for one in ids.values()))
    site.load("leads", [gone_row({"id": ids[age]}, AGES[age], EARLIER) for age in AGES])
    with looked(site, Trust(LATELY)) as run:
        assert set(run.scratch.unknown()) == {ids["too long ago"], ids["to come"]}


@pytest.mark.parametrize("only", [None, 0])
def test_a_lead_with_an_unfinished_patch_is_known_when_this_run_has_read_it(
    site: Site, only: int | None
) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    site.load("sync_runs", [a_run()])
    patches = [{**patch_row(n, {"title": "a"}), "lead_id": ids[n]} for n in range(2)]
    site.load("lead_patches", patches)
    read_by = (EARLIER, RUN, EARLIER)
    rows = [gone_row({"id": one}, NOW, run) for one, run in zip(ids, read_by, strict=True)]
    site.load("leads", rows)
    with looked(site, Trust(LATELY), lead=None if only is None else ids[only]) as run:
        assert run.scratch.unknown() == [ids[0]]


def test_leads_that_failed_before_come_last(site: Site) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    failed = {**patch_row(1, {"title": "T"}), "lead_id": ids[0]}
    again = {**outcome(failed, "failed"), "outcome_id": "b"}
    site.load("lead_outcomes", [outcome(failed, "failed"), again])
    with looked(site) as run:
        assert [one.lead_id for one in run.compared()] == [ids[1], ids[2], ids[0]]


def test_only_one_lead(site: Site) -> None:
    desire(site, *(f"('{lead_id(number)}', 'a')" for number in range(3)))
    with looked(site, lead=lead_id(1)) as run:
        assert [one.lead_id for one in run.compared()] == [lead_id(1)]
        assert run.scratch.count("wanted") == 1


def test_what_was_interrupted_comes_with_its_rows_and_its_lead(site: Site) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, f"('{ids[0]}', 'a'), ('{ids[0]}', 'b'), ('{ids[1]}', 'c')")
    patches = [
        {**patch_row(1, {"is_archived": False}), "lead_id": ids[0]},
        {**patch_row(2, {"title": "a"}), "lead_id": ids[0]},
        {**patch_row(3, {"title": "z"}), "lead_id": ids[2]},
    ]
    site.load("sync_runs", [a_run()])
    site.load("lead_patches", patches)
    here, gone_lead = lead_row({"id": ids[0], "title": "T"}, NOW, RUN), {"id": ids[2]}
    site.load("leads", [here, gone_row(gone_lead, NOW, RUN)])
    with looked(site, anew=True) as run:
        first, gone = comparison.interrupted(
            run.warehouse, run.scratch, RUN, None, [], read=run.head.read
        )
        assert [one.lead_id for one in run.compared()] == [ids[1]]
    assert [patch.body for patch in first.patches] == [{"is_archived": False}, {"title": "a"}]
    assert sorted(row["title"] for row in first.rows) == ["a", "b"]
    assert first.current == {"id": ids[0], "title": "T"}
    assert (gone.lead_id, gone.rows, gone.current) == (ids[2], [], None)


def test_the_desired_tables_columns(site: Site) -> None:
    desire(site, columns='lead_id UUID, "Lead Score" DECIMAL(9, 2), "4a" INTEGER')
    with site.opened() as warehouse, open_desired(warehouse, site.settings) as table:
        assert list(table.head().columns) == ["lead_id", "lead score", "4a"]


def test_a_desired_table_that_is_not_there(site: Site) -> None:
    with (
        site.opened() as warehouse,
        open_desired(warehouse, site.settings) as table,
        pytest.raises(DesiredTableError, match=r"crm\.lead_changes"),
    ):
        table.head()


def test_values_come_as_the_core_expects_them(site: Site) -> None:
    columns = "lead_id VARCHAR, day DATE, price DECIMAL(9, 2), tags VARCHAR[], more JSON"
    values = "(NULL, DATE '2026-12-31', 50.50, ['a'], '{\"b\": null}')"
    desire(site, values, columns=columns)
    with looked(site) as run:
        [found] = run.compared()
    [row] = found.rows
    assert str(row["day"]) == "2026-12-31"
    assert str(row["price"]) == "50.50"
    assert row["tags"] == ["a"]
    assert row["more"] in ({"b": None}, '{"b": null}')
