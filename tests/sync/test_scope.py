"""What a run looks at: its arguments are taken from the settings, where they may be given."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import connector
from connector.errors import ConfigError
from connector.sync.session import Scope, scope_of

LEAD = "ADF21080-0E10-11EB-879B-05D71FB426EC"
ACCOUNT = {"base_url": "http://127.0.0.1:9", "api_token": "t" * 40}


def test_a_scope_is_read_as_settings_are() -> None:
    assert scope_of(f" {LEAD} ", "3", "Title, Owner", "true") == Scope(
        LEAD.lower(), 3, ("Title", "Owner"), True
    )
    assert scope_of() == Scope()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"limit": 0}, "limit 0"),
        ({"limit": -1}, "limit -1"),
        ({"limit": sys.maxsize + 1}, f"{sys.maxsize}"),
        ({"fields": " , "}, "names no field"),
        ({"lead": "x"}, "lead 'x' is not a UUID"),
        ({"lead": ""}, "lead '' is not a UUID"),
    ],
)
def test_a_scope_that_cannot_be_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        scope_of(**given)


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("apply", {"limit": 5}),
        ("apply", {"lead": LEAD}),
        ("apply", {"full_refresh": True}),
        ("revert", {"limit": 5}),
        ("plan_revert", {"full_refresh": True}),
        ("run", {"spilt": 1}),
    ],
)
def test_a_command_refuses_what_it_cannot_heed(command: str, given: dict[str, Any]) -> None:
    """A limit that `apply` passed over would leave the rest of its plan released and unsent."""
    arguments = () if command == "run" else ("20260101-000000-aaaaaa",)
    [name] = given
    with pytest.raises(ConfigError, match=f"no such setting: {name}"):
        getattr(connector, command)(*arguments, **ACCOUNT, **given)
