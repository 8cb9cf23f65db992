"""What the API answers: a reply, and the JSON bodies of its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

Headers = tuple[tuple[bytes, bytes], ...]

JSON: Final = (b"content-type", b"application/json; charset=utf-8")
HTML: Final = (b"content-type", b"text/html; charset=UTF-8")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, and whether a write took effect to make it."""

    status: int
    body: bytes
    headers: Headers = (JSON,)
    wrote: bool = False


def ok(
    data: object, additional_data: object = None, *, status: int = 200, wrote: bool = False
) -> Reply:
    """Return a success with `data`, and `additional_data` where there is some."""
    content = {"success": True, "data": data}
    if additional_data is not None:
        content["additional_data"] = additional_data
    return Reply(status, orjson.dumps(content), wrote=wrote)


def refusal(status: int, error: str, info: str, **extra: object) -> Reply:
    """Return an error in the API's common shape."""
    content = {"success": False, "error": error, "error_info": info, **extra}
    return Reply(status, orjson.dumps({**content, "data": None, "additional_data": None}))


def invalid(info: str) -> Reply:
    """Return the 400 that refuses a body; `info` names one field."""
    return refusal(400, "provided dataset is not valid", info)


def not_found(text: str) -> Reply:
    """Return the 404 of a lead that is not there.

    Args:
        text: `documented`, or another one: texts may change without notice (documented).
    """
    if text == "documented":
        return refusal(404, "requested lead not found", "Object was not found.")
    return refusal(404, "No such record", "It may have been removed.")


def unknown_route() -> Reply:
    """Return the 404 of a URL that is not part of the API (text observed, not documented)."""
    return refusal(404, "Unknown method .", "Please check developers.pipedrive.com")


def wrong_method() -> Reply:
    """Return the 405 of a method that a known URL does not take (assumed)."""
    return refusal(405, "Method not allowed", "Please check developers.pipedrive.com")


def unauthorized() -> Reply:
    """Return the 401 of a missing or wrong token."""
    content = {
        "success": False,
        "error": "unauthorized access",
        "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com",
    }
    return Reply(401, orjson.dumps(content))


def over_limit(info: str, body: str) -> Reply:
    """Return a 429 whose body is `json`, `html` or `empty` (unknown)."""
    if body != "json":
        page = b"<html><body><h1>429 Too Many Requests</h1></body></html>"
        return Reply(429, page if body == "html" else b"", (HTML,))
    content = {"success": False, "error": "Rate limit exceeded", "errorCode": 429}
    return Reply(429, orjson.dumps({**content, "error_info": info}))


def archived(status: int, text: str) -> Reply:
    """Return the refusal of a write to an archived lead.

    Args:
        status: The status, which is unknown.
        text: `named` for the code of one secondary source, `plain` for words without it.
    """
    if text == "plain":
        return refusal(status, "Not possible", "This item is read-only.")
    info = "Archived leads cannot be edited (ERR_LEAD_ARCHIVED)."
    return refusal(status, "Lead is archived", info, code="ERR_LEAD_ARCHIVED")
