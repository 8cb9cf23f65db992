"""How the desired table's columns map to a lead's fields. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from connector.errors import ConfigError, DesiredTableError
from connector.records.cells import from_json
from connector.records.fields import Field, fold, is_custom_key
from connector.records.leads import LEADS, STANDARD_FIELDS

LEAD_ID, CHANGES, UPDATED_AT = "lead_id", "changes", "updated_at"
PREFERRED = {"owner_id": "owner_email", "label_ids": "labels"}
"""Keys of fields that people rather give by name, each with the column for that."""
OnNull = Literal["clear", "keep", "reject"]
OnConflict = Literal["warehouse", "crm", "newest", "fail"]
Read = TypeVar("Read")
MOST_TOLD = 6
"""Problems of a table that one line of a run's error tells."""
AS_NEAR = 0.18
"""So much less like a name than the nearest is another that may be meant as well."""
NO_HINT = "rename it, or map it under `columns` in config; `lead-sync fields` lists the names"
PASSED_OVER = frozenset({LEAD_ID, UPDATED_AT, CHANGES})
"""Columns that are of no field."""


@dataclass(frozen=True)
class Column:
    """A column of the desired table and what it manages.

    Attributes:
        name: The column's name in the warehouse; empty for a name that `changes` may use.
        field: The lead's field.
        part: What of it: "amount" or "currency" of a value, labels to "add" or to "remove";
            empty for the whole.
    """

    name: str
    field: Field
    part: str = ""

    @property
    def place(self) -> str:
        """The part that a plain value is of: the first key of a field of two keys is its first."""
        is_of_two_keys = not self.part and len(self.field.keys) > 1
        return self.field.parts[0].name if is_of_two_keys else self.part


@dataclass(frozen=True)
class Problem:
    """What is wrong with the desired table, and the way out.

    Attributes:
        column: The column; empty where it is the table's, or a setting's.
        wrong: What is wrong.
        way_out: What to do.
        is_of_config: Whether a setting is wrong, and not the table.
        is_unknown: Whether it is that the column is of no field.
        nearest: The column name that was probably meant; empty where none is near.
    """

    column: str
    wrong: str
    way_out: str
    is_of_config: bool = False
    is_unknown: bool = False
    nearest: str = ""

    def __str__(self) -> str:
        return f"{self.wrong}; {self.way_out}"


@dataclass(frozen=True)
class Columns:
    """What the columns manage, and by which rules.

    Attributes:
        managed: The table's own columns.
        by_name: Every folded name, for the keys of `changes`.
        clashes: Folded names that stand for no one field, each with why and the way out.
        timezone: Where timestamps with a zone become dates.
        on_null: Field key → what NULL does; the empty key is for all others.
        only_if_blank: Keys of fields that are filled and never overwritten.
        on_conflict: Field key → who wins over an edit in the CRM; the empty key is for all others.
        only: Keys of the only fields to look at; empty for all.
        objects: The columns whose values are objects, so that a NULL is of all parts.
    """

    managed: tuple[Column, ...]
    by_name: Mapping[str, Column]
    timezone: str = "UTC"
    on_null: Mapping[str, OnNull] = field(default_factory=dict)
    only_if_blank: frozenset[str] = frozenset()
    on_conflict: Mapping[str, OnConflict] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    clashes: Mapping[str, str] = field(default_factory=dict)
    objects: frozenset[str] = frozenset()

    def looks_at(self, managed: Field) -> bool:
        """Tells whether a field is among those that this run looks at."""
        return not self.only or managed.key in self.only

    def null_rule(self, managed: Field) -> OnNull:
        """Returns what NULL does to a field; what cannot be cleared is kept."""
        rule = self.given_null_rule(managed)
        return "keep" if rule == "clear" and not managed.clearable else rule

    def given_null_rule(self, managed: Field) -> OnNull:
        """Returns what config says of NULL in a field."""
        return self.on_null.get(managed.key, self.on_null.get("", "clear"))

    def conflict_rule(self, managed: Field) -> OnConflict:
        """Returns who wins where a field was edited in the CRM."""
        return self.on_conflict.get(managed.key, self.on_conflict.get("", "warehouse"))


def target_of(name: str, renamed: Mapping[str, str]) -> tuple[str, bool]:
    """Returns what config has a name stand for, and whether it maps it; else the name itself.

    Args:
        name: What a column or a key of `changes` is called; as config spells it, or alike.
        renamed: The mapping from column to field that config gives.
    """
    folded = fold(name)
    alike = (one for one in renamed if fold(one) == folded)
    spelled = name if name in renamed else next(alike, None)
    return (name, False) if spelled is None else (renamed[spelled], True)


