"""The client serves any type of record by what its declaration says, and by nothing else."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import InDoubt, PipedriveError, Refused
from connector.pipedrive.lookup import look_up
from connector.pipedrive.record_api import RecordApi
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS, Tokens
from tests.support.recorder import TOKEN, Recorder

SERVED: RecordApi = LEADS
"""What mypy holds: the declaration of leads is all that the client asks for."""
DEALS: RecordApi = replace(
    LEADS,
    name="deal",
    path="/deals",
    archived_path="/deals/archived",
    fields_path="/dealFields",
    page_limit=3,
    tokens=Tokens(page=7, archived_page=11, one=3, patch=5, definitions=13),
)
DEEP = b'{"success": true, "data": {"id": 7, "k": %s}}' % (b"[" * 100 + b"]" * 100)


@pytest.fixture
def client(recorder: Recorder) -> Pipedrive:
    return Pipedrive(recorder.base_url, ApiToken(TOKEN), attempts=1)


def answer(recorder: Recorder, data: Any) -> None:
    recorder.body = json.dumps({"success": True, "data": data}).encode()


@dataclass(frozen=True)
class Case:
    """A call about deals, and the request and the tokens that it comes to."""

    call: Callable[[Pipedrive], Any]
    data: Any
    request: str
    tokens: int


CASES = [
    Case(lambda client: client.get(DEALS, "7"), {"id": 7}, "GET /api/v1/deals/7", 3),
    Case(
        lambda client: client.get_once(DEALS, "7", Usage(client.usage)),
        {"id": 7},
        "GET /api/v1/deals/7",
        3,
    ),
    Case(
        lambda client: client.patch(DEALS, "7", {"title": "T"}, Usage(client.usage)),
        {"id": 7},
        "PATCH /api/v1/deals/7",
        5,
    ),
    Case(
        lambda client: next(client.pages(DEALS)),
        [{"id": 7}],
        "GET /api/v1/deals?start=0&limit=3",
        7,
    ),
    Case(
        lambda client: next(client.archived_pages(DEALS)),
        [{"id": 7}],
        "GET /api/v1/deals/archived?start=0&limit=3",
        11,
    ),
    Case(
        lambda client: client.definitions(DEALS),
        [{"id": 7}],
        "GET /api/v1/dealFields?start=0&limit=3",
        13,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.request)
def test_path_page_and_cost_of_a_call_are_its_types(
    recorder: Recorder, client: Pipedrive, case: Case
) -> None:
    answer(recorder, case.data)
    assert case.call(client) == case.data
    assert [f"{one.method} {one.path}" for one in recorder.arrived] == [case.request]
    assert (client.usage.requests, client.usage.tokens) == (1, case.tokens)


class Listing(Recorder):
    """A list of seven rows without any marker, in pages of three."""

    def answer(self, request: Any) -> None:
        start = 3 * len(self.arrived)
        answer(self, [{"id": number} for number in range(7)][start : start + 3])
        super().answer(request)


@pytest.mark.parametrize(
    "read",
    [
        lambda client: [row for page in client.pages(DEALS) for row in page],
        lambda client: [row for page in client.archived_pages(DEALS) for row in page],
        lambda client: client.definitions(DEALS),
    ],
    ids=["pages", "archived_pages", "definitions"],
)
def test_a_page_is_full_at_the_limit_of_its_type(
    recorder: Recorder, client: Pipedrive, read: Callable[[Pipedrive], list[Any]]
) -> None:
    recorder.__class__ = Listing
    assert [row["id"] for row in read(client)] == list(range(7))
    queries = [one.path.partition("?")[2] for one in recorder.arrived]
    assert queries == ["start=0&limit=3", "start=3&limit=3", "start=6&limit=3"]


@pytest.mark.parametrize(
    ("body", "on_read", "on_patch", "message"),
    [
        (b'{"success": true, "data": {"id": 8}}', InDoubt, InDoubt, "another deal, '8'"),
        (DEEP, Refused, InDoubt, "the deal is nested"),
    ],
    ids=["another", "deep"],
)
def test_an_answer_that_proves_nothing_is_told_in_the_words_of_its_type(
    recorder: Recorder,
    client: Pipedrive,
    body: bytes,
    on_read: type[PipedriveError],
    on_patch: type[PipedriveError],
    message: str,
) -> None:
    recorder.body = body
    with pytest.raises(on_read, match=message):
        client.get(DEALS, "7")
    with pytest.raises(on_patch, match=message):
        client.patch(DEALS, "7", {"title": "T"}, Usage())


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ("012", ["deals/0", "deals/1", "deals/2"]),
        ("0123", ["deals/archived?start=0&limit=3", "deals/3"]),
    ],
)
def test_a_list_is_read_where_it_costs_less_by_the_tokens_of_its_type(
    recorder: Recorder, client: Pipedrive, wanted: str, paths: list[str]
) -> None:
    """A page of archived deals costs 11 and a deal 3, so a page is worth three deals."""
    answer(recorder, [{"id": number} for number in range(3)])
    found = list(look_up(client, DEALS, wanted, workers=1))
    assert [one.path for one in recorder.arrived] == [f"/api/v1/{path}" for path in paths]
    listed = [one.lead_id for one in found if one.lead is not None]
    assert listed == (["0", "1", "2"] if "archived" in paths[0] else [])


def test_the_paths_of_leads_stand_in_their_declaration_alone() -> None:
    root = Path(connector.__file__).parent
    paths = (LEADS.path, LEADS.archived_path, LEADS.fields_path)
    found = {
        str(module.relative_to(root))
        for module in root.rglob("*.py")
        if "sandbox" not in module.parts
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(paths)
    }
    assert found == {"records/leads.py"}
