"""What runs write down of the account's fields."""

from __future__ import annotations

import json

from connector.records.fields import Field
from connector.records.kinds import TEXT
from connector.records.options import NO_OPTIONS, Options
from connector.warehouse import noted
from tests.support.warehouse import Site

GOLD = Options("option", {"7": "Gold"})
SILVER = Options("option", {"7": "Gold", "8": "Silv\u00e9r \u202e"})
ENDLESS = Options("user", {str(number): "x" * 100 for number in range(1000)})


def test_options_are_noted_and_stay_where_they_were_not_asked_for(file_site: Site) -> None:
    def note(name: str, options: Options) -> tuple[str, str | None]:
        with file_site.opened() as warehouse:
            noted.note_fields(warehouse, [Field("tier", name, TEXT, "enum", options=options)])
            [row] = noted.noted_fields(warehouse).values()
        return row.name, row.options

    assert note("Tier", NO_OPTIONS) == ("Tier", None)
    assert note("Tier", GOLD) == ("Tier", '{"7": "Gold"}')
    assert note("Level", NO_OPTIONS) == ("Level", '{"7": "Gold"}')
    assert note("Level", ENDLESS) == ("Level", '{"7": "Gold"}')
    name, options = note("Level", SILVER)
    assert name == "Level"
    assert json.loads(options or "") == SILVER.names
    assert (options or "").isascii()
