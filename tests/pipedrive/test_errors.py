"""Which class an answer is: what the caller may do next, decided by more than its text."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipedrive.errors import (
    AccountError,
    Answer,
    BudgetSpent,
    InDoubt,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
    classify,
)

DAILY = "x-daily-ratelimit-token-remaining"
BURST = "x-ratelimit-remaining"
DONE = {"success": True, "data": {"id": "a"}}
HTML = None


def refusal(error: str = "Bad request", info: str = "", **more: Any) -> dict[str, Any]:
    return {"success": False, "error": error, "error_info": info, "data": None, **more}


USABLE = [
    (200, DONE),
    (200, {"success": True, "data": None}),
    (201, DONE),
]
CLASSES: list[tuple[int, dict[str, str], dict[str, Any] | None, type[PipedriveError]]] = [
    (200, {}, HTML, InDoubt),
    (200, {}, {}, InDoubt),
    (200, {}, refusal(), InDoubt),
    (200, {}, {"success": "true", "data": {}}, InDoubt),
    (204, {}, HTML, InDoubt),
    (301, {}, HTML, AccountError),
    (302, {}, HTML, AccountError),
    (307, {}, DONE, AccountError),
    (308, {}, HTML, AccountError),
    (400, {}, refusal("provided dataset is not valid", "owner_id must be a number"), Refused),
    (400, {}, HTML, Refused),
    (400, {}, refusal(code="ERR_LEAD_ARCHIVED"), LeadArchived),
    (409, {}, refusal("Lead is archived", code="ERR_LEAD_ARCHIVED"), LeadArchived),
    (403, {}, refusal("ERR_LEAD_ARCHIVED"), LeadArchived),
    (422, {}, refusal(info="ERR_LEAD_ARCHIVED"), LeadArchived),
    (409, {}, refusal("conflict"), Refused),
    (422, {}, refusal(), Refused),
    (401, {}, refusal("unauthorized access"), AccountError),
    (401, {}, HTML, AccountError),
    (402, {}, refusal("payment required"), AccountError),
    (403, {}, refusal("Not allowed"), Refused),
    (403, {}, refusal("Scope and URL mismatch"), AccountError),
    (403, {}, refusal("Forbidden", "Scope and URL mismatch"), AccountError),
    (403, {}, HTML, AccountError),
    (404, {}, refusal("requested lead not found"), LeadNotFound),
    (404, {}, refusal("Lead not found"), LeadNotFound),
    (404, {}, refusal("Object was not found."), LeadNotFound),
    (404, {}, refusal("Unknown method ."), AccountError),
    (404, {}, refusal(""), AccountError),
    (404, {}, {}, AccountError),
    (404, {}, HTML, AccountError),
    (405, {}, refusal(), AccountError),
    (410, {}, refusal(), AccountError),
    (415, {}, refusal(), AccountError),
    (501, {}, refusal(), AccountError),
    (429, {DAILY: "0"}, refusal(), BudgetSpent),
    (429, {DAILY: "0", BURST: "0"}, refusal(), BudgetSpent),
    (429, {DAILY: "12", BURST: "0"}, refusal(), RateLimited),
    (429, {BURST: "0"}, refusal(), RateLimited),
    (429, {}, refusal(), RateLimited),
    (429, {}, HTML, RateLimited),
    (408, {}, HTML, InDoubt),
    (500, {}, refusal(), InDoubt),
    (500, {}, refusal("Lead not found", code="ERR_LEAD_ARCHIVED"), InDoubt),
    (502, {}, HTML, InDoubt),
    (503, {}, HTML, InDoubt),
    (504, {}, HTML, InDoubt),
    (520, {}, HTML, InDoubt),
]


@pytest.mark.parametrize(("status", "document"), USABLE)
def test_answers_that_can_be_used(status: int, document: dict[str, Any]) -> None:
    assert classify(Answer(status, {}, document)) is None


@pytest.mark.parametrize(("status", "headers", "document", "expected"), CLASSES)
def test_classes(
    status: int,
    headers: dict[str, str],
    document: dict[str, Any] | None,
    expected: type[PipedriveError],
) -> None:
    assert type(classify(Answer(status, headers, document))) is expected


@pytest.mark.parametrize(("status", "headers", "document", "expected"), CLASSES)
def test_an_error_keeps_what_came_back_and_tells_the_status(
    status: int,
    headers: dict[str, str],
    document: dict[str, Any] | None,
    expected: type[PipedriveError],
) -> None:
    answer = Answer(status, headers, document)
    error = classify(answer)
    assert error is not None
    assert error.answer is answer
    assert str(status) in str(error)


def test_the_message_tells_what_pipedrive_told() -> None:
    told = refusal("provided dataset is not valid", "owner_id must be a number", code="ERR_1")
    message = str(classify(Answer(400, {}, told)))
    assert message == "400 provided dataset is not valid · owner_id must be a number · ERR_1"
