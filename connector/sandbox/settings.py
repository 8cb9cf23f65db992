"""What the local Pipedrive can be told to do differently: one option for each unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "plan": ("lite", "growth", "premium", "ultimate"),
    "page_shape": ("nested", "flat"),
    "empty_page": ("list", "null"),
    "unknown_keys": ("ignore", "refuse"),
    "cleared": ("absent", "null"),
    "enum_form": ("string", "int"),
    "enum_write": ("any", "int", "string"),
    "reference_form": ("id", "object_id", "object_value"),
    "empty_text": ("keep", "clear"),
    "archived_status": (400, 403, 409, 422),
}
BOOLEANS: Final = frozenset({"limits", "retry_after", "daily_headers", "noop_bumps"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the sandbox behaves; the defaults are the most likely reading of the real service.

    Attributes:
        latency_ms: Every API call takes at least this long.
        limits: Whether burst and daily limits hold; without them no rate-limit header is sent.
        plan: Decides the burst limit and the daily budget (documented).
        seats: Multiplies the daily budget (documented).
        daily_budget: Tokens a day, in place of what plan and seats give.
        retry_after: Whether a 429 carries `Retry-After` (undocumented).
        daily_headers: Whether the `x-daily-ratelimit-*` headers are sent (observed, not always).
        page_shape: `nested` as in the examples, `flat` as in the schema.
        empty_page: Whether an empty page's `data` is a list or null (both observed).
        unknown_keys: Whether unknown and read-only keys of a body are ignored or refused (unknown).
        cleared: Whether an unset custom field is absent or null in reads (unknown).
        enum_form: Whether an enum option id is read as a string or an integer.
        enum_write: Which form of an enum option id is taken in writes (unknown).
        reference_form: How user, org and people fields are read (unknown).
        empty_text: Whether `""` in a custom text field is kept or clears it (unknown).
        archived_status: The status that refuses a write to an archived lead (unknown).
        noop_bumps: Whether a PATCH that changes nothing moves `update_time` (unknown).
    """

    latency_ms: float = 0
    limits: bool = True
    plan: str = "growth"
    seats: int = 1
    daily_budget: int | None = None
    retry_after: bool = False
    daily_headers: bool = True
    page_shape: str = "nested"
    empty_page: str = "list"
    unknown_keys: str = "ignore"
    cleared: str = "absent"
    enum_form: str = "string"
    enum_write: str = "any"
    reference_form: str = "id"
    empty_text: str = "keep"
    archived_status: int = 403
    noop_bumps: bool = True

    @property
    def reads_as_stored(self) -> bool:
        """Whether a lead is read just as it is stored."""
        return (self.cleared, self.enum_form, self.reference_form) == ("absent", "string", "id")


NAMES: Final = tuple(field.name for field in fields(Settings))


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """Return settings with the changes made.

    Raises:
        ValueError: A name is unknown or a value not one it can take.
    """
    for name, value in changes.items():
        if complaint := _complaint(name, value):
            raise ValueError(complaint)
    return replace(settings, **changes)  # type: ignore[arg-type]


def as_dict(settings: Settings) -> dict[str, object]:
    """Return settings as plain names and values."""
    return asdict(settings)


def _complaint(name: str, value: object) -> str | None:
    if name not in NAMES:
        return f"unknown setting {name!r}: one of {', '.join(NAMES)}"
    if name in CHOICES:
        allowed = CHOICES[name]
        return None if value in allowed else f"{name} must be one of {allowed}, not {value!r}"
    if name in BOOLEANS:
        return None if isinstance(value, bool) else f"{name} must be true or false, not {value!r}"
    return _number_complaint(name, value)


def _number_complaint(name: str, value: object) -> str | None:
    if name == "daily_budget" and value is None:
        return None
    kinds = (int, float) if name == "latency_ms" else (int,)
    least = 1 if name == "seats" else 0
    if isinstance(value, bool) or not isinstance(value, kinds) or value < least:
        return f"{name} must be a number of at least {least}, not {value!r}"
    return None
