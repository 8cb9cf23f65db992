"""Names in the configuration that nobody reads: a misspelt guard is a guard not in force.

A name in a section of ours that is no setting, and a section or variable that is nearly ours, stop
with the nearest name. Their values are never shown: what is misspelt may be the token.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlt.common.configuration.providers import ConfigProvider, EnvironProvider
from dlt.common.configuration.providers.doc import BaseDocProvider

from connector.configuration.providers import Section, providers, variable
from connector.errors import ConfigError

NEAR = 0.87
"""How alike two names of sections are where one is taken for the other, misspelt."""
MISSPELT = 0.75
"""The same of the names in a section that dlt shares with us."""


@dataclass(frozen=True)
class Names:
    """The names that a section may hold.

    Attributes:
        section: The section.
        known: The names that are read there.
        inner: Names that are read in a section within it, by the name of that section.
        is_whole: Whether there can be no others; where dlt may read more, only names that are
            nearly known are refused.
    """

    section: Section
    known: Collection[str]
    inner: Mapping[str, Collection[str]]
    is_whole: bool


def refuse_misspelt(names: Names) -> None:
    """Refuses names in the configuration that are nearly ours, or ours but unknown.

    Raises:
        ConfigError: There are some; all of them are told.
    """
    found = [text for provider in providers() for text in _misspelt(provider, names)]
    if found:
        raise ConfigError("; ".join(dict.fromkeys(found)))


def nearest(name: str, known: Collection[str]) -> str:
    """Returns the known name that is most like another."""
    return difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.0)[0]


def _misspelt(provider: ConfigProvider, names: Names) -> Iterator[str]:
    if isinstance(provider, EnvironProvider):
        for name in sorted(os.environ):
            yield from _in_environment(name, names)
    elif isinstance(provider, BaseDocProvider):
        yield from _in_document(_document(provider), provider.name, names)


def _in_environment(name: str, names: Names) -> Iterator[str]:
    upper, prefix = name.upper(), variable(names.section, "")
    if upper.startswith(prefix):
        key = upper.removeprefix(prefix).lower()
        way_out = _way_out(key, names)
        if way_out and "__" not in way_out and " " not in way_out:
            way_out = f"{way_out}, {variable(names.section, way_out)}"
        if way_out:
            yield f"{name} is no setting; the nearest is {way_out}"
        elif name != upper and _is_known(key, names):
            yield f"{name} is not read; write it {upper}"
    elif _is_near_variable(upper.split("__"), names.section):
        yield f"{name} is not read; such variables begin with {prefix}"


def _in_document(document: Mapping[str, Any], place: str, names: Names) -> Iterator[str]:
    head, tail = names.section
    written = ".".join(names.section)
    for top, sections in document.items():
        if not isinstance(sections, Mapping):
            continue
        for name in sections:
            if (top, name) != names.section and _is_near(top, head) and _is_near(name, tail):
                yield f"[{top}.{name}] in {place} is not read; write [{written}]"
    if names.is_whole and names.known & _table(document.get(tail)).keys():
        yield f"[{tail}] in {place} is not read; write [{written}]"
    ours = _table(document.get(head)).get(tail)
    if ours is not None and not isinstance(ours, Mapping):
        yield f"{written} in {place} is no section; write [{written}]"
    for key in _table(ours):
        if way_out := _way_out(key, names):
            yield f"{key} in [{written}] of {place} is no setting; the nearest is {way_out}"


def _way_out(key: str, names: Names) -> str:
    """Returns the name that was meant by one that is not read; empty for one that is."""
    if _is_known(key, names):
        return ""
    for section, known in names.inner.items():
        if key in known:
            return f"{key} under [{'.'.join((*names.section, section))}]"
    if longer := [name for name in names.known if name.endswith(f"_{key.lower()}")]:
        return min(longer)
    near = nearest(key.partition("__")[0], names.known)
    alike = difflib.SequenceMatcher(None, key.lower(), near).ratio()
    return near if names.is_whole or alike >= MISSPELT else ""


def _is_known(key: str, names: Names) -> bool:
    return key in names.known or (not names.is_whole and key.partition("__")[0] in names.known)


def _is_near_variable(parts: list[str], section: Section) -> bool:
    """Tells whether a variable is nearly one of a section, such as with one underscore for two."""
    head, tail = (name.upper() for name in section)
    if len(parts) > 2 and _is_near(parts[0], head):
        return _is_near(parts[1], tail)
    squashed = "".join(parts).replace("_", "")
    return squashed.startswith(f"{head}{tail}".replace("_", ""))


def _is_near(name: str, ours: str) -> bool:
    """Tells whether a section's name is ours, or nearly; a longer name is one of its own."""
    if name.lower().startswith((f"{ours.lower()}_", f"{ours.lower()}-")):
        return False
    one, other = (text.lower().replace("_", "").replace("-", "") for text in (name, ours))
    is_numbered = one.startswith(other) and one[len(other) :].isdigit()
    return not is_numbered and difflib.SequenceMatcher(None, one, other).ratio() >= NEAR


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _document(provider: BaseDocProvider) -> Mapping[str, Any]:
    """Returns all that a file or a vault has shown so far."""
    try:
        return tomllib.loads(provider.to_toml())
    except (ValueError, TypeError):  # a provider of somebody's own may hold what TOML cannot
        return {}
