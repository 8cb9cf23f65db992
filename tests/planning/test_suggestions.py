"""Which column was meant, by its name, its type and its values."""

from __future__ import annotations

from typing import Any

import pytest

from connector.planning.columns import Problem, Words, examine_columns
from connector.planning.suggestions import advise, doubts
from connector.records.definitions import custom_fields
from connector.records.leads import standard_fields
from connector.records.options import Options
from tests.support.account import COLD, DEFINITIONS, HOT, LEAD_ID
from tests.support.cases import check_each

USERS = Options("user", {"7": "ada@example.com", "8": "bo@example.com"}, {"7": "Ada", "8": "Bo"})
LABELS = Options("label", {HOT: "Hot", COLD: "Cold"})
FIELDS = [*standard_fields(LABELS, USERS), *custom_fields(DEFINITIONS, USERS)]
OTHER = "11111111-0e10-11eb-879b-05d71fb426ec"


def problems_of(types: dict[str, str], *rows: dict[str, Any], **renamed: str) -> list[Problem]:
    columns, problems = examine_columns(types, FIELDS, renamed)
    words = Words.of(FIELDS, renamed)
    return advise(problems, types, rows, words, columns.managed)


def meant(name: str, *values: Any, type_: str = "VARCHAR", beside: str = "") -> Problem:
    """Returns the problem of one unknown column with these values."""
    types = {"lead_id": "VARCHAR", name: type_} | ({beside: "VARCHAR"} if beside else {})
    rows = [{"lead_id": LEAD_ID, name: value, beside: None} for value in values]
    [problem] = problems_of(types, *rows)
    return problem


NEAREST: list[tuple[str, tuple[Any, ...], str]] = [
    ("value_curency", ("EUR",), "value_currency"),
    ("value_curency", (), "value_currency"),
    ("value_curency", (12,), "value_currency"),
    ("label", ("Hot", "Cold"), "labels"),
    ("label", (["Hot"], []), "labels"),
    ("label", (HOT,), "labels"),
    ("owner", ("ada@example.com", "BO@example.com"), "owner_email"),
    ("owner", (7, 8), "owner_id"),
    ("owner", ("Ada", "Bo"), "owner_email"),
    ("owner", (), "owner_email"),
    ("amount", (12.5,), "value_amount"),
    ("close_date", ("2026-12-31",), "expected_close_date"),
    ("org_id", (5,), "organization_id"),
    ("titel", ("New",), "title"),
    ("my_doubel", (3,), "my_double"),
    ("tags", ("Hot", "Cold"), "labels"),
    ("class", ("Gold", "Tin"), "my_enum"),
    ("sales_rep", ("ada@example.com",), "owner_email"),
    ("zzz", ("anything",), ""),
    ("zzz", (1, 2), ""),
]


def test_the_nearest_column_is_judged_by_name_and_values() -> None:
    def check(case: tuple[str, tuple[Any, ...], str]) -> None:
        name, values, nearest = case
        problem = meant(name, *values)
        assert problem.nearest == nearest
        assert (f"did you mean {nearest}" in problem.way_out) == bool(nearest)

    check_each(NEAREST, check)


@pytest.mark.parametrize(("type_", "nearest"), [("VARCHAR", "owner_email"), ("BIGINT", "owner_id")])
def test_an_empty_table_is_judged_by_its_types(type_: str, nearest: str) -> None:
    assert meant("owner", type_=type_).nearest == nearest


def test_values_that_do_not_fit_are_told() -> None:
    assert meant("value_curency", "a lot").way_out == (
        "did you mean value_currency (Value)? Its values, such as 'a lot', do not fit"
    )
    assert meant("owner", "Ada").way_out == (
        "did you mean owner_email (Owner)? Its values, such as 'Ada', are names of people"
    )


def test_a_column_that_is_there_is_not_meant_again() -> None:
    assert meant("label", "Hot", beside="labels").nearest == "add_labels"
    assert meant("titel", "New", beside="title").nearest == ""


def test_no_key_is_shown_where_the_field_has_a_name() -> None:
    for one in DEFINITIONS:
        problem = meant(f"{one['name']}x")
        assert one["key"] not in str(problem)


def test_the_leads_ids_under_another_name() -> None:
    types = {"id": "VARCHAR", "label_ids": "VARCHAR", "title": "VARCHAR"}
    rows = [{"id": one, "label_ids": HOT, "title": "x"} for one in (LEAD_ID, OTHER)]
    assert [str(one) for one in problems_of(types, *rows)] == [
        "the desired table has no column lead_id; rename id to lead_id",
        "column 'id' seems to hold the leads' ids; rename it to lead_id",
    ]
    del types["id"]
    [missing] = problems_of(types, *rows)
    assert str(missing) == "the desired table has no column lead_id; add the leads' ids"


def test_the_names_of_config_are_offered() -> None:
    types = {"lead_id": "VARCHAR", "pointz": "DOUBLE"}
    [problem] = problems_of(types, points="My double")
    assert problem.nearest == "points"


def doubts_of(**cells: list[Any]) -> dict[str, str]:
    rows = [
        {"lead_id": LEAD_ID, **dict(zip(cells, values, strict=True))}
        for values in zip(*cells.values(), strict=True)
    ]
    columns, problems = examine_columns(rows[0], FIELDS)
    assert problems == []
    return doubts(columns, rows, Words.of(FIELDS, {}))


def test_rows_that_cannot_be_sent_are_counted_for_each_column() -> None:
    found = doubts_of(my_enum=["Gold", "Goldd", None], title=["A", "B", " "], my_double=[1, 2, 3])
    assert found == {
        "my_enum": "1 of 3 rows looked at cannot be sent: my_enum 'Goldd' is no option; did you "
        "mean 'Gold'?",
        "title": "1 of 3 rows looked at cannot be sent: title ' ' is empty; give the lead a title, "
        "or NULL to leave it alone",
    }
    assert doubts_of(lead_id=["x"], title=["A"])["lead_id"].startswith("1 of 1 rows looked at")


def test_a_column_of_other_values_is_told_with_what_they_are() -> None:
    found = doubts_of(my_double=["Hot", "Cold"], owner_email=["Ada", "Bo"])
    assert found["my_double"].endswith("; by its values it is labels")
    assert found["owner_email"].endswith("did you mean ada@example.com (Ada)?")


def test_a_column_that_config_maps_is_judged_by_what_it_maps_to() -> None:
    types = {"lead_id": "VARCHAR", "title": "VARCHAR"}
    [problem] = problems_of(types, {"lead_id": LEAD_ID, "title": "x"}, title="My dobule")
    assert "(mapped to 'My dobule')" in problem.wrong
    assert problem.way_out == "did you mean my_double (My double)?"
