"""What the local Pipedrive can be told to do differently: one option for each unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from connector.sandbox.directory import COMPANY_ID

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
    "archived_text": ("named", "plain"),
    "archived_by_id": ("shown", "missing"),
    "unarchive": ("alone", "with_others", "never"),
    "title_null": ("refuse", "ignore", "take"),
    "title_empty": ("refuse", "ignore", "take"),
    "owner_null": ("refuse", "ignore"),
    "visible_null": ("refuse", "ignore"),
    "labels_null": ("refuse", "ignore", "take"),
    "labels_empty": ("take", "ignore", "refuse"),
    "contact_null": ("refuse", "ignore", "take"),
    "custom_null": ("take", "ignore", "refuse"),
    "empty_body": ("refuse", "take"),
    "visible_beyond_plan": ("take", "ignore", "refuse"),
    "negative_amount": ("take", "refuse"),
    "text_tidied": ("keep", "trim"),
    "amount_tidied": ("keep", "round"),
    "long_decimals": ("refuse", "round"),
    "quiet_keys": ("none", "seen_and_labels", "custom"),
    "not_found_text": ("documented", "other"),
    "limit_body": ("json", "html", "empty"),
}
BOOLEANS: Final = frozenset(
    {"limits", "retry_after", "daily_headers", "noop_bumps", "source_deal_id"}
)


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
        archived_text: Whether that refusal names `ERR_LEAD_ARCHIVED` (one secondary source).
        archived_by_id: Whether GET by id shows an archived lead (inferred) or answers 404.
        unarchive: Which body brings an archived lead back: `is_archived: false` alone, with other
            keys beside it, or none (one secondary source).
        title_null: What null in `title` does: the 400, nothing, or no title (unknown).
        title_empty: The same of a title without a letter (unknown).
        owner_null: What null in `owner_id` does (assumed).
        visible_null: What null in `visible_to` does (assumed).
        labels_null: What null in `label_ids` does (unknown).
        labels_empty: What `[]` in `label_ids` does (that it clears is inferred).
        contact_null: What becomes of a body that takes a lead's last person or organization.
        custom_null: What null in a custom field does (that it clears was observed on deals).
        empty_body: Whether `{}` is refused (unknown).
        visible_beyond_plan: What `visible_to` 5 or 7 does on Lite and Growth (unknown).
        negative_amount: Whether a value may be negative (unknown).
        text_tidied: Whether blanks around a text are kept (unknown).
        amount_tidied: Whether an amount is kept or rounded to cents (unknown).
        long_decimals: Whether a number of more than 16 decimals is refused or rounded (unknown).
        quiet_keys: Keys whose change leaves `update_time` as it is (unknown).
        noop_bumps: Whether a PATCH that changes nothing moves `update_time` (unknown).
        not_found_text: Whether a 404 has the documented text, which may change without notice.
        limit_body: What the body of a 429 is (unknown).
        source_deal_id: Whether leads are shown with `source_deal_id`, which no example has.
        users: How many users the company has, 6 at least.
        company: The company's id; another one than by default has its id in its domain.
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
    archived_text: str = "named"
    archived_by_id: str = "shown"
    unarchive: str = "alone"
    title_null: str = "refuse"
    title_empty: str = "refuse"
    owner_null: str = "refuse"
    visible_null: str = "refuse"
    labels_null: str = "refuse"
    labels_empty: str = "take"
    contact_null: str = "refuse"
    custom_null: str = "take"
    empty_body: str = "refuse"
    visible_beyond_plan: str = "take"
    negative_amount: str = "take"
    text_tidied: str = "keep"
    amount_tidied: str = "keep"
    long_decimals: str = "refuse"
    quiet_keys: str = "none"
    noop_bumps: bool = True
    not_found_text: str = "documented"
    limit_body: str = "json"
    source_deal_id: bool = False
    users: int = 6
    company: int = COMPANY_ID

    @property
    def reads_as_stored(self) -> bool:
        """Whether a lead is read just as it is stored."""
        shown = (self.cleared, self.enum_form, self.reference_form, self.source_deal_id)
        return shown == ("absent", "string", "id", False)


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
    least = {"seats": 1, "users": 6}.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, kinds) or value < least:
        return f"{name} must be a number of at least {least}, not {value!r}"
    return None
