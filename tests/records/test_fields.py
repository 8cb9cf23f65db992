"""Each standard field: set, cleared, kept. Cells, the lead as it is, and the body to be sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import pytest

from connector.planning.model import Change, Unchanged
from tests.support.account import (
    BARE,
    COLD,
    HOT,
    LEAD,
    LEAD_ID,
    NOTE,
    SCORE,
    SHORT,
    Lead,
    Row,
    body_of,
    change_of,
    decided,
    key_of,
    refusal_of,
)
from tests.support.cases import check_each

SET: list[tuple[Row, Row]] = [
    ({"title": "New"}, {"title": "New"}),
    ({"title": "Ünïcode “日本” 🙂"}, {"title": "Ünïcode “日本” 🙂"}),
    ({"title": 7}, {"title": "7"}),
    ({"owner_id": 1004}, {"owner_id": 1004}),
    ({"label_ids": [COLD]}, {"label_ids": [COLD]}),
    ({"person_id": 12}, {"person_id": 12}),
    ({"organization_id": 23}, {"organization_id": 23}),
    ({"is_archived": True}, {"is_archived": True}),
    ({"value_amount": 5}, {"value": {"amount": 5, "currency": "EUR"}}),
    ({"expected_close_date": date(2027, 1, 2)}, {"expected_close_date": "2027-01-02"}),
    ({"visible_to": 7}, {"visible_to": "7"}),
    ({"was_seen": False}, {"was_seen": False}),
    ({"channel": 53}, {"channel": 53}),
    ({"channel_id": "Autumn"}, {"channel_id": "Autumn"}),
    ({SCORE: Decimal("50.50")}, {SCORE: 50.5}),
    ({NOTE: "Other"}, {NOTE: "Other"}),
    ({"title": "New", "channel": 53}, {"title": "New", "channel": 53}),
]
CLEARED: list[tuple[Row, Row]] = [
    ({"label_ids": None}, {"label_ids": []}),
    ({"label_ids": []}, {"label_ids": []}),
    ({"label_ids": "[]"}, {"label_ids": []}),
    ({"person_id": None}, {"person_id": None}),
    ({"organization_id": None}, {"organization_id": None}),
    ({"value": None}, {"value": None}),
    ({"value_amount": None}, {"value": None}),
    ({"value_amount": None, "value_currency": "EUR"}, {"value": None}),
    ({"value_amount": None, "value_currency": None}, {"value": None}),
    ({"value": {"amount": None, "currency": None}}, {"value": None}),
    ({"expected_close_date": None}, {"expected_close_date": None}),
    ({"channel": None}, {"channel": None}),
    ({"channel_id": None}, {"channel_id": None}),
    ({"channel_id": ""}, {"channel_id": None}),
    ({SCORE: None}, {SCORE: None}),
    ({NOTE: None}, {NOTE: None}),
    ({NOTE: ""}, {NOTE: None}),
]
KEPT = ["title", "owner_id", "is_archived", "visible_to", "was_seen", "value_currency"]
SAME: list[Row] = [
    {"title": "Pilot"},
    {"owner_id": 1001},
    {"label_ids": [HOT]},
    {"person_id": 11},
    {"organization_id": 22},
    {"is_archived": False},
    {"is_archived": 0},
    {"is_archived": "false"},
    {"value_amount": 100},
    {"value_amount": Decimal("100.00"), "value_currency": "eur"},
    {"value_currency": "EUR"},
    {"value": {"amount": 100.0, "currency": "EUR"}},
    {"value": '{"currency": "eur", "amount": "100"}'},
    {"expected_close_date": "2026-12-31"},
    {"visible_to": 3},
    {"visible_to": "3"},
    {"was_seen": True},
    {"was_seen": 1},
    {"channel": 52},
    {"channel_id": "Spring"},
    {SCORE: Decimal("7.5000")},
    {SCORE: "7.50"},
    {NOTE: "Asked for a quote."},
    {SHORT: None},
    {SHORT: ""},
    {},
]


@pytest.mark.parametrize(("cells", "body"), SET, ids=str)
def test_set(cells: Row, body: Row) -> None:
    assert orjson.dumps(body_of(cells)) == orjson.dumps(body)


@pytest.mark.parametrize(("cells", "body"), CLEARED, ids=str)
def test_cleared(cells: Row, body: Row) -> None:
    assert body_of(cells) == body


@pytest.mark.parametrize("cells", SAME, ids=str)
def test_the_same(cells: Row) -> None:
    assert decided(cells) == Unchanged(LEAD_ID)


@pytest.mark.parametrize("name", KEPT)
def test_null_keeps_what_cannot_be_cleared(name: str) -> None:
    assert decided({name: None}) == Unchanged(LEAD_ID, kept_nulls=1)
    assert decided({name: None}, BARE) == Unchanged(LEAD_ID, kept_nulls=1)


@pytest.mark.parametrize(("cells", "_body"), CLEARED, ids=str)
def test_what_is_unset_is_not_cleared(cells: Row, _body: Row) -> None:
    lead: Lead = {"id": LEAD_ID, "title": "T", "label_ids": [], "channel_id": "", SCORE: None}
    decision = decided(cells, lead)
    assert isinstance(decision, Unchanged), decision


def test_before_shows_absent_and_null_as_null() -> None:
    change = change_of({"channel": 1, "channel_id": "C", "title": "T"}, {**BARE, "channel": None})
    assert change.before == {"channel": None, "channel_id": None, "title": "Bare"}


IDS = [3, 3.0, "3", "3.0", " 3 ", Decimal(3), Decimal("3.00")]
SHOWN: list[Any] = [3, "3", {"id": 3}, {"value": 3, "name": "N"}]


@pytest.mark.parametrize("field", ["owner_id", "person_id", "organization_id", "channel"])
def test_ids_of_any_type(field: str) -> None:
    def check(case: tuple[Any, Any]) -> None:
        given, shown = case
        assert body_of({field: given}, {**BARE, field: 4}) == {field: 3}
        assert type(body_of({field: given}, {**BARE, field: 4})[field]) is int
        assert body_of({field: given}, {**BARE, field: shown}) == {}

    check_each(product(IDS, SHOWN), check)


@pytest.mark.parametrize("given", ["1_0", "1_000", "１２", "١٢", "1٢"])
def test_only_plain_digits_are_an_id_or_a_number(given: str) -> None:
    ids = ["owner_id", "person_id", "organization_id", "visible_to", "channel"]

    def check(field: str) -> None:
        assert f"{field} {given!r} is no" in refusal_of({field: given})

    check_each([*ids, "value_amount", SCORE, key_of("enum")], check)
    assert body_of({SCORE: 1000}, {**BARE, SCORE: "1_000"}) == {SCORE: 1000}


@pytest.mark.parametrize("given", ["aß", "ﬁi", "ＥＵＲ", "EU", "EURO", "E_R"])
def test_only_three_plain_letters_are_a_currency(given: str) -> None:
    assert f"value_currency {given!r} is no three-letter" in refusal_of({"value_currency": given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        ("0", 0),
        (Decimal("0.00"), 0),
        (50.5, 50.5),
        (Decimal("50.50"), 50.5),
        ("50.50", 50.5),
        (Decimal("0.1"), 0.1),
        (1.1 + 2.2, 3.3000000000000003),
        (Decimal("-12345678.99"), -12345678.99),
        (1_000_000_000_000, 1_000_000_000_000),
        (Decimal("123456789012.34"), 123456789012.34),
        (12345678901234.5, 12345678901234.5),
        (2**53, 2**53),
        (10**17, 10**17),
    ],
    ids=repr,
)
def test_numbers_go_out_exactly(given: Any, expected: float) -> None:
    body = body_of({SCORE: given, "value_amount": given})
    amount = {"amount": expected, "currency": "EUR"}
    assert orjson.dumps(body) == orjson.dumps({SCORE: expected, "value": amount})


@pytest.mark.parametrize(
    "given",
    [
        Decimal("0.12345678901234567890"),
        Decimal("12345678901234567.89"),
        2**53 + 1,
        "9007199254740993",
        10**40 + 1,
        "1e400",
        "1e999999999",
        float("inf"),
        float("nan"),
        Decimal("NaN"),
        Decimal("sNaN"),
    ],
    ids=repr,
)
def test_a_number_that_json_would_change_is_rejected(given: Any) -> None:
    assert SCORE in refusal_of({SCORE: given})
    assert "value_amount" in refusal_of({"value_amount": given})


MONEY: list[tuple[Row, Row | None, Row | None]] = [
    ({"value_amount": 5, "value_currency": "usd"}, None, {"amount": 5, "currency": "USD"}),
    ({"value_amount": 5}, {"amount": 9, "currency": "SEK"}, {"amount": 5, "currency": "SEK"}),
    ({"value_currency": "USD"}, {"amount": 9, "currency": "SEK"}, {"amount": 9, "currency": "USD"}),
    ({"value_amount": 0}, {"amount": 9, "currency": "SEK"}, {"amount": 0, "currency": "SEK"}),
    (
        {"value_amount": 5, "value_currency": None},
        {"amount": 9, "currency": "SEK"},
        {"amount": 5, "currency": "SEK"},
    ),
    ({"value": {"amount": 5, "currency": "USD"}}, None, {"amount": 5, "currency": "USD"}),
    ({"value": {"amount": Decimal("50.50")}}, {"amount": 9, "currency": "SEK"},
     {"amount": 50.5, "currency": "SEK"}),
    ({"value": {"currency": "USD"}}, {"amount": 9.25, "currency": "SEK"},
     {"amount": 9.25, "currency": "USD"}),
    ({"value": '{"amount": 50.50, "currency": "usd"}'}, None, {"amount": 50.5, "currency": "USD"}),
    ({"value": '{"amount": 1}'}, {"amount": 1.0, "currency": "SEK"}, None),
    ({"value_amount": "9.0"}, {"amount": 9, "currency": "SEK"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "has", "sent"), MONEY, ids=str)
def test_money(cells: Row, has: Row | None, sent: Row | None) -> None:
    lead = {**BARE, "value": has}
    expected = Change({"value": sent}, {"value": has}) if sent else Change({}, {})
    assert change_of(cells, lead) == expected
    assert orjson.dumps(change_of(cells, lead).body) == orjson.dumps(expected.body)


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        ({"value_amount": 5}, "value_currency"),
        ({"value_currency": "EUR"}, "value_amount"),
        ({"value": {"amount": 5}}, "currency"),
        ({"value": '{"currency": "EUR"}'}, "amount"),
    ],
    ids=str,
)
def test_half_a_value_of_a_lead_without_one_is_rejected(cells: Row, missing: str) -> None:
    assert missing in refusal_of(cells, BARE)


LABELS: list[tuple[Any, list[str], list[str] | None]] = [
    ([HOT, COLD], [COLD, HOT], None),
    ([HOT.upper(), COLD], [HOT, COLD.upper()], None),
    ([HOT, HOT], [HOT], None),
    ((HOT, COLD), [HOT, COLD], None),
    ([UUID(HOT)], [HOT], None),
    (HOT, [HOT], None),
    (UUID(HOT), [HOT], None),
    (f'["{HOT}", "{COLD}"]', [COLD, HOT], None),
    ([], [], None),
    (None, [], None),
    ([COLD.upper(), HOT, COLD], [], [HOT, COLD]),
    ([COLD], [HOT, COLD], [COLD]),
    (f'["{COLD}"]', [], [COLD]),
    ([], [HOT], []),
]


@pytest.mark.parametrize(("given", "has", "sent"), LABELS, ids=str)
def test_labels_without_order_case_and_duplicates(
    given: Any, has: list[str], sent: list[str] | None
) -> None:
    expected = {} if sent is None else {"label_ids": sent}
    assert body_of({"label_ids": given}, {**BARE, "label_ids": has}) == expected


BERLIN = ZoneInfo("Europe/Berlin")
DATES: list[tuple[Any, str, str]] = [
    (date(2026, 12, 31), "UTC", "2026-12-31"),
    (datetime(2026, 12, 31, 23, 59), "UTC", "2026-12-31"),
    (datetime(2026, 12, 31, 23, 59), "Europe/Berlin", "2026-12-31"),
    (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "UTC", "2026-12-31"),
    (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "Europe/Berlin", "2027-01-01"),
    (datetime(2027, 1, 1, 0, 30, tzinfo=BERLIN), "UTC", "2026-12-31"),
    (datetime(2027, 1, 1, 0, 30, tzinfo=BERLIN), "Europe/Berlin", "2027-01-01"),
    ("2026-12-31", "Asia/Tokyo", "2026-12-31"),
    (" 2026-12-31 ", "UTC", "2026-12-31"),
    ("2026-12-31 23:59:00", "Asia/Tokyo", "2026-12-31"),
    ("2026-12-31T23:59:00", "UTC", "2026-12-31"),
    ("20261231", "UTC", "2026-12-31"),
    (20261231, "UTC", "2026-12-31"),
    (Decimal(20261231), "UTC", "2026-12-31"),
    ("20261231T235900", "UTC", "2026-12-31"),
    (date(9999, 12, 30), "UTC", "9999-12-30"),
]


@pytest.mark.parametrize(("given", "timezone", "sent"), DATES, ids=str)
def test_dates(given: Any, timezone: str, sent: str) -> None:
    body = body_of({"expected_close_date": given}, BARE, timezone=timezone)
    assert body == {"expected_close_date": sent}


NO_DATES: list[Any] = [
    1804032000000,
    "1804032000000",
    1804032000,
    Decimal(18040320000000),
    2026123,
    -20261231,
    20261231.0,
    20261331,
    "2026-03-01x10:30",
    "2026-03-01  10:30",
    "2026-03-01T",
    "202612310",
]


@pytest.mark.parametrize("given", NO_DATES, ids=repr)
@pytest.mark.parametrize("name", ["expected_close_date", key_of("date"), key_of("daterange")])
def test_what_is_no_date_rejects_its_row(name: str, given: Any) -> None:
    wrong = (
        f"{name} {str(given)!r} is not a date from the years 1 to 9999; write it like 2026-12-31"
    )
    assert refusal_of({name: given}, BARE) == wrong


@pytest.mark.parametrize("given", [time(9, 30), "09:30", " 09:30:00 ", "09:30:00.5"], ids=repr)
@pytest.mark.parametrize("name", [key_of("time"), key_of("timerange")])
def test_times_of_day(name: str, given: Any) -> None:
    assert body_of({name: given}, BARE) == {name: "09:30:00"}


@pytest.mark.parametrize("given", [1230, 12, "1230", "12", "123000", Decimal(1230), 12.0], ids=repr)
@pytest.mark.parametrize("name", [key_of("time"), key_of("timerange")])
def test_a_number_is_no_time_of_day(name: str, given: Any) -> None:
    wrong = f"{name} {str(given)!r} is not a time of day; write it like 09:30:00"
    assert refusal_of({name: given}, BARE) == wrong


def test_a_date_that_is_read_with_a_time_is_the_same() -> None:
    lead = {**BARE, "expected_close_date": "2026-12-31T00:00:00Z"}
    assert body_of({"expected_close_date": date(2026, 12, 31)}, lead) == {}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (12345678901234567890, "12345678901234567890"),
        (Decimal("12345678901234567890"), "12345678901234567890"),
        (Decimal("50.50"), "50.5"),
        (1e20, "100000000000000000000"),
        (3.0, "3"),
        (date(2026, 12, 31), "2026-12-31"),
        (UUID(HOT), HOT),
        (" kept ", " kept "),
    ],
    ids=repr,
)
def test_text_takes_what_has_one_spelling(given: Any, sent: str) -> None:
    assert body_of({SHORT: given}, BARE) == {SHORT: sent}


@pytest.mark.parametrize("length", [255, 256])
def test_short_text_has_255_characters_at_most(length: int) -> None:
    text = "ü" * length
    assert body_of({NOTE: text}, BARE) == {NOTE: text}
    if length <= 255:
        assert body_of({SHORT: text}, BARE) == {SHORT: text}
    else:
        assert "256 characters" in refusal_of({SHORT: text}, BARE)


PERSON, ORGANIZATION = {"person_id": 11}, {"organization_id": 22}
NO_PERSON, NO_ORGANIZATION = {"person_id": None}, {"organization_id": None}


@pytest.mark.parametrize(
    ("cells", "has", "sent"),
    [
        (NO_PERSON, {**PERSON, **ORGANIZATION}, NO_PERSON),
        (NO_ORGANIZATION, {**PERSON, **ORGANIZATION}, NO_ORGANIZATION),
        ({**NO_PERSON, "organization_id": 9}, PERSON, {**NO_PERSON, "organization_id": 9}),
        ({**NO_ORGANIZATION, "person_id": 9}, ORGANIZATION, {**NO_ORGANIZATION, "person_id": 9}),
        (NO_PERSON, ORGANIZATION, {}),
        ({**NO_PERSON, **NO_ORGANIZATION}, {}, {}),
    ],
    ids=str,
)
def test_a_link_may_go_while_the_other_stays(cells: Row, has: Row, sent: Row) -> None:
    assert body_of(cells, {"id": LEAD_ID, "title": "T", **has}) == sent


@pytest.mark.parametrize(
    ("cells", "has"),
    [
        (NO_PERSON, PERSON),
        (NO_PERSON, {**PERSON, **NO_ORGANIZATION}),
        (NO_ORGANIZATION, ORGANIZATION),
        ({**NO_PERSON, **NO_ORGANIZATION}, PERSON),
        ({**NO_PERSON, **NO_ORGANIZATION}, {**PERSON, **ORGANIZATION}),
    ],
    ids=str,
)
def test_a_lead_keeps_a_person_or_an_organization(cells: Row, has: Row) -> None:
    lead: Lead = {"id": LEAD_ID, "title": "T", **has}
    assert "without person and organization" in refusal_of(cells, lead)


def test_every_problem_of_a_row_is_told() -> None:
    reason = refusal_of({"title": "", "owner_id": "Ada", "channel": 53}, LEAD)
    assert "title ''" in reason
    assert "owner_id 'Ada'" in reason
    assert "channel" not in reason
