"""What can go wrong with a call to Pipedrive, and how an answer is classed.

The classes say what the caller may do next, not which status came. Statuses and texts are
from the published documentation and from observation; texts may change without notice, so
a text only ever narrows what the status already says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.pipedrive.headers import day_left

LONGEST_TEXT = 500
"""Characters kept of a text of the API."""
_LONGEST_SEARCHED = 100 * LONGEST_TEXT
_TEXTS = ("error", "error_info", "code")


@dataclass(frozen=True)
class Answer:
    """What came back from one call.

    Attributes:
        status: The HTTP status.
        headers: The response headers, names in lower case.
        document: The parsed JSON body, or None when the body is not a JSON object.
    """

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any] | None

    def text(self, key: str) -> str:
        """Returns a text of the error envelope on one line, or an empty string."""
        value = (self.document or {}).get(key)
        return "" if value is None else one_line(_text(value))

    def hiding(self, hide: Callable[[str], str]) -> Answer:
        """Returns it as it may be shown: its headers and its envelope's texts without a secret.

        That comes before a text is cut, which would leave a part of the secret at its end.
        """
        headers = {name: hide(value) for name, value in self.headers.items()}
        told = {key: (self.document or {}).get(key) for key in _TEXTS}
        hidden = {
            key: hide(_text(value)[:_LONGEST_SEARCHED])
            for key, value in told.items()
            if value is not None
        }
        document = {**self.document, **hidden} if self.document and hidden else self.document
        return replace(self, headers=headers, document=document)

    def without_data(self) -> Answer:
        """Returns what of an error is worth keeping: its short texts."""
        if self.document is None:
            return self
        kept: dict[str, Any] = {key: self.text(key) for key in _TEXTS if key in self.document}
        if isinstance(success := self.document.get("success"), bool):
            kept["success"] = success
        return replace(self, document=kept)


def _text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else str(value)
    except RecursionError:
        return "(nested too deep to be shown)"


def one_line(text: str) -> str:
    """Returns as much of a text as is kept."""
    text = " ".join(text[: 4 * LONGEST_TEXT].split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


class PipedriveError(Exception):
    """A call to Pipedrive did not bring what was asked.

    Attributes:
        answer: What came back, or None when nothing did.
        call: Method and path of the call, once it was sent.
        tries: How often it was sent.
    """

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer
        self.call = ""
        self.tries = 1

    def __str__(self) -> str:
        """Returns the message, with the call and the tries."""
        tries = f", {self.tries} tries" if self.tries > 1 else ""
        return f"{super().__str__()} ({self.call}{tries})" if self.call else super().__str__()


class Refused(PipedriveError):
    """This call was refused and had no effect; others may pass."""


class LeadNotFound(Refused):
    """The lead was deleted, converted or merged."""


class LeadArchived(Refused):
    """The lead is archived, so it may not be edited."""


class InDoubt(PipedriveError):
    """No usable answer came: trying again may help, and the call may have had its effect."""


class Unreached(PipedriveError):
    """The call never left, as there was no connection: it had no effect, and trying may help."""


class RateLimited(PipedriveError):
    """The burst limit was met; the call had no effect."""


class BudgetSpent(PipedriveError):
    """The day's tokens are used up; no call will pass before they are renewed."""


class OwnBudgetSpent(BudgetSpent):
    """The tokens that this command may spend are used up; the day may have more."""


class AccountError(PipedriveError):
    """Every further call would fail in the same way: the token, the account or the URL."""


class TooManyPages(AccountError):
    """A list goes on beyond what it may cost."""


class TooManyFailures(PipedriveError):
    """So many calls failed that going on would only burn tokens."""


class Interrupted(PipedriveError):
    """The run was asked to stop while this call waited for its turn; nothing was sent."""


_GONE_ROUTES = frozenset({405, 410, 415, 501})
_PASSING = frozenset({408, 425})
_NO_ROUTE = "unknown method"
"""What a 404 says of a URL that is no part of the API (observed)."""


def classify(answer: Answer, missing: type[PipedriveError] | None = None) -> PipedriveError | None:
    """Returns the error an answer stands for, or None for a usable one.

    A 2xx whose body is not the JSON envelope with `success: true` is in doubt, never done.

    Args:
        answer: The answer.
        missing: What a 404 of the API means where the URL is known to be right: that there is no
            such lead, or less where it may be about something else. None where only a known text
            tells that it is the lead's.
    """
    status = answer.status
    if 200 <= status < 300 and (answer.document or {}).get("success") is True:
        return None
    answer = answer.without_data()
    if 200 <= status < 300:
        return _classify_success(answer)
    if 300 <= status < 400:
        return AccountError(f"redirected ({status}); check base_url", answer)
    if status == 429:
        return _classify_rate_limit(answer)
    if (status >= 500 and status not in _GONE_ROUTES) or status in _PASSING or status < 200:
        return InDoubt(_describe(answer), answer)
    return _classify_refusal(answer, missing)


def _classify_success(answer: Answer) -> PipedriveError:
    what = "a JSON object" if answer.document is None else "success: true"
    return InDoubt(f"{answer.status} without {what}", answer)


def _classify_rate_limit(answer: Answer) -> PipedriveError:
    if day_left(answer.headers) == 0:
        return BudgetSpent("the day's token budget is used up (429)", answer)
    return RateLimited(_describe(answer), answer)


def _classify_refusal(answer: Answer, missing: type[PipedriveError] | None) -> PipedriveError:
    status, message = answer.status, _describe(answer)
    if status in {401, 402} or status in _GONE_ROUTES:
        hint = "; check the API token, and that base_url is its company's" if status == 401 else ""
        return AccountError(message + hint, answer)
    if status == 403 and answer.document is None:
        return AccountError("403 without JSON: blocked in front of the API", answer)
    if status == 403 and "scope and url mismatch" in message.lower():
        return AccountError(message, answer)
    if "ERR_LEAD_ARCHIVED" in message:
        return LeadArchived(message, answer)
    if status == 404:
        return _classify_missing(answer, message, missing)
    return Refused(message, answer)


def _classify_missing(
    answer: Answer, message: str, missing: type[PipedriveError] | None
) -> PipedriveError:
    text, document = message.lower(), answer.document or {}
    is_known = "not found" in text and ("lead" in text or "object" in text)
    is_route = _NO_ROUTE not in text
    if is_known or (missing and is_route and document.get("success") is False):
        return (missing or LeadNotFound)(message, answer)
    return AccountError(f"{message}: wrong URL or API version; check base_url", answer)


def _describe(answer: Answer) -> str:
    texts = [text for key in _TEXTS if (text := answer.text(key))]
    return " ".join([str(answer.status), " · ".join(dict.fromkeys(texts))]).strip()
