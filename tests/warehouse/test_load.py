"""Pages of leads go into DuckDB as files, within little memory, however large the records are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.warehouse.load import load_pages
from connector.warehouse.schema import TableRow, lead_row
from tests.support.warehouse import NOW, RUN, Site, lead_id


def pages(leads: int, size: int) -> Iterator[list[TableRow]]:
    """Yields rows of so many leads, each with so many characters that nothing compresses."""
    for start in range(0, leads, 500):
        yield [
            lead_row({"id": lead_id(number), "title": f"{number} {'ab' * (size // 2)}"}, NOW, RUN)
            for number in range(start, min(start + 500, leads))
        ]


def limits(site: Site) -> tuple[str, int]:
    with site.pipeline.sql_client() as client:
        sql = "SELECT current_setting('memory_limit'), current_setting('threads')"
        [(memory, threads)] = client.execute_sql(sql) or ()
    return memory, threads


def loaded(site: Site) -> tuple[int, int]:
    with site.pipeline.sql_client() as client:
        sql = "SELECT count(*), count(DISTINCT id) FROM pipedrive_leads.leads"
        [(rows, leads)] = client.execute_sql(sql) or ()
    return rows, leads


@pytest.mark.parametrize(
    ("leads", "size", "packages"), [(10_010, 100, 1), (2, 12_000_000, 1), (8, 6_000_000, 2)]
)
def test_each_lead_is_loaded_once(leads: int, size: int, packages: int, site: Site) -> None:
    before = limits(site)
    asked: list[None] = []
    load_pages(site.pipeline, "leads", pages(leads, size), lambda: asked.append(None))
    assert loaded(site) == (leads, leads)
    assert len(asked) == packages
    assert limits(site) == before


def test_a_bound_of_the_users_stays(site: Site) -> None:
    site.execute("SET memory_limit = '300MB'")
    with site.opened():
        site.execute("SET memory_limit = '300MB'")
        before = limits(site)
        load_pages(site.pipeline, "leads", pages(10, 10), lambda: None)
        assert limits(site) == before
        assert before[0] == "286.1 MiB"
