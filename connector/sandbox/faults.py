"""Faults waiting to happen: what each kind is told, and which request it hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

OPTIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "status": {
        "status": 500,
        "retry_after": None,
        "body": None,
        "html": False,
        "headers": None,
        "write": False,
    },
    "reset_before": {},
    "reset_after": {},
    "ignore": {},
    "truncated": {"close": False},
    "html403": {},
    "hang": {"seconds": 1.0, "write": "after"},
    "redirect": {"location": "https://example.invalid/", "status": 302},
    "null_data": {"write": True},
    "wrong_lead": {"write": True},
    "reshaped": {"fields": {}, "data": "as_is"},
}
FORMS: Final = ("as_is", "list", "object", "text", "number")
"""What `data` may be made of an answer."""
# What a gateway answers, or cuts off, in front of the API costs no tokens (assumed).
UNCHARGED: Final = frozenset({"reset_before", "html403", "redirect"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble for the next `times` requests that it fits.

    Attributes:
        route: The call it hits, as `leadFields` or `leads/{id}`; None for any.
    """

    kind: str
    lead_id: str | None
    method: str | None
    route: str | None
    times: int
    options: Mapping[str, Any]

    def fits(self, method: str, route: str, lead_id: str | None) -> bool:
        """Say whether this request is one that it hits."""
        given = ((self.method, method), (self.route, route), (self.lead_id, lead_id))
        return all(wanted in (None, found) for wanted, found in given)

    @property
    def charged(self) -> bool:
        """Whether the request it hits costs its tokens; a 429 never does."""
        return self.kind not in UNCHARGED and self.options.get("status") != 429


def fault_of(given: Mapping[str, Any]) -> Fault:
    """Return the fault that a request to the control door describes.

    Raises:
        ValueError: The kind or one of its options is unknown.
    """
    described = {"lead_id": None, "method": None, "route": None, "times": 1, **given}
    kind = described.pop("kind", None)
    if kind not in OPTIONS:
        raise ValueError(f"unknown fault {kind!r}: one of {', '.join(OPTIONS)}")
    lead_id, times = described.pop("lead_id"), described.pop("times")
    method, route = described.pop("method"), described.pop("route")
    _check_options(kind, described)
    return Fault(
        kind,
        lead_id.lower() if lead_id else None,
        method.upper() if method else None,
        route,
        int(times),
        {**OPTIONS[kind], **described},
    )


def _check_options(kind: str, given: Mapping[str, Any]) -> None:
    if unknown := given.keys() - OPTIONS[kind].keys():
        raise ValueError(f"unknown options of {kind}: {', '.join(sorted(unknown))}")
    if given.get("data", FORMS[0]) not in FORMS:
        raise ValueError(f"{kind}: data must be one of {', '.join(FORMS)}")
    for name, value in given.items():
        usual = OPTIONS[kind][name]
        kinds = (int, float) if isinstance(usual, float) else type(usual)
        if usual is not None and not isinstance(value, kinds):
            raise ValueError(f"{kind}: {name} must be like {usual!r}, not {value!r}")


class FaultQueue:
    """Faults in the order they were queued; a request takes the first that fits it."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault behind the others."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Drop every fault that has not happened."""
        self._waiting.clear()

    def first_for(self, method: str, route: str, lead_id: str | None) -> Fault | None:
        """Return the fault that this request would meet."""
        if not self._waiting:
            return None
        return next((fault for fault in self._waiting if fault.fits(method, route, lead_id)), None)

    def use(self, fault: Fault) -> None:
        """Count one request off a fault."""
        place = self._waiting.index(fault)
        if fault.times > 1:
            self._waiting[place] = replace(fault, times=fault.times - 1)
        else:
            del self._waiting[place]
