"""Which column manages which field, and which tables are refused before anything is sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import ConfigError, DesiredTableError
from connector.planning.columns import Column, Words, examine_columns, map_columns
from connector.records.definitions import custom_fields
from connector.records.fields import Field
from connector.records.leads import LEADS, STANDARD_FIELDS
from tests.support.account import FIELDS, NOTE, SCORE

HEX_A, HEX_B = "a1" * 20, "b2" * 20


def mapped(*names: str, **renamed: str) -> dict[str, tuple[str, str]]:
    """Maps columns, and returns the key and part that each manages."""
    columns = map_columns(["lead_id", *names], FIELDS, renamed)
    return {one.name: (one.field.key, one.part) for one in columns.managed}


@pytest.mark.parametrize("key", [field.key for field in STANDARD_FIELDS])
def test_standard_fields_go_by_their_key(key: str) -> None:
    assert mapped(key) == {key: (key, "")}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("My double", SCORE),
        ("my_double", SCORE),
        ("MY-DOUBLE", SCORE),
        ("mydouble", SCORE),
        (" my  double! ", SCORE),
        (SCORE, SCORE),
        (SCORE.upper(), SCORE),
        (NOTE, NOTE),
        ("expected close date", "expected_close_date"),
        ("ownerid", "owner_id"),
    ],
)
def test_names_are_folded(name: str, key: str) -> None:
    assert mapped(name) == {name: (key, "")}


def test_halves_of_the_value() -> None:
    assert mapped("value_amount", "value_currency") == {
        "value_amount": ("value", "amount"),
        "value_currency": ("value", "currency"),
    }


def test_names_given_by_config() -> None:
    found = mapped(
        "score", "heading", "price", score="My double", heading="title", price="value_amount"
    )
    assert found == {"score": (SCORE, ""), "heading": ("title", ""), "price": ("value", "amount")}


def test_config_wins_over_a_columns_own_name() -> None:
    assert mapped("title", title="channel_id") == {"title": ("channel_id", "")}


def test_what_is_passed_over() -> None:
    found = mapped("title", "updated_at", "changes", "_dlt_id", "_dlt_load_id")
    assert found == {"title": ("title", "")}


@pytest.mark.parametrize("rule", ["drop", "", {"title": "drop"}, '{"title": "drop"}', None])
def test_a_rule_for_null_that_there_is_not(rule: Any) -> None:
    with pytest.raises(ConfigError, match="on_null"):
        map_columns(["lead_id"], FIELDS, on_null=rule)


@pytest.mark.parametrize("given", [{"on_null": {"titel": "keep"}}, {"only_if_blank": ["titel"]}])
def test_a_rule_for_what_is_no_field(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"'titel'.*did you mean title"):
        map_columns(["lead_id"], FIELDS, **given)


@pytest.mark.parametrize("name", ["updated_at", "changes", "lead_id", "Updated_At", "_dlt_id"])
def test_a_name_that_is_taken_cannot_be_mapped(name: str) -> None:
    told = f"columns maps {name!r}, a name that is taken and cannot be mapped; give that column an"
    with pytest.raises(ConfigError) as raised:
        map_columns(["lead_id", "title"], FIELDS, {name: SCORE})
    assert str(raised.value).startswith(told)
    [problem] = examine_columns(["lead_id", name.lower()], FIELDS, {name: SCORE})[1]
    assert (problem.is_of_config, str(problem).startswith(told)) == (True, True)


def test_a_table_needs_the_leads_ids() -> None:
    with pytest.raises(DesiredTableError, match="no column lead_id"):
        map_columns(["title"], FIELDS)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("titel", "title (Title)?"),
        ("chanel", "channel (Channel) or channel_id (Channel ID)?"),
        ("my_doubel", "my_double (My double)?"),
        ("value_amonut", "value_amount (Value)?"),
        ("value_curency", "value_currency (Value)?"),
        (SCORE[:-1], "my_double (My double)?"),
        ("label", "labels (Labels) or label_ids (Labels)?"),
        ("owner", "owner_id (Owner) or owner_email (Owner)?"),
    ],
)
def test_an_unknown_column_is_told_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(DesiredTableError) as raised:
        mapped(name)
    told = str(raised.value)
    assert f"{name!r}" in told
    assert f"did you mean {nearest}" in told
    assert not re.search("[0-9a-f]{40}", told)


def test_all_problems_are_told_at_once() -> None:
    names = ["titel", "title", "heading", "creator_id", "value_curency"]
    columns, problems = examine_columns(names, FIELDS, {"heading": "title"}, on_null="never")
    assert [one.name for one in columns.managed] == ["title", "heading"]
    assert [(one.column, one.nearest) for one in problems] == [
        ("", ""),
        ("titel", "title"),
        ("creator_id", ""),
        ("value_curency", "value_currency"),
        ("heading", ""),
        ("", ""),
    ]
    with pytest.raises(DesiredTableError, match=r"lead_id.*titel.*creator_id.*curency.*heading"):
        map_columns(names, FIELDS, {"heading": "title"}, on_null="never")
    with pytest.raises(ConfigError, match=r"^on_null 'never' is no rule; give clear, keep or rej"):
        map_columns(["lead_id", "title"], FIELDS, on_null="never")


def test_one_line_tells_some_of_many_problems() -> None:
    names = ["lead_id", *(f"zzz_{number}" for number in range(9))]
    with pytest.raises(DesiredTableError, match=r"zzz_5.*; and 3 more; `lead-sync columns` shows"):
        map_columns(names, FIELDS)
    assert len(examine_columns(names, FIELDS)[1]) == 9


def spelled(fields: list[Field], **renamed: str) -> dict[tuple[str, str], str]:
    """Returns the column name to use for each field and each of its parts."""
    words = Words.of(fields, renamed)
    columns = [
        Column("", one, part) for one in fields for part in [p.name for p in one.parts] or [""]
    ]
    return {(one.field.key, one.place): words.spell(one) for one in columns}


def test_the_name_to_use_is_taken_for_that_field_and_part() -> None:
    fields = [*FIELDS, *custom_fields([definition(HEX_A, "Größe (m²)")])]
    found = spelled(fields)
    assert found["owner_id", ""] == "owner_email"
    assert found["label_ids", ""] == "labels"
    assert found["value", "currency"] == "value_currency"
    assert found[SCORE, ""] == "my_double"
    assert found[HEX_A, ""] == "größe_m²"
    for (key, place), name in found.items():
        [column] = map_columns(["lead_id", name], fields).managed
        assert (column.field.key, column.place) == (key, place)


@pytest.mark.parametrize("name", ["Lead ID", "Updated at", "Changes", "🔥", "İ", "Title", "Labels"])
def test_a_name_that_cannot_be_used_gives_way_to_the_key(name: str) -> None:
    fields = [*STANDARD_FIELDS, *custom_fields([definition(HEX_A, name)])]
    assert spelled(fields)[HEX_A, ""] == HEX_A


def test_two_fields_of_one_name_go_by_their_keys() -> None:
    alike = custom_fields([definition(HEX_A, "Lead score"), definition(HEX_B, "lead_score")])
    assert spelled(alike) == {(HEX_A, ""): HEX_A, (HEX_B, ""): HEX_B}


def test_a_leads_own_name_that_a_custom_field_has_too_gives_way_to_another() -> None:
    assert spelled(beside("Labels"))["label_ids", ""] == "label_ids"


def test_the_name_that_config_gives_comes_first() -> None:
    found = spelled(list(FIELDS), closes="expected_close_date", title="channel_id")
    assert found["expected_close_date", ""] == "closes"
    assert found["channel_id", ""] == "title"


def test_an_unknown_column_that_is_near_to_nothing() -> None:
    with pytest.raises(DesiredTableError, match=r"'zzzzzzzz'.*`columns`"):
        mapped("zzzzzzzz")


def test_an_unknown_target_is_told_with_its_column() -> None:
    with pytest.raises(DesiredTableError, match=r"'score'.*mapped to 'My dobule'"):
        mapped("score", score="My dobule")


@pytest.mark.parametrize("name", sorted(LEADS.read_only))
def test_a_read_only_field_is_refused(name: str) -> None:
    with pytest.raises(DesiredTableError, match=f"{name!r} is read-only"):
        mapped(name)


@pytest.mark.parametrize("key", ["c3" * 20, "c3" * 19])
def test_a_key_that_the_account_does_not_have(key: str) -> None:
    with pytest.raises(DesiredTableError, match=key):
        mapped(key)


@pytest.mark.parametrize(
    "names",
    [
        ("My double", "my_double"),
        ("my_double", SCORE),
        ("value", "value_amount"),
        ("value_amount", "value"),
        ("value_currency", "title", "value"),
        ("value", "value_amount", "value_currency"),
    ],
)
def test_two_columns_of_one_field_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DesiredTableError, match="both manage"):
        mapped(*names)


def test_two_columns_mapped_to_one_field_are_refused() -> None:
    with pytest.raises(DesiredTableError, match="'title' and 'heading' both manage title"):
        mapped("title", "heading", heading="title")


def definition(key: str, name: str, field_type: str = "double", **more: Any) -> dict[str, Any]:
    return {"key": key, "name": name, "field_type": field_type, **more}


def test_a_name_that_two_custom_fields_share_needs_the_key() -> None:
    alike = custom_fields([definition(HEX_A, "Lead score"), definition(HEX_B, "lead_score")])
    fields = [*STANDARD_FIELDS, *alike]
    with pytest.raises(DesiredTableError, match="'lead score'"):
        map_columns(["lead_id", "lead score"], fields)
    [column] = map_columns(["lead_id", HEX_B], fields).managed
    assert column.field.key == HEX_B


OWN = [
    *(field.key for field in STANDARD_FIELDS),
    *("value_amount", "value_currency", "labels", "add_labels", "remove_labels", "owner_email"),
]


def beside(name: str, field_type: str = "double") -> list[Field]:
    """The fields of an account in which a custom one has the name of a lead's own."""
    return [*custom_fields([definition(HEX_A, name, field_type)]), *STANDARD_FIELDS]


