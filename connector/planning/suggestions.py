"""Which column was probably meant, by its name, its type and a sample of its values. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from connector.planning.columns import (
    LEAD_ID,
    NO_HINT,
    OWN_NAMES,
    PREFERRED,
    Column,
    Columns,
    Problem,
    Words,
    likeness,
    target_of,
)
from connector.planning.desired import RowRejected, desired_of, lead_id_of, shown
from connector.planning.model import Row
from connector.records.fields import is_custom_key
from connector.records.kinds import ID, parse_list, parse_uuid
from connector.records.leads import STANDARD_FIELDS
from connector.records.options import NO_OPTIONS, Options, fold_name

A_LEAD = "00000000-0000-4000-8000-000000000000"
ALIKE = 0.66
"""How alike the names are of a column and of one that it may stand for, from 0 to 1."""
SAME_WORDS = 0.8
"""The same where the words of one name are among those of the other, as `owner` and `owner_id`."""
BY_VALUES = 0.5
"""The same, whatever the names, where all values are names that a field knows."""
FITS = 0.15
MISFITS = -1.2
"""What it adds that the values fit a field, or do not, the more the less alike the names are."""
NO_TEXT = -0.1
"""What it adds where a column of text has no values yet, and the field holds ids alone."""
AS_LIKELY = 0.05
SAMPLES: Mapping[str, Any] = {
    "BOOL": True,
    "INT": 1,
    "DECIMAL": Decimal("1.5"),
    "DOUBLE": 1.5,
    "FLOAT": 1.5,
    "TIMESTAMP": date(2026, 12, 31),
    "DATE": date(2026, 12, 31),
}
"""A value of each type of which a column may be, by what the type's name holds."""


@dataclass(frozen=True)
class Candidate:
    """A column that may have been meant.

    Attributes:
        name: Its name, as one would write it.
        of: What it manages.
    """

    name: str
    of: Column

    def fits(self, values: Sequence[Any]) -> bool:
        """Tells whether it could hold most of the values."""
        return sum(map(self._takes, values)) * 2 >= len(values)

    def knows(self, values: Sequence[Any]) -> bool:
        """Tells whether the values are nothing but names of its options, or of its users."""
        options: Options = getattr(self.of.field.kind, "options", NO_OPTIONS)
        names = {fold_name(one) for one in (*options.names.values(), *options.people.values())}
        items = [item for value in values for item in _items(value)]
        known = all(isinstance(item, str) and fold_name(item) in names for item in items)
        return bool(items) and known

    def _takes(self, value: Any) -> bool:
        columns = Columns((replace(self.of, name=self.name),), {})
        try:
            desired_of({LEAD_ID: A_LEAD, self.name: value}, columns)
        except RowRejected:
            return False
        return True


def candidates(words: Words) -> list[Candidate]:
    """Returns every column that there may be.

    Args:
        words: What names stand for, of fields with all of their options.
    """
    by_id = {one.key: one for one in STANDARD_FIELDS if one.key in PREFERRED}
    found = {}
    for name in sorted(OWN_NAMES.values(), key=lambda name: name not in PREFERRED.values()):
        if of := words.find(name):
            found[name] = replace(of, field=by_id.get(name, of.field))
    for of in words.by_name.values():
        if is_custom_key(of.field.key):
            found.setdefault(words.spell(of), of)
    return [Candidate(name, of) for name, of in found.items()]


def advise(
    problems: Sequence[Problem],
    types: Mapping[str, str],
    sample: Sequence[Row],
    words: Words,
    managed: Collection[Column],
) -> list[Problem]:
    """Returns the problems, those of unknown columns with the column that was probably meant.

    Args:
        problems: What is wrong with a table.
        types: Its columns, with their types.
        sample: Some of its rows.
        words: What names stand for, of fields with all of their options.
        managed: Its columns that are of a field.
    """
    unmapped = [one.column for one in problems if one.column]
    key = None if LEAD_ID in types else _key_of(unmapped, sample)
    taken = {(one.field.key, one.place) for one in managed}
    free = [one for one in candidates(words) if (one.of.field.key, one.of.place) not in taken]
    advised = []
    for one in problems:
        if key and LEAD_ID in one.wrong and not one.column:
            advised.append(replace(one, way_out=f"rename {key} to {LEAD_ID}", nearest=key))
        elif key and one.column == key:
            wrong = f"column {key!r} seems to hold the leads' ids"
            advised.append(replace(one, wrong=wrong, way_out=f"rename it to {LEAD_ID}"))
        elif one.is_unknown and not target_of(one.column, words.given)[1]:
            values = _values(one.column, types[one.column], sample)
            is_text = not values and "CHAR" in types[one.column]
            advised.append(_advise(one, free, values, words, is_text=is_text))
        else:
            advised.append(one)
    return advised


