"""Options by id or by label, where a label looks like an id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connector.records.kinds import LabelEdit, Labels, Option, OptionSet, Reference
from connector.records.options import Options
from tests.support.account import COLD, HOT

OPTIONS = Options(names={"1": "3", "2": "Gold", "3": "Silver", "4": "2026", "5": "2026 "})


@pytest.mark.parametrize("number", [3, 3.0, Decimal("3.00")])
def test_a_number_is_an_id_first(number: Any) -> None:
    assert Option(OPTIONS).parse(number) == 3
    assert OptionSet(OPTIONS).parse([number, 2]) == (2, 3)


@pytest.mark.parametrize("text", ["3", " 3 "])
def test_text_is_a_label_first(text: str) -> None:
    assert Option(OPTIONS).parse(text) == 1
    assert OptionSet(OPTIONS).parse(f"Gold,{text}") == (1, 2)


def test_each_element_of_a_list_goes_by_its_type() -> None:
    assert OptionSet(OPTIONS).parse('[3, "3"]') == (1, 3)


def test_text_that_is_no_label_is_an_id() -> None:
    assert Option(OPTIONS).parse("2") == 2


def test_a_number_that_is_no_id_is_a_label() -> None:
    years = Options(names={"1": "2025", "2": "2026"})
    assert Option(years).parse(2026) == 2


def test_a_number_that_two_labels_are_and_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match="is the name of 2 options; give the id"):
        Option(OPTIONS).parse(2026)


def test_a_label_to_add_and_to_remove_is_told_by_its_name() -> None:
    labels = Labels(Options("label", {HOT: "Hot", COLD: "Cold"}))
    assert labels.parse_edit("Hot", [COLD]) == LabelEdit((HOT,), (COLD,))
    with pytest.raises(ValueError, match=r"^both name the label 'Hot'; take it out of one of them"):
        labels.parse_edit(["cold", "HOT"], [HOT])


USERS = Options(
    "user",
    {"1": "ada.lind@example.com", "2": "bo@example.com", "3": "ada2@example.com"},
    {"1": "Ada Lind", "2": "Bo Ek"},
)


@pytest.mark.parametrize("name", ["Ada Lind", " ada lind ", "Ada Lindt", "Lind", "Lind Ada"])
def test_a_users_name_is_told_with_the_address(name: str) -> None:
    with pytest.raises(ValueError, match="is no e-mail address") as raised:
        Reference(USERS).parse(name)
    told = "is no e-mail address; did you mean ada.lind@example.com (Ada Lind)?"
    assert str(raised.value) == told


def test_users_of_one_name_are_all_told() -> None:
    twins = Options("user", USERS.names, {**USERS.people, "3": "Ada Lind"})
    with pytest.raises(ValueError, match=r"ada\.lind@.* or ada2@example\.com \(Ada Lind\)\?"):
        Reference(twins).parse("Ada Lind")


def test_a_name_that_no_user_has_is_told_with_what_to_give() -> None:
    with pytest.raises(ValueError, match="is no e-mail address; give a user's e-mail address or"):
        Reference(USERS).parse("zzz")
    assert Reference(USERS).parse("2") == 2
    with pytest.raises(ValueError, match="is not an id"):
        Reference().parse("Ada Lind")