@pytest.mark.parametrize("name", OWN)
def test_a_name_of_a_leads_own_field_and_of_a_custom_one_is_refused(name: str) -> None:
    fields = beside(name.replace("_", " ").title())
    with pytest.raises(DesiredTableError) as raised:
        map_columns(["lead_id", name], fields)
    assert f"column {name!r} could be the lead's own {name} or {HEX_A}" in str(raised.value)
    assert str(raised.value).endswith(f"map it under `columns` to {name} or to a key")


@pytest.mark.parametrize("name", OWN)
def test_config_says_which_of_the_two_is_meant(name: str) -> None:
    fields = beside(name)
    [own] = map_columns(["lead_id", name], fields, {name: name}).managed
    assert not own.field.key.startswith(HEX_A)
    [custom] = map_columns(["lead_id", name], fields, {name: HEX_A}).managed
    assert custom.field.key == HEX_A
    [other] = map_columns(["lead_id", "mine"], fields, {"mine": name}).managed
    assert other.field == own.field
    assert (other.part, own.part) == (own.part, other.part)
    with pytest.raises(DesiredTableError, match="could be the lead's own"):
        map_columns(["lead_id", "mine"], fields, {"mine": name.upper()})


@pytest.mark.parametrize(
    ("name", "spelled"), [("owner_email", "owner email"), ("channel", "chan-nel")]
)
def test_config_may_spell_the_name_otherwise(name: str, spelled: str) -> None:
    fields = beside(name)
    [custom] = map_columns(["lead_id", name], fields, {spelled: HEX_A}).managed
    assert custom.field.key == HEX_A
    told = f"column {name!r} (mapped to 'no such') maps to no field"
    with pytest.raises(DesiredTableError, match=re.escape(told)):
        map_columns(["lead_id", name], fields, {spelled: "no such"})


