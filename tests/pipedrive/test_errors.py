"""Which class an answer is: what the caller may do next, decided by more than its text."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipedrive.errors import (
    LONGEST_TEXT,
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
REQUESTS = "x-daily-requests-left"
TEXTS = ("error", "error_info", "code")


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
    (429, {REQUESTS: "0"}, refusal(), BudgetSpent),
    (429, {REQUESTS: "0", BURST: "0"}, HTML, BudgetSpent),
    (429, {REQUESTS: "3"}, refusal(), RateLimited),
    (429, {REQUESTS: "0", DAILY: "500"}, refusal(), RateLimited),
    (429, {DAILY: "0.0"}, refusal(), BudgetSpent),
    (429, {DAILY: "-7", REQUESTS: "none"}, refusal(), RateLimited),
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
    assert error.answer is not None
    kept = error.answer
    assert (kept.status, kept.headers) == (status, headers)
    assert [kept.text(key) for key in TEXTS] == [answer.text(key) for key in TEXTS]
    assert str(status) in str(error)


def test_the_message_tells_what_pipedrive_told() -> None:
    told = refusal("provided dataset is not valid", "owner_id must be a number", code="ERR_1")
    message = str(classify(Answer(400, {}, told)))
    assert message == "400 provided dataset is not valid · owner_id must be a number · ERR_1"


def test_a_token_that_is_refused_may_be_another_companys() -> None:
    message = str(classify(Answer(401, {}, refusal("unauthorized access"))))
    assert "check the API token" in message
    assert "base_url" in message


@pytest.mark.parametrize("missing", [LeadNotFound, Refused])
@pytest.mark.parametrize("text", ["Lead was removed", "Lead not found", "Lead label not found"])
def test_where_the_url_is_known_to_be_right_no_text_says_what_a_404_is_about(
    missing: type[PipedriveError], text: str
) -> None:
    assert type(classify(Answer(404, {}, refusal(text)), missing)) is missing


@pytest.mark.parametrize(
    "document",
    [HTML, {}, {"message": "no Route matched"}, refusal("Unknown method .")],
    ids=str,
)
def test_a_404_that_is_about_no_lead_is_a_wrong_url(document: dict[str, Any] | None) -> None:
    assert type(classify(Answer(404, {}, document), LeadNotFound)) is AccountError


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("given", ["x" * 5_000_000, ["y" * 9_000], {"z": "w" * 9_000}], ids=type)
def test_texts_of_the_api_are_cut_where_they_are_classed(key: str, given: Any) -> None:
    document = {"success": False, key: given, "data": ["x" * 5_000_000]}
    error = classify(Answer(400, {}, document))
    assert error is not None
    assert error.answer is not None
    assert len(error.answer.text(key)) == LONGEST_TEXT
    assert len(str(error)) < LONGEST_TEXT + 10
    assert len(repr(error.answer.document)) < LONGEST_TEXT + 100


def test_texts_of_the_api_are_one_line() -> None:
    error = classify(Answer(400, {}, refusal("two\r\nlines", "and\ta third\x0b")))
    assert str(error) == "400 two lines · and a third"


def test_a_text_that_is_nested_without_end_is_no_other_error() -> None:
    endless: list[Any] = []
    for _ in range(100_000):
        endless = [endless]
    assert type(classify(Answer(400, {}, {"success": False, "error": endless}))) is Refused


def test_an_error_names_its_call_and_how_often_it_was_made() -> None:
    error = InDoubt("502")
    assert str(error) == "502"
    error.call = "GET /api/v1/leads"
    assert str(error) == "502 (GET /api/v1/leads)"
    error.tries = 5
    assert str(error) == "502 (GET /api/v1/leads, 5 tries)"
