"""How the desired table's columns map to a lead's fields. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from connector.errors import ConfigError, DesiredTableError
from connector.records.cells import from_json
from connector.records.fields import Field, is_custom_key
from connector.records.leads import LEADS, STANDARD_FIELDS

LEAD_ID, CHANGES, UPDATED_AT = "lead_id", "changes", "updated_at"
OnNull = Literal["clear", "keep", "reject"]
OnConflict = Literal["warehouse", "crm", "newest", "fail"]


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
class Columns:
    """What the columns manage, and by which rules.

    Attributes:
        managed: The table's own columns.
        by_name: Every folded name, for the keys of `changes`.
        clashes: Folded names that could be a lead's own field or a custom one, and the way out.
        timezone: Where timestamps with a zone become dates.
        on_null: Field key → what NULL does; the empty key is for all others.
        only_if_blank: Keys of fields that are filled and never overwritten.
        on_conflict: Field key → who wins over an edit in the CRM; the empty key is for all others.
        only: Keys of the only fields to look at; empty for all.
    """

    managed: tuple[Column, ...]
    by_name: Mapping[str, Column]
    timezone: str = "UTC"
    on_null: Mapping[str, OnNull] = field(default_factory=dict)
    only_if_blank: frozenset[str] = frozenset()
    on_conflict: Mapping[str, OnConflict] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    clashes: Mapping[str, str] = field(default_factory=dict)

    def looks_at(self, managed: Field) -> bool:
        """Tells whether a field is among those that this run looks at."""
        return not self.only or managed.key in self.only

    def null_rule(self, managed: Field) -> OnNull:
        """Returns what NULL does to a field; what cannot be cleared is kept."""
        rule = self.on_null.get(managed.key, self.on_null.get("", "clear"))
        return "keep" if rule == "clear" and not managed.clearable else rule

    def conflict_rule(self, managed: Field) -> OnConflict:
        """Returns who wins where a field was edited in the CRM."""
        return self.on_conflict.get(managed.key, self.on_conflict.get("", "warehouse"))


def fold(name: str) -> str:
    """Folds case, spaces and punctuation: `Lead score` and `lead_score` are one name."""
    return re.sub(r"[\W_]+", "", name).casefold()


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
        DesiredTableError: No `lead_id`, or a column that maps to no field or to several.
        ConfigError: A rule names no field, or is none.
    """
    fields = list(fields)
    if LEAD_ID not in (names := list(names)):
        raise DesiredTableError("the desired table has no column lead_id; add the leads' ids")
    renamed = renamed or {}
    words = Words.of(fields, renamed)
    targets = {name: renamed.get(name, name) for name in managed_names(names)}
    managed = tuple(_column(name, target, fields, words) for name, target in targets.items())
    _refuse_parts_twice(managed)
    blank = frozenset(words.key_of(name, "only_if_blank") for name in only_if_blank)
    columns = Columns(
        managed,
        {**words.by_name, **words.renamed},
        timezone,
        _rules("on_null", on_null, get_args(OnNull), words),
        blank,
        _rules("on_conflict", on_conflict, get_args(OnConflict), words),
        frozenset(words.key_of(name, "fields") for name in only),
        {name: doubt for name, doubt in words.clashes.items() if name not in words.renamed},
    )
    if "newest" in columns.on_conflict.values() and UPDATED_AT not in names:
        raise ConfigError("on_conflict newest needs a column updated_at in the desired table")
    return columns


def managed_names(names: Iterable[str]) -> Iterator[str]:
    """Leaves out the key, the row's own time, `changes` and dlt's columns."""
    passed_over = (LEAD_ID, UPDATED_AT, CHANGES)
    return (name for name in names if not name.startswith("_dlt") and name not in passed_over)


