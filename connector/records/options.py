"""Names that stand for ids: option labels, lead labels, users' e-mail addresses. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Options:
    """The ids that a field may hold, each with its name.

    Attributes:
        noun: What one of them is called in messages.
        names: Id as text → name, as the CRM shows it; of users their e-mail addresses.
        people: Id as text → what people call a user, who is given by e-mail address.
    """

    noun: str = "option"
    names: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, value: Any, *, ids_first: bool = False) -> str:
        """Returns the id of an option that is given by id or by name, whatever its case.

        A name wins over an id of the same spelling, unless ids come first.

        Raises:
            ValueError: None or several have it; the message names the nearest.
        """
        text = str(value).strip()
        if ids_first and text in self.names:
            return text
        found = [key for key, name in self.names.items() if fold_name(name) == fold_name(text)]
        if len(found) > 1:
            raise ValueError(f"is the name of {len(found)} {self.noun}s; give the id")
        if found:
            return found[0]
        if text.lower() in self.names:
            return text.lower()
        raise ValueError(f"is no {self.noun}; {self._way_out(text)}")

    def name_of(self, key: Any) -> str:
        """Returns the name of an id, or the id itself where it is not known."""
        return self.names.get(str(key), str(key))

    def describe(self, key: str) -> str:
        """Returns the name of an id, with the person's own name where it has one."""
        person = self.people.get(key)
        return f"{self.name_of(key)} ({person})" if person else self.name_of(key)

    def address_for(self, text: str) -> str:
        """Says which e-mail address may be meant where somebody's name is given."""
        said = set(fold_name(text).split())
        found = [key for key, name in self.people.items() if fold_name(name) == fold_name(text)]
        found = found or [
            key for key, name in self.people.items() if said and said <= {*fold_name(name).split()}
        ]
        if not found:
            known = {name.casefold(): key for key, name in self.people.items()}
            near = difflib.get_close_matches(text.strip().casefold(), known, n=1)
            found = [known[name] for name in near]
        if found:
            return f"did you mean {' or '.join(map(self.describe, found))}?"
        return "give a user's e-mail address or id"

    def _way_out(self, text: str) -> str:
        names = list(self.names.values())
        near = difflib.get_close_matches(text.casefold(), [name.casefold() for name in names], n=1)
        if near:
            nearest = next(name for name in names if name.casefold() == near[0])
            return f"did you mean {nearest!r}?"
        known = ", ".join(repr(name) for name in names[:8])
        return f"give one of {known}" if known else "this account has none"


NO_OPTIONS: Final = Options()


def fold_name(name: str) -> str:
    """Folds what people do not tell apart in a name: case and surrounding spaces."""
    return name.strip().casefold()


def options_of(noun: str, records: Any, name: str) -> Options:
    """Returns the options of records that carry an `id` and a name under the key given.

    A record without the two is passed over, and so is what is no list of records.

    Args:
        noun: What an option is called in messages.
        records: The records, as Pipedrive lists them.
        name: The key of their names.
    """
    given = records if isinstance(records, list | tuple) else []
    whole = (one for one in given if isinstance(one, dict) and _is_named(one, name))
    return Options(noun, {str(one["id"]): str(one[name]) for one in whole})


def _is_named(record: Mapping[str, Any], name: str) -> bool:
    return all(isinstance(record.get(key), str | int) for key in ("id", name))