def is_settled(target: str, *, mapped: bool) -> bool:
    """Tells whether config itself has said that a lead's own field is meant.

    Args:
        target: What a name stands for.
        mapped: Whether config maps that name: there the lead's own field goes by its name as
            README.md spells it, and a custom one by its key.
    """
    return mapped and target == OWN_NAMES.get(fold(target))


def likeness(one: str, other: str) -> float:
    """Returns how alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(None, fold(other), fold(one)).ratio()


def map_columns(
    names: Iterable[str],
    fields: Iterable[Field],
    renamed: Mapping[str, str] | None = None,
    timezone: str = "UTC",
    *,
    on_null: Any = "clear",
    only_if_blank: Sequence[str] = (),
    on_conflict: Any = "warehouse",
    only: Sequence[str] = (),
) -> Columns:
    """Maps the columns of the desired table to fields.

    Args:
        names: The table's column names, in lower case.
        fields: Every field that a lead of this account has.
        renamed: The mapping from column to field that config gives.
        timezone: Where timestamps with a zone become dates.
        on_null: What NULL does: one rule for all, or a rule for each field that is named.
        only_if_blank: Names of fields that are filled and never overwritten.
        on_conflict: Who wins over an edit in the CRM: one rule for all, or a rule for each
            field that is named.
        only: Names of the only fields to look at; none for all.

    Raises:
        DesiredTableError: No `lead_id`, or columns that map to no field or to several.
        ConfigError: A rule names no field, or is none.
    """
    columns, problems = examine_columns(
        names,
        fields,
        renamed,
        timezone,
        on_null=on_null,
        only_if_blank=only_if_blank,
        on_conflict=on_conflict,
        only=only,
    )
    if found := [str(one) for one in problems if not one.is_of_config]:
        more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        hint = f"{more}; `lead-sync columns` shows them all" if more else ""
        raise DesiredTableError("; ".join(found[:MOST_TOLD]) + hint)
    if problems:
        raise ConfigError("; ".join(one.wrong for one in problems))
    return columns


def examine_columns(
    names: Iterable[str],
    fields: Iterable[Field],
    renamed: Mapping[str, str] | None = None,
    timezone: str = "UTC",
    *,
    on_null: Any = "clear",
    only_if_blank: Sequence[str] = (),
    on_conflict: Any = "warehouse",
    only: Sequence[str] = (),
) -> tuple[Columns, list[Problem]]:
    """Maps what can be mapped, and returns all that is wrong; takes what `map_columns` takes."""
    fields, names = list(fields), list(names)
    words = Words.of(fields, renamed or {})
    found = [_column(name, fields, words) for name in managed_names(names)]
    managed = tuple(one for one in found if isinstance(one, Column))
    problems = [one for one in found if isinstance(one, Problem)] + list(_parts_twice(managed))
    if LEAD_ID not in names:
        lacks = Problem("", "the desired table has no column lead_id", "add the leads' ids")
        problems.insert(0, lacks)
    problems += _taken(words.given)

    def told(read: Callable[[], Read], otherwise: Read) -> Read:
        try:
            return read()
        except ConfigError as error:
            problems.append(Problem("", str(error), "mend that setting", is_of_config=True))
            return otherwise

    def keys(setting: str, given: Sequence[str]) -> frozenset[str]:
        return frozenset(words.key_of(name, setting) for name in given)

    names_in_changes, clashes = words.in_changes()
    nulls = partial(_rules, "on_null", on_null, get_args(OnNull), words)
    conflicts = partial(_rules, "on_conflict", on_conflict, get_args(OnConflict), words)
    columns = Columns(
        managed,
        names_in_changes,
        timezone,
        told(nulls, {}),
        told(partial(keys, "only_if_blank", only_if_blank), frozenset()),
        told(conflicts, {}),
        told(partial(keys, "fields", only), frozenset()),
        clashes,
    )
    if "newest" in columns.on_conflict.values() and UPDATED_AT not in names:
        wrong = "on_conflict newest needs a column updated_at in the desired table"
        problems.append(Problem("", wrong, "add it", is_of_config=True))
    return columns, problems


def managed_names(names: Iterable[str]) -> Iterator[str]:
    """Leaves out the key, the row's own time, `changes` and dlt's columns."""
    return (name for name in names if not name.startswith("_dlt") and name not in PASSED_OVER)


@dataclass(frozen=True)
class Words:
    """What names stand for in one account and one configuration.

    Attributes:
        by_name: Folded name → what it stands for by itself; a lead's own fields come first.
        clashes: Folded names of a lead's own fields that custom fields have as well, each with
            what it could be and the way out.
        given: The names that config maps, as it spells them, and to what.
    """

    by_name: Mapping[str, Column]
    clashes: Mapping[str, str]
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Sequence[Field], renamed: Mapping[str, str]) -> Words:
        """Reads the names of an account's fields, and those that config maps."""
        by_name = names_of(fields)
        clashes = {
            name: _doubt(OWN_NAMES[name], custom)
            for name, custom in _named_alike(fields).items()
            if name in OWN_NAMES
        }
        return cls(by_name, clashes, renamed)

    def doubt(self, name: str) -> str:
        """Returns what a column of that name could be, where that is not clear."""
        target, mapped = target_of(name, self.given)
        return "" if is_settled(target, mapped=mapped) else self.clashes.get(fold(target), "")

    def find(self, name: str) -> Column | None:
        """Returns what a column of that name would manage; None where it would be no column."""
        if name in PASSED_OVER or name.startswith("_dlt"):
            return None
        target, _ = target_of(name, self.given)
        return None if self.doubt(name) else self.by_name.get(fold(target))

    def in_changes(self) -> tuple[dict[str, Column], dict[str, str]]:
        """Returns what folded names stand for in `changes`, and why others stand for nothing."""
        names, clashes = dict(self.by_name), dict(self.clashes)
        for name, target in self.given.items():
            folded, found = fold(name), self.find(name)
            names.pop(folded, None)
            clashes.pop(folded, None)
            if found is None:
                lost = "is no field; mend that setting"
                clashes[folded] = f"`columns` maps to {target!r}, which {self.doubt(name) or lost}"
            else:
                names[folded] = found
        return names, clashes

    def spell(self, of: Column) -> str:
        """Returns the column name to use for a field or a part of it.

        It is the name that config gives it, else what people call it, written like
        `lead_score`, else its key: where nothing else would be taken for it, or it alone.
        """
        key = next((part.key for part in of.field.parts if part.name == of.place), of.field.key)
        if is_custom_key(of.field.key):
            called = [re.sub(r"[\W_]+", "_", of.field.name_of(key).lower()).strip("_"), key]
        else:
            whole = f"{of.field.key}_{of.part}" if of.part and of.field.parts else of.field.key
            own = [f"{of.part}_labels"] if of.part and not of.field.parts else []
            called = [*own, PREFERRED.get(whole, whole), whole]
        for name in (*self.given, *called):
            found = self.find(name)
            if found is not None and (found.field, found.place) == (of.field, of.place):
                return name
        return called[-1]

    def key_of(self, name: str, setting: str) -> str:
        """Returns the key of the field that a setting names.

        Raises:
            ConfigError: There is none, or the name could be of two fields.
        """
        folded = fold(name)
        if folded in self.clashes:
            if target_of(name, self.given)[1] and (mapped := self.find(name)):
                return mapped.field.key
            raise ConfigError(f"{setting} names {name!r}, which {self.clashes[folded]}")
        found = self.by_name.get(folded)
        if found is None:
            way_out = self.hint(name) or "`lead-sync fields` shows the fields"
            raise ConfigError(f"{setting} names {name!r}, which is no field; {way_out}")
        return found.field.key

    def near(self, name: str) -> list[str]:
        """Returns the column names that are most like another, as one would write them."""
        matches = difflib.get_close_matches(fold(name), self.by_name)
        alike = {match: likeness(name, match) for match in matches}
        nearest = [match for match in matches if alike[match] > alike[matches[0]] - AS_NEAR]
        found = (OWN_NAMES.get(match) or self.spell(self.by_name[match]) for match in nearest)
        return list(dict.fromkeys(found))

    def hint(self, name: str) -> str:
        """Asks whether one of those was meant; empty where none is near."""
        near = list(map(self.tell, self.near(name)))
        return f"did you mean {' or '.join(near)}?" if near else ""

    def tell(self, name: str) -> str:
        """Tells a column name with what people call the field."""
        of = self.find(name)
        return f"{name} ({of.field.name})" if of else name


