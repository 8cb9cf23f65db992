"""What an answer's headers tell of limits. A header that makes no sense tells nothing."""

from __future__ import annotations

from collections.abc import Mapping

TOKENS_A_REQUEST = 10
"""Tokens of a PATCH, which is what `x-daily-requests-left` is told on (documented)."""

MOST = 2**53
"""More tokens, requests or seconds than any server has; one that tells of more tells nothing."""


def number(text: str | None) -> float | None:
    """Reads a header's number; None for one that is absent, negative, endless or none at all."""
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if 0 <= value < MOST else None


def day_budget(headers: Mapping[str, str]) -> int | None:
    """Returns the tokens of the company's whole day; the header is observed, and may be missing."""
    tokens = number(headers.get("x-daily-ratelimit-token-limit"))
    return None if tokens is None else int(tokens)


def day_left(headers: Mapping[str, str]) -> float | None:
    """Returns the tokens that the company's day has left, or None where nothing tells.

    The exact header is observed and sometimes missing. `x-daily-requests-left` is documented.
    """
    tokens = number(headers.get("x-daily-ratelimit-token-remaining"))
    if tokens is not None:
        return tokens
    requests = number(headers.get("x-daily-requests-left"))
    return None if requests is None else requests * TOKENS_A_REQUEST