def test_names_of_signs_alone_are_not_one_name() -> None:
    with pytest.raises(DesiredTableError, match="'❤' maps to no field"):
        mapped("❤", **{"🔥": "title"})
    by_name = map_columns(["lead_id"], FIELDS, {"🔥": "title", "❤": "channel_id"}).by_name
    assert (by_name["🔥"].field.key, by_name["❤"].field.key) == ("title", "channel_id")


def test_a_custom_fields_part_may_have_the_name_as_well() -> None:
    with pytest.raises(DesiredTableError, match="'value_currency' could be"):
        map_columns(["lead_id", "value_currency"], beside("Value", "monetary"))


def test_other_columns_are_none_of_a_clashs_business() -> None:
    [column] = map_columns(["lead_id", "title"], beside("Channel")).managed
    assert column.field.key == "title"


@pytest.mark.parametrize(
    "rules", [{"on_null": {"channel": "keep"}}, {"only_if_blank": ["channel"]}]
)
def test_a_rule_for_a_name_of_two_fields(rules: dict[str, Any]) -> None:
    """A rule that goes to the other field lets this one be overwritten."""
    fields = beside("Channel")
    with pytest.raises(ConfigError, match=r"names 'channel', which could be"):
        map_columns(["lead_id", "title"], fields, **rules)
    found = map_columns(["lead_id", "channel"], fields, {"channel": HEX_A}, **rules)
    assert HEX_A in {*found.on_null, *found.only_if_blank}


