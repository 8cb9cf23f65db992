"""A test of the warehouse has a DuckDB file alone for its site."""

from __future__ import annotations

import pytest

from tests.support.warehouse import Site


@pytest.fixture
def site(file_site: Site) -> Site:
    return file_site
