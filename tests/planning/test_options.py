"""Options by id or by label, where a label looks like an id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connector.records.kinds import Option, OptionSet
from connector.records.options import Options

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