def test_changes_take_the_names_that_columns_take() -> None:
    fields = beside("Channel")
    found = map_columns(["lead_id"], fields)
    assert "could be the lead's own channel" in found.clashes["channel"]
    found = map_columns(["lead_id"], fields, {"channel": HEX_A, "spoken to": "title"})
    assert found.clashes == {}
    assert found.by_name["channel"].field.key == HEX_A
    assert found.by_name["spokento"].field.key == "title"


def test_a_name_in_changes_that_config_maps_to_no_one_field_stands_for_none() -> None:
    found = map_columns(["lead_id"], beside("Channel"), {"title": "titel", "mine": "Channel"})
    assert not {"title", "mine"} & found.by_name.keys()
    assert (
        found.clashes["title"] == "`columns` maps to 'titel', which is no field; mend that setting"
    )
    assert found.clashes["mine"].startswith(
        "`columns` maps to 'Channel', which could be the lead's"
    )


def test_a_custom_field_with_the_name_of_a_read_only_one() -> None:
    fields = [*STANDARD_FIELDS, *custom_fields([definition(HEX_A, "Origin")])]
    [column] = map_columns(["lead_id", "origin"], fields).managed
    assert column.field.key == HEX_A


def test_only_what_can_be_written_becomes_a_field() -> None:
    definitions = [
        definition("title", "Title", "varchar"),
        definition("a1" * 19, "Short key"),
        definition(HEX_A, "Score"),
        definition(HEX_B, "Picture", "picture"),
        {"name": "No key"},
    ]
    assert [field.key for field in custom_fields(definitions)] == [HEX_A]


@given(
    st.lists(
        st.tuples(
            st.text(max_size=12) | st.sampled_from(OWN), st.sampled_from(["double", "monetary"])
        ),
        max_size=6,
    )
)
def test_the_names_to_use_make_one_table_whatever_people_call_their_fields(
    named: list[tuple[str, str]],
) -> None:
    definitions = [
        definition(f"{number:040x}", name, kind) for number, (name, kind) in enumerate(named)
    ]
    fields = custom_fields(definitions)
    found = spelled([*STANDARD_FIELDS, *fields])
    wanted = {place: name.lower() for place, name in found.items() if len(place[0]) == 40}
    columns = map_columns(["lead_id", *wanted.values()], [*STANDARD_FIELDS, *fields])
    mapped = {(one.field.key, one.place): one.name for one in columns.managed}
    assert mapped == wanted
