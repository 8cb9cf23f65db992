"""Guards: which settings are taken, when each trips, and that the flag it names lets pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.errors import ConfigError
from connector.planning.guards import (
    GUARDS,
    SAMPLES,
    Limits,
    PlanSize,
    Trip,
    cleared_keys,
    limits_of,
    measure,
    tripped,
)
from connector.planning.model import Patch
from connector.records.fields import base_key
from connector.settings import load_settings
from connector.sync.permission import told
from tests.support.account import BY_KEY, COLD, HOT, NOTE, SCORE, key_of
from tests.support.cases import check_each
from tests.support.strategies import JUNK

UNSET: dict[str, Any] = {**dict.fromkeys(GUARDS), "empty_desired": "stop"}
NOTHING: dict[str, Any] = {**dict.fromkeys(GUARDS, "off"), "empty_desired": "allow"}
COUNTS = ("max_patches", "max_clears", "max_overwrites", "max_archived")
UNKNOWN = "max_not_found_percent"
MOSTS = ("max_changed_percent", "max_clears_percent", "max_overwrites_percent", UNKNOWN)
LEAST = "min_desired_percent_of_last"
ALLOWED = {
    **dict.fromkeys(COUNTS, "0 or more, or off"),
    **dict.fromkeys(MOSTS, "0 to 99, or off"),
    LEAST: "1 to 100, or off",
    "empty_desired": "stop or allow",
}
ACCOUNT = {"base_url": "https://acme.pipedrive.com", "api_token": "b1946ac92492d2347c6235b4d261"}


def limits(**settings: Any) -> Limits:
    return limits_of({**UNSET, **settings})


def only(**settings: Any) -> Limits:
    """These limits and no other."""
    return limits_of({**NOTHING, **settings})


def guards_of(trips: list[Trip]) -> list[str]:
    return [trip.guard for trip in trips]


def test_unless_told_otherwise() -> None:
    assert limits() == Limits(
        max_patches=None,
        max_changed_percent=None,
        max_clears=20,
        max_clears_percent=10,
        max_overwrites=200,
        max_overwrites_percent=50,
        max_archived=20,
        empty_desired="stop",
        min_desired_percent_of_last=50,
        worth_comparing=100,
        max_not_found_percent=50,
    )


NO_NUMBERS = [-1, "-1", -0.5, "x", "", " ", "OFF", "none", "5%", True, False, "True", [], [5], {}]
NOT_FINITE = [math.nan, "nan", math.inf, "-inf", "1e999", 10**400]
BAD = {
    **{one: [*NO_NUMBERS, *NOT_FINITE, 0.5, "2.5"] for one in COUNTS},
    **{one: [*NO_NUMBERS, *NOT_FINITE, 100, "100", 100.0, 100.5, 101, "1e3"] for one in MOSTS},
    LEAST: [*NO_NUMBERS, *NOT_FINITE, 0, "0", 0.0, 100.5, 101],
    "empty_desired": ["", "off", "Stop", "yes", True, False, 0, 1, None, []],
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_refused_with_what_is_allowed(name: str) -> None:
    def check(value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{name} ") as raised:
            limits(**{name: value})
        assert ALLOWED[name] in str(raised.value)
        assert repr(value) in str(raised.value)

    check_each(BAD[name], check)


@pytest.mark.parametrize("name", MOSTS)
@pytest.mark.parametrize("value", [100, "100", "1e2"])
def test_a_most_that_could_never_trip_is_said(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"\(100 could never trip\)"):
        limits(**{name: value})


def test_a_least_that_could_never_trip_is_said() -> None:
    with pytest.raises(ValueError, match=r"\(0 could never trip\)"):
        limits(min_desired_percent_of_last="0")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *((name, value, 0) for name in (*COUNTS, *MOSTS) for value in (0, "0")),
        *((name, value, 7) for name in (*COUNTS, *MOSTS, LEAST) for value in (7, "7", 7.0, "7.0")),
        *((name, "99.9", 99.9) for name in (*MOSTS, LEAST)),
        *((name, "off", None) for name in (*COUNTS, *MOSTS, LEAST)),
        *((name, "1000000", 10**6) for name in COUNTS),
        *((LEAST, value, 100) for value in (100, "100")),
        ("empty_desired", "allow", "allow"),
        ("empty_desired", "stop", "stop"),
    ],
)
def test_what_can_be(name: str, value: Any, expected: Any) -> None:
    assert getattr(limits(**{name: value}), name) == expected


@pytest.mark.parametrize(
    ("guard", "usual"), [("max_clears", (20, 10)), ("max_overwrites", (200, 50))]
)
@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (None, None, "usual"),
        (5, None, (5, None)),
        (None, 5, (None, 5)),
        (5, 5, (5, 5)),
        (5, "off", (5, None)),
        ("off", 5, (None, 5)),
        ("off", None, (None, None)),
        (None, "off", "usual count"),
        ("off", "off", (None, None)),
    ],
)
def test_a_count_and_its_share_stand_together_or_alone(
    guard: str, usual: tuple[int, int], count: Any, percent: Any, expected: Any
) -> None:
    found = limits(**{guard: count, f"{guard}_percent": percent})
    named = {"usual": usual, "usual count": (usual[0], None)}
    wanted = named[expected] if isinstance(expected, str) else expected
    assert (getattr(found, guard), getattr(found, f"{guard}_percent")) == wanted


def test_a_least_that_is_set_counts_from_the_first_row_on() -> None:
    assert limits(min_desired_percent_of_last=50).worth_comparing == 1


def refused_in_words(name: str, message: str) -> None:
    assert message.startswith(f"{name} ")
    assert ALLOWED[name] in message


@given(st.sampled_from(GUARDS), JUNK)
def test_whatever_is_set_is_refused_or_can_trip(name: str, value: Any) -> None:
    try:
        found = only(**{name: value})
    except ValueError as error:
        refused_in_words(name, str(error))
        return
    most = [getattr(found, one) for one in COUNTS]
    assert all(one is None or (type(one) is int and one >= 0) for one in most)
    shares = [getattr(found, one) for one in MOSTS]
    assert all(one is None or 0 <= one < 100 for one in shares)
    least = found.min_desired_percent_of_last
    assert least is None or 0 < least <= 100


@pytest.mark.parametrize(("name", "value"), [("max_patches", "-1"), ("max_clears_percent", 100)])
def test_settings_refuse_the_same(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} .*{ALLOWED[name]}"):
        load_settings(**ACCOUNT, **{name: value})


def test_settings_tell_nothing_but_one_line_for_each_guard() -> None:
    assert load_settings(**ACCOUNT).limits == limits()
    found = load_settings(**ACCOUNT, max_patches=40, max_clears="off", max_clears_percent=2.5)
    assert found.limits == limits(max_patches=40, max_clears="off", max_clears_percent=2.5)


# settings, a plan that they let pass, and what takes it past them
Edge = tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], str]
EDGES: list[Edge] = [
    ({"max_patches": 5}, {"changed": 5}, {"changed": 6}, "max_patches"),
    ({"max_patches": 0}, {"changed": 0}, {"changed": 1}, "max_patches"),
    ({"max_changed_percent": 10}, {"changed": 5}, {"changed": 6}, "max_changed_percent"),
    ({"max_changed_percent": 10}, {"changed": 5}, {"compared": 49}, "max_changed_percent"),
    ({"max_changed_percent": 0}, {"changed": 0}, {"changed": 1}, "max_changed_percent"),
    ({"max_changed_percent": 99}, {"changed": 49}, {"changed": 50}, "max_changed_percent"),
    (
        {"max_changed_percent": 2.8},
        {"changed": 77, "compared": 2750},
        {"changed": 78},
        "max_changed_percent",
    ),
    ({"max_clears": 5}, {"cleared": 5}, {"cleared": 6}, "max_clears"),
    ({"max_clears": 0}, {"cleared": 0}, {"cleared": 1}, "max_clears"),
    ({"max_clears_percent": 10}, {"cleared": 5}, {"cleared": 6}, "max_clears_percent"),
    ({"max_clears_percent": 10}, {"cleared": 5}, {"compared": 49}, "max_clears_percent"),
    (
        {"max_clears": 5, "max_clears_percent": 10},
        {"cleared": 10, "compared": 100},
        {"cleared": 11},
        "max_clears",
    ),
    (
        {"max_clears": 5, "max_clears_percent": 10},
        {"cleared": 5, "compared": 5},
        {"cleared": 6, "compared": 6},
        "max_clears",
    ),
    (
        {"max_clears": None, "max_clears_percent": None},
        {"cleared": 20, "compared": 20},
        {"cleared": 21, "compared": 21},
        "max_clears",
    ),
    (
        {"max_clears": None, "max_clears_percent": None},
        {"cleared": 21, "compared": 210},
        {"compared": 209},
        "max_clears",
    ),
    ({"max_overwrites": 5}, {"overwritten": 5}, {"overwritten": 6}, "max_overwrites"),
    (
        {"max_overwrites_percent": 10},
        {"overwritten": 5},
        {"compared": 49},
        "max_overwrites_percent",
    ),
    (
        {"max_overwrites": None, "max_overwrites_percent": None},
        {"overwritten": 200, "compared": 200},
        {"overwritten": 201, "compared": 201},
        "max_overwrites",
    ),
    (
        {"max_overwrites": None, "max_overwrites_percent": None},
        {"overwritten": 201, "compared": 402},
        {"compared": 401},
        "max_overwrites",
    ),
    ({"max_archived": 3}, {"archived": 3}, {"archived": 4}, "max_archived"),
    ({"max_archived": None}, {"archived": 20}, {"archived": 21}, "max_archived"),
    ({"empty_desired": "stop"}, {"desired_rows": 1}, {"desired_rows": 0}, "empty_desired"),
    ({LEAST: 80}, {"desired_rows": 8, "last_desired_rows": 10}, {"desired_rows": 7}, LEAST),
    ({LEAST: 100}, {"desired_rows": 10, "last_desired_rows": 10}, {"desired_rows": 9}, LEAST),
    ({LEAST: None}, {"desired_rows": 50, "last_desired_rows": 100}, {"desired_rows": 49}, LEAST),
    (
        {LEAST: None},
        {"desired_rows": 49, "last_desired_rows": 99},
        {"last_desired_rows": 100},
        LEAST,
    ),
    ({LEAST: 4.4}, {"desired_rows": 33, "last_desired_rows": 750}, {"desired_rows": 32}, LEAST),
    (
        {UNKNOWN: None},
        {"desired_leads": 20, "not_found": 10},
        {"not_found": 11},
        UNKNOWN,
    ),
    (
        {UNKNOWN: None},
        {"desired_leads": 19, "not_found": 19},
        {"desired_leads": 20},
        UNKNOWN,
    ),
    ({UNKNOWN: 10}, {"desired_leads": 30, "not_found": 3}, {"desired_leads": 29}, UNKNOWN),
    ({UNKNOWN: 0}, {"desired_leads": 100}, {"not_found": 1}, UNKNOWN),
]


@pytest.mark.parametrize(("settings", "passing", "past", "guard"), EDGES)
def test_a_guard_trips_one_past_its_limit(
    settings: Mapping[str, Any], passing: Mapping[str, Any], past: Mapping[str, Any], guard: str
) -> None:
    bounds = only(**settings)
    size = {"compared": 50, **passing}
    assert tripped(PlanSize(**size), bounds) == []
    [trip] = tripped(PlanSize(**{**size, **past}), bounds)
    assert trip.guard == guard
    assert tripped(PlanSize(**{**size, **past}), only()) == []


@pytest.mark.parametrize(
    "size",
    [
        PlanSize(desired_rows=None, last_desired_rows=None),
        PlanSize(desired_rows=10, last_desired_rows=None),
        PlanSize(desired_rows=10, last_desired_rows=0),
        PlanSize(desired_rows=1000, last_desired_rows=100),
    ],
    ids=["no table", "no last run", "an empty last run", "a table that has grown"],
)
def test_a_table_that_is_held_against_nothing_passes(size: PlanSize) -> None:
    assert tripped(size, only(min_desired_percent_of_last=100, empty_desired="stop")) == []


def test_an_empty_table_that_is_allowed_is_not_too_small_either() -> None:
    size = PlanSize(desired_rows=0, last_desired_rows=1000)
    assert tripped(size, limits(empty_desired="allow")) == []
    assert guards_of(tripped(size, limits())) == ["empty_desired"]


def test_a_trip_tells_both_numbers_and_the_flag() -> None:
    size = PlanSize(40, 100, compared=40, changed=40, cleared=30, archived=25, overwritten=38)
    settings = {"max_patches": 39, "max_changed_percent": 12.5, "max_overwrites": 5}
    assert [(trip.text, trip.accept) for trip in tripped(size, limits(**settings))] == [
        (
            "the desired table has 40 rows, 40 % of the 100 of the last run",
            "--min-desired-percent-of-last 40",
        ),
        ("40 leads would change, more than 39", "--max-patches 40"),
        ("40 of 40 leads would change, more than 12.5 %", "--max-changed-percent off"),
        ("25 leads would be archived, more than 20", "--max-archived 25"),
        ("30 of 40 leads would lose a value, more than 20 and 10 %", "--max-clears 30"),
        ("38 of 40 leads would have a value replaced, more than 5", "--max-overwrites 38"),
    ]
    [lost] = tripped(PlanSize(desired_leads=30, not_found=16), limits())
    assert (lost.text, lost.accept) == (
        "the account does not have 16 of 30 desired leads, more than 50 %",
        "--max-not-found-percent 54",
    )
    [alone] = tripped(size, only(max_clears_percent=5))
    assert (alone.text, alone.accept) == (
        "30 of 40 leads would lose a value, more than 5 %",
        "--max-clears-percent 75",
    )


SETTINGS = st.fixed_dictionaries(
    {
        **dict.fromkeys(COUNTS, st.sampled_from([None, "off"]) | st.integers(0, 60)),
        **dict.fromkeys(
            MOSTS,
            st.sampled_from([None, "off"])
            | st.integers(0, 99)
            | st.decimals(0, "99.9", places=1).map(str),
        ),
        LEAST: st.sampled_from([None, "off"])
        | st.integers(1, 100)
        | st.decimals("0.1", 100, places=1).map(str),
        "empty_desired": st.sampled_from(["stop", "allow"]),
    }
)
ROWS = st.none() | st.integers(0, 300)


@st.composite
def sizes(draw: st.DrawFn) -> PlanSize:
    compared = draw(st.integers(0, 300))
    changed = draw(st.just(compared) | st.integers(0, compared))
    cleared = draw(st.just(changed) | st.integers(0, changed))
    archived = draw(st.integers(0, changed))
    overwritten = draw(st.just(changed) | st.integers(0, changed))
    leads = draw(st.integers(0, 300) | st.integers(18, 22))
    missing = draw(st.just(leads) | st.integers(0, leads))
    return PlanSize(
        draw(ROWS),
        draw(ROWS),
        compared,
        changed,
        cleared,
        archived,
        overwritten=overwritten,
        desired_leads=leads,
        not_found=missing,
    )


def flag_of(trip: Trip) -> tuple[str, str]:
    flag, value = trip.accept.split(" ")
    assert flag.startswith("--")
    return flag[2:].replace("-", "_"), value


@given(SETTINGS, sizes())
@example({**UNSET, "max_clears_percent": 50}, PlanSize(compared=40, changed=40, cleared=40))
@example({**UNSET, "max_clears_percent": 98}, PlanSize(compared=300, changed=299, cleared=298))
@example(UNSET, PlanSize(compared=21, changed=21, cleared=21))
def test_the_flag_that_a_trip_names_lets_the_same_plan_pass(
    settings: dict[str, Any], size: PlanSize
) -> None:
    trips = tripped(size, limits_of(settings))
    for trip in trips:
        name, value = flag_of(trip)
        left = guards_of(tripped(size, limits_of({**settings, name: value})))
        assert left == [one for one in guards_of(trips) if one != trip.guard]
    accepted = dict(flag_of(trip) for trip in trips)
    assert tripped(size, limits_of({**settings, **accepted})) == []


@given(SETTINGS, sizes())
def test_a_flag_accepts_a_count_and_no_more(settings: dict[str, Any], size: PlanSize) -> None:
    for trip in tripped(size, limits_of(settings)):
        name, value = flag_of(trip)
        if name in ("max_patches", "max_archived"):
            grown = PlanSize(None, None, 9999, size.changed + 1, 0, size.archived + 1)
            assert name in guards_of(tripped(grown, only(**{name: value})))


@given(SETTINGS, sizes())
def test_guards_trip_where_plain_arithmetic_says(settings: dict[str, Any], size: PlanSize) -> None:
    assert set(guards_of(tripped(size, limits_of(settings)))) == set(expected_trips(settings, size))


def expected_trips(settings: Mapping[str, Any], size: PlanSize) -> Counter[str]:
    """The guards by their description, from the settings as they are written."""
    past = {
        "max_patches": passes_count(size.changed, settings["max_patches"], None),
        "max_changed_percent": passes_share(size, size.changed, settings["max_changed_percent"]),
        "max_archived": passes_count(size.archived, settings["max_archived"], 20),
        "empty_desired": size.desired_rows == 0 and settings["empty_desired"] == "stop",
        LEAST: falls_short(size, settings[LEAST]),
        UNKNOWN: misses_too_many(size, settings[UNKNOWN]),
    }
    past |= both_passed(settings, size, "max_clears", size.cleared, (20, 10))
    past |= both_passed(settings, size, "max_overwrites", size.overwritten, (200, 50))
    return Counter(guard for guard, is_past in past.items() if is_past)


def both_passed(
    settings: Mapping[str, Any], size: PlanSize, guard: str, found: int, usual: tuple[int, int]
) -> dict[str, bool]:
    count, percent = settings[guard], settings[f"{guard}_percent"]
    if count is None and percent in (None, "off"):
        count, percent = usual[0], usual[1] if percent is None else "off"
    by_count = passes_count(found, count, None)
    by_percent = passes_share(size, found, percent)
    counts, shares = count not in (None, "off"), percent not in (None, "off")
    return {
        guard: counts and by_count and (by_percent or not shares),
        f"{guard}_percent": shares and not counts and by_percent,
    }


def passes_count(found: int, limit: Any, default: int | None) -> bool:
    limit = default if limit is None else limit
    return limit not in (None, "off") and found > int(limit)


def passes_share(size: PlanSize, found: int, limit: Any) -> bool:
    known = limit not in (None, "off") and size.compared > 0
    return known and Fraction(100 * found, size.compared) > Fraction(str(limit))


def misses_too_many(size: PlanSize, limit: Any) -> bool:
    if size.desired_leads < 20 or limit == "off":
        return False
    share = Fraction(100 * size.not_found, size.desired_leads)
    return share > Fraction("50" if limit is None else str(limit))


def falls_short(size: PlanSize, limit: Any) -> bool:
    rows, last = size.desired_rows, size.last_desired_rows
    if not rows or not last or limit == "off" or (limit is None and last < 100):
        return False
    return Fraction(100 * rows, last) < Fraction("50" if limit is None else str(limit))


def patch(lead: str, body: dict[str, Any]) -> Patch:
    return Patch(f"P-{lead}-{len(body)}", "P", lead, body, dict.fromkeys(body, "old"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"title": "", "value": 0, "was_seen": False, "channel": "0"}, []),
        ({"title": "New", "value": None, "label_ids": []}, ["value", "label_ids"]),
        ({"label_ids": ["a"], "value": {"amount": 0, "currency": "EUR"}}, []),
        ({}, []),
    ],
)
def test_null_and_the_empty_list_clear(body: dict[str, Any], expected: list[str]) -> None:
    assert cleared_keys(body) == expected


def test_a_lead_counts_once_whatever_it_takes() -> None:
    """An archived lead is brought back by one patch, and loses its values by the next."""
    back, rest = patch("a", {"is_archived": False}), patch("a", {"value": None, "label_ids": []})
    size = measure([[back, rest]], PlanSize(compared=5), BY_KEY)
    assert (size.changed, size.cleared, size.archived, size.compared) == (1, 1, 0, 5)
    assert size.clears == {"value": 1, "label_ids": 1}
    assert size.samples == [rest]


VALUES: dict[str, tuple[Any, Any]] = {
    "a title": ("title", ("Old", "New")),
    "an owner, read as an object": ("owner_id", ({"id": 5, "name": "A"}, 7)),
    "labels": ("label_ids", ([HOT], [COLD])),
    "an amount": (
        "value",
        ({"amount": 1, "currency": "EUR"}, {"amount": 2, "currency": "EUR"}),
    ),
    "was seen": ("was_seen", (False, True)),
    "brought back": ("is_archived", (True, False)),
    "a score": (SCORE, (0, 7.5)),
    "an option": (key_of("enum"), ("190", 191)),
    "an end alone": (f"{key_of('daterange')}_until", ("2026-01-01", "2026-02-01")),
}
NO_VALUES: dict[str, tuple[Any, Any]] = {
    "set": ("person_id", (None, 5)),
    "cleared": ("person_id", (5, None)),
    "labels set": ("label_ids", ([], [HOT])),
    "labels cleared": ("label_ids", ([HOT], [])),
    "an empty text": (NOTE, ("", "New")),
    "a value without its amount": (
        "value",
        ({"amount": None, "currency": "EUR"}, {"amount": 2, "currency": "EUR"}),
    ),
    "archived, which has its own guard": ("is_archived", (False, True)),
    "sent along as it is": (f"{key_of('daterange')}_until", ("2026-01-01", "2026-01-01")),
    "the same in another spelling": (key_of("enum"), ("190", 190)),
}


@pytest.mark.parametrize(
    ("change", "is_one"),
    [
        *(pytest.param(one, True, id=name) for name, one in VALUES.items()),
        *(pytest.param(one, False, id=name) for name, one in NO_VALUES.items()),
    ],
)
def test_what_is_an_overwrite(change: Any, is_one: bool) -> None:
    key, (before, body) = change
    one = Patch("P", "P", "a", {key: body}, {key: before})
    size = measure([[one]], PlanSize(compared=5), BY_KEY)
    assert size.overwritten == is_one
    assert size.replacing == [one] * is_one
    assert size.overwrites == dict.fromkeys([base_key(key)] * is_one, 1)


def test_a_lead_is_overwritten_once_whatever_it_takes() -> None:
    back = Patch("P-1", "P", "a", {"is_archived": False}, {"is_archived": True})
    rest = Patch("P-2", "P", "a", {"title": "B", "person_id": None}, {"title": "A", "person_id": 3})
    size = measure([[back, rest]], PlanSize(compared=5), BY_KEY)
    assert (size.overwritten, size.cleared, size.changed) == (1, 1, 1)
    assert size.overwrites == {"is_archived": 1, "title": 1}
    assert size.replacing == [back]


BODIES = st.dictionaries(
    st.sampled_from(["title", "value", "label_ids", "is_archived", "note"]),
    st.sampled_from([None, [], "", 0, False, True, "x", ["a"]]),
    min_size=1,
)


@given(st.lists(BODIES, max_size=12))
def test_a_plan_is_measured_lead_by_lead(bodies: list[dict[str, Any]]) -> None:
    patches = [patch(f"lead {number}", body) for number, body in enumerate(bodies)]
    size = measure([[one] for one in patches], PlanSize(compared=20), BY_KEY)
    losing = [one for one in patches if None in one.body.values() or [] in one.body.values()]
    assert (size.changed, size.cleared) == (len(bodies), len(losing))
    assert size.archived == sum(body.get("is_archived") is True for body in bodies)
    assert size.samples == losing[:SAMPLES]
    assert size.clears == Counter(
        key for body in bodies for key, value in body.items() if value in (None, [])
    )


def test_words_name_each_guard_its_samples_and_every_flag() -> None:
    changed: dict[str, Any] = {"guard": "max_patches", "text": "30 leads would change"}
    cleared: dict[str, Any] = {"guard": "max_clears", "text": "30 leads would lose a value"}
    message = told(
        [
            {**changed, "accept": "--max-patches 30", "fields": {}, "samples": []},
            {
                **cleared,
                "accept": "--max-clears 30",
                "fields": {"Value": 30, "Tier": 2},
                "samples": ["A", "B"],
            },
        ]
    )
    assert message == (
        "max_patches: 30 leads would change; "
        "max_clears: 30 leads would lose a value: Value on 30, Tier on 2; such as A; B; "
        "nothing was sent; accept it with --max-patches 30 --max-clears 30"
    )