def _doubt(own: str, custom: Sequence[Column]) -> str:
    keys = " or ".join(f"{one.field.key} ({one.field.name})" for one in custom)
    return f"could be the lead's own {own} or {keys}; map it under `columns` to {own} or to a key"


def names_of(fields: Iterable[Field]) -> dict[str, Column]:
    """Returns what each folded name and key stands for; names of two fields are left out."""
    fields = list(dict.fromkeys(fields))
    by_name = {fold(key): Column("", one, part) for one in fields for key, part in _keys(one)}
    for name, candidates in _named_alike(fields).items():
        if len(candidates) == 1 and name:
            by_name.setdefault(name, candidates[0])
    keys = {one.key: one for one in fields}
    aliases = {
        fold(alias): Column("", keys[key], part)
        for alias, (key, part) in LEADS.aliases.items()
        if key in keys
    }
    return by_name | aliases


def _keys(field: Field) -> Iterator[tuple[str, str]]:
    """Yields what columns may call a field by its keys, each with the part that it is."""
    yield field.key, ""
    for part in field.parts:
        if part.key != field.key:
            yield part.key, part.name
        elif not is_custom_key(field.key):
            yield f"{field.key}_{part.name}", part.name


OWN_NAMES: Mapping[str, str] = {
    fold(name): name
    for name in (*(key for one in STANDARD_FIELDS for key, _ in _keys(one)), *LEADS.aliases)
}
"""Folded name → the name as it is spelled, of each of a lead's own fields and their parts."""


