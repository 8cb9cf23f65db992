"""JSON of answers: what strict JSON refuses in one record does not hide the others."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipedrive.documents import DEEPEST, is_too_deep, read_document

OTHER = '{"id": "b", "title": "Grüße 🙂 \\"]}"}'


def page_with(value: str) -> bytes:
    return f'{{"data": [{{"id": "a", "field": {value}}}, {OTHER}]}}'.encode()


def read(body: bytes) -> Any:
    document = read_document(body)
    assert document is not None
    bad, other = document["data"]
    assert other == {"id": "b", "title": 'Grüße 🙂 "]}'}
    assert bad["id"] == "a"
    return bad["field"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("[1e999, 1.50, 12, -3]", ["1e999", 1.5, 12, -3]),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1" * 5000, "1" * 5000),
        ("12345678901234567890123", 12345678901234567890123.0),
        (f"[{2**62}, NaN]", [float(2**62), "NaN"]),
        ('"A\\ud83d"', "A\\ud83d"),
        ('"A\\u0000B"', "A\\u0000B"),
        ('["\\ud83d\\ude42", NaN]', ["🙂", "NaN"]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_one_odd_value_is_read_and_so_is_the_rest(value: str, expected: Any) -> None:
    assert read(page_with(value)) == expected


def test_a_byte_that_is_no_text_is_replaced() -> None:
    assert read(page_with('"A"').replace(b'"A"', b'"A\xff"')) == "A\ufffd"


@pytest.mark.parametrize("depth", [DEEPEST, 300, 2_000, 200_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"k": ', "}")])
def test_a_record_without_end_is_told_from_the_others(depth: int, opens: str, closes: str) -> None:
    body = page_with(f'{opens * depth}"]]}}"{closes * depth}')
    document = read_document(body)
    assert document is not None
    assert [is_too_deep(row) for row in document["data"]] == [True, False]
    assert document["data"][1]["id"] == "b"


@pytest.mark.parametrize("depth", [250, 300, 500, 1_000])
@pytest.mark.parametrize("inmost", ['"A"', '"A\\u0000B"', "NaN"])
def test_what_is_nested_deep_can_be_looked_into(depth: int, inmost: str) -> None:
    """Whoever looks does so step by step: Python takes a thousand of them."""
    field = read(page_with(f"{'[' * depth}{inmost}{']' * depth}"))
    assert is_too_deep(field)
    assert str(field)


def test_what_is_no_deeper_than_allowed_is_kept() -> None:
    inner = DEEPEST - 2
    assert not is_too_deep({"id": "a", "field": read(page_with("[" * inner + "]" * inner))})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b"{",
        b'{"data": ',
        b'{"a": "\\' + b'"' * 500_000,
        b'{"a": "' + b'\\"' * 500_000,
        b"[" * 500_000,
        b"{" * 500_000 + b"NaN",
        b"]" * 500_000,
        b"\xff\xfe\x00",
        b"<html>",
    ],
    ids=lambda body: str(body[:12]),
)
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert read_document(body) is None