@dataclass(frozen=True)
class Words:
    """What names stand for in one account and one configuration.

    Attributes:
        by_name: Folded name → what it stands for by itself; a lead's own fields come first.
        renamed: The folded names that config maps, and to what.
        clashes: Folded names of a lead's own fields that custom fields have as well, each with
            what it could be and the way out.
    """

    by_name: Mapping[str, Column]
    renamed: Mapping[str, Column]
    clashes: Mapping[str, str]

    @classmethod
    def of(cls, fields: Sequence[Field], renamed: Mapping[str, str]) -> Words:
        """Reads the names of an account's fields, and those that config maps."""
        by_name = names_of(fields)
        mapped = {fold(name): by_name.get(fold(target)) for name, target in renamed.items()}
        clashes = {
            name: _doubt(OWN_NAMES[name], custom)
            for name, custom in _named_alike(fields).items()
            if name in OWN_NAMES
        }
        return cls(by_name, {name: one for name, one in mapped.items() if one}, clashes)

    def doubt(self, name: str, *, mapped: bool) -> str:
        """Returns what a name could be, where that is not clear.

        Args:
            name: A column's name, or what config maps one to.
            mapped: Whether config has said it: there the lead's own field goes by its name as
                README.md spells it, and a custom one by its key.
        """
        folded = fold(name)
        is_own = mapped and name == OWN_NAMES.get(folded)
        return "" if is_own else self.clashes.get(folded, "")

    def key_of(self, name: str, setting: str) -> str:
        """Returns the key of the field that a setting names.

        Raises:
            ConfigError: There is none, or the name could be of two fields.
        """
        folded = fold(name)
        if folded in self.clashes:
            if folded in self.renamed:
                return self.renamed[folded].field.key
            raise ConfigError(f"{setting} names {name!r}, which {self.clashes[folded]}")
        return field_key(name, setting, self.by_name)


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


def _column(name: str, target: str, fields: Sequence[Field], words: Words) -> Column:
    by_name, mapped = words.by_name, fold(name) in words.renamed
    found = by_name.get(fold(target))
    shown = f"column {name!r}" if name == target else f"column {name!r} (mapped to {target!r})"
    if doubt := words.doubt(target, mapped=mapped):
        raise DesiredTableError(f"{shown} {doubt}")
    if found is not None:
        return Column(name, found.field, found.part)
    if target in LEADS.read_only:
        raise DesiredTableError(f"{shown} is read-only in Pipedrive; leave it out of the table")
    alike = _named_alike(fields).get(fold(target), [])
    if alike:
        keys = ", ".join(f"{one.field.key} ({one.field.name})" for one in alike)
        raise DesiredTableError(f"{shown} could be any of {keys}; map it to a key under `columns`")
    way_out = _near(target, by_name) or "rename it, or map it under `columns` in config"
    raise DesiredTableError(f"{shown} maps to no field that can be written; {way_out}")


def _near(target: str, by_name: Mapping[str, Column]) -> str:
    near = [by_name[match].field for match in difflib.get_close_matches(fold(target), by_name)]
    hint = ", ".join(dict.fromkeys(f"{one.key} ({one.name})" for one in near))
    return f"did you mean {hint}?" if hint else ""


def _refuse_parts_twice(columns: Iterable[Column]) -> None:
    taken: dict[Field, dict[str, str]] = {}
    for column in columns:
        places = taken.setdefault(column.field, {})
        clash = places.get(column.place) or (
            places.get("") if column.place else next(iter(places.values()), None)
        )
        if clash:
            raise DesiredTableError(
                f"columns {clash!r} and {column.name!r} both manage {column.field.key}; "
                "keep one of them"
            )
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


def field_key(name: str, setting: str, by_name: Mapping[str, Column]) -> str:
    """Returns the key of a field that a setting names.

    Raises:
        ConfigError: There is none; the message has the nearest names.
    """
    found = by_name.get(fold(name))
    if found is None:
        way_out = _near(name, by_name) or "`lead-sync columns` shows the fields"
        raise ConfigError(f"{setting} names {name!r}, which is no field; {way_out}")
    return found.field.key