def _named_alike(fields: Iterable[Field]) -> dict[str, list[Column]]:
    """Custom fields by folded name; standard ones go by their keys alone."""
    alike: dict[str, list[Column]] = {}
    for one in fields:
        if is_custom_key(one.key):
            alike.setdefault(fold(one.name), []).append(Column("", one))
            for part in one.parts[1:]:
                second = Column("", one, part.name)
                alike.setdefault(fold(one.name_of(part.key)), []).append(second)
    return alike


def _column(name: str, fields: Sequence[Field], words: Words) -> Column | Problem:
    target, _ = target_of(name, words.given)
    found = words.by_name.get(fold(target))
    shown = f"column {name!r}" if name == target else f"column {name!r} (mapped to {target!r})"
    if doubt := words.doubt(name):
        wrong, _, way_out = doubt.rpartition("; ")
        return Problem(name, f"{shown} {wrong}", way_out)
    if found is not None:
        return Column(name, found.field, found.part)
    if target in LEADS.read_only:
        return Problem(name, f"{shown} is read-only in Pipedrive", "leave it out of the table")
    alike = _named_alike(fields).get(fold(target), [])
    if alike:
        keys = ", ".join(f"{one.field.key} ({one.field.name})" for one in alike)
        wrong = f"{shown} could be any of {keys}"
        return Problem(name, wrong, "map it to a key under `columns`")
    way_out = words.hint(target) or NO_HINT
    nearest = next(iter(words.near(target)), "")
    wrong = f"{shown} maps to no field that can be written"
    return Problem(name, wrong, way_out, is_unknown=True, nearest=nearest)


def _taken(given: Iterable[str]) -> Iterator[Problem]:
    """Yields a problem for each name that config maps and that is of no field."""
    for name in given:
        if not list(managed_names([name.lower()])):
            wrong = f"columns maps {name!r}, a name that is taken and cannot be mapped"
            hint = "give that column another name in the table"
            yield Problem("", f"{wrong}; {hint}", "mend that setting", is_of_config=True)


def _parts_twice(columns: Iterable[Column]) -> Iterator[Problem]:
    taken: dict[Field, dict[str, str]] = {}
    for column in columns:
        places = taken.setdefault(column.field, {})
        clash = places.get(column.place) or (
            places.get("") if column.place else next(iter(places.values()), None)
        )
        if clash:
            key = column.field.key
            shown = column.field.name if is_custom_key(key) else key
            wrong = f"columns {clash!r} and {column.name!r} both manage {shown}"
            yield Problem(column.name, wrong, "keep one of them")
        places[column.place] = column.name


def _rules(setting: str, given: Any, allowed: Sequence[str], words: Words) -> dict[str, Any]:
    """Reads a setting that is one rule for all fields, or a rule for each by name."""
    given = from_json(given) if isinstance(given, str) and "{" in given else given
    rules = given if isinstance(given, Mapping) else {"": given}
    for name, rule in rules.items():
        if rule not in allowed:
            of = f" of {name}" if name else ""
            known = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
            raise ConfigError(f"{setting}{of} {rule!r} is no rule; give {known}")
    return {name and words.key_of(name, setting): rule for name, rule in rules.items()}