def doubts(columns: Columns, sample: Sequence[Row], words: Words | None = None) -> dict[str, str]:
    """Returns for each column why some of its values cannot be sent; those are row's troubles.

    Args:
        columns: What the columns manage.
        sample: Some rows.
        words: What names stand for, of fields with all of their options, to name the column that
            was probably meant where no value of one can be sent.
    """
    found: dict[str, list[str]] = {}
    for row in (row for row in sample if LEAD_ID in row):
        try:
            lead_id_of(row)
        except RowRejected as error:
            found.setdefault(LEAD_ID, []).append(str(error))
    for column in columns.managed:
        alone = replace(columns, managed=(column,))
        for row in sample:
            try:
                desired_of({LEAD_ID: A_LEAD, column.name: row[column.name]}, alone)
            except RowRejected as error:
                found.setdefault(column.name, []).append(str(error))
    told = {}
    for name, errors in found.items():
        told[name] = f"{len(errors)} of {len(sample)} rows looked at cannot be sent: {errors[0]}"
        values = [row[name] for row in sample if row[name] is not None]
        if words and values and len(errors) >= len(values):
            knowing = [one.name for one in candidates(words) if one.knows(values)]
            if knowing and name not in knowing:
                told[name] += f"; by its values it is {knowing[0]}"
    return told


def _advise(
    problem: Problem,
    free: Sequence[Candidate],
    values: Sequence[Any],
    words: Words,
    *,
    is_text: bool,
) -> Problem:
    scores = {
        one: score
        for one in free
        if (score := _score(problem.column, one, values, is_text=is_text)) is not None
    }
    if not scores:
        return replace(problem, way_out=NO_HINT, nearest="")
    ranked = sorted(scores, key=lambda one: -scores[one])
    best = ranked[0]
    likely = [one for one in ranked[:3] if scores[one] > scores[best] - AS_LIKELY]
    way_out = f"did you mean {' or '.join(words.tell(one.name) for one in likely)}?"
    if values and not best.fits(values):
        what = "are names of people" if best.knows(values) else "do not fit"
        way_out += f" Its values, such as {shown(values[0])}, {what}"
    return replace(problem, way_out=way_out, nearest=best.name)


def _score(
    name: str, candidate: Candidate, values: Sequence[Any], *, is_text: bool
) -> float | None:
    """Returns how probably a column stands for a candidate; None where nothing speaks for it."""
    alike = max(likeness(name, candidate.name), SAME_WORDS * _share_words(name, candidate.name))
    knows = candidate.knows(values)
    if alike < ALIKE and not knows:
        return None
    if knows:
        return max(alike, BY_VALUES) + FITS + FITS * candidate.fits(values)
    if values:
        return alike + (FITS if candidate.fits(values) else MISFITS * (1 - alike))
    return alike + (NO_TEXT if is_text and candidate.of.field.kind == ID else 0)


def _share_words(one: str, other: str) -> bool:
    """Tells whether the words of one name are among those of the other, perhaps shortened."""
    few, many = sorted((_words(one), _words(other)), key=len)
    return bool(few) and all(
        any(_is_short_for(word, long) or _is_short_for(long, word) for long in many) for word in few
    )


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]


def _is_short_for(word: str, long: str) -> bool:
    return word == long or (len(word) > 2 and long.startswith(word))


def _values(name: str, type_: str, sample: Sequence[Row]) -> list[Any]:
    """Returns the values of a column; one that its type allows where it has none."""
    values = [row[name] for row in sample if row.get(name) is not None]
    like_type = (value for part, value in SAMPLES.items() if part in type_.upper())
    return values or list(like_type)[:1]


def _items(value: Any) -> Iterator[Any]:
    try:
        yield from parse_list(value)
    except ValueError:
        yield value


def _key_of(names: Sequence[str], sample: Sequence[Row]) -> str | None:
    """Returns the one of some columns that holds the leads' ids under another name."""
    for name in sorted(names, key=lambda name: -likeness(name, LEAD_ID)):
        values = [row[name] for row in sample if row[name] is not None]
        if values and all(map(_is_uuid, values)) and len(set(map(str, values))) == len(values):
            return name
    return None


def _is_uuid(value: Any) -> bool:
    try:
        parse_uuid(value)
    except ValueError:
        return False
    return True
