"""Guards: limits on a whole plan, judged before anything is sent. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

from connector.planning.model import Patch
from connector.records.fields import Field, base_key, field_of
from connector.records.leads import LEADS

OFF = "off"
GUARDS = (
    "max_patches",
    "max_changed_percent",
    "max_clears",
    "max_clears_percent",
    "max_overwrites",
    "max_overwrites_percent",
    "max_archived",
    "empty_desired",
    "min_desired_percent_of_last",
    "max_not_found_percent",
)
EmptyDesired = Literal["stop", "allow"]
PAIRED = ("max_clears", "max_overwrites")
"""Guards with a count and, under this name and `_percent`, a share; they are one guard."""
MOST_CLEARS, MOST_CLEARS_PERCENT, MOST_ARCHIVED = 20, 10.0, 20
MOST_OVERWRITES, MOST_OVERWRITES_PERCENT = 200, 50.0
LEAST_OF_LAST, WORTH_COMPARING = 50.0, 100
"""Unless told otherwise, a table is held against the last one from so many rows on."""
MOST_NOT_FOUND_PERCENT, WORTH_LOOKING_FOR = 50.0, 20
"""The share of leads that the account does not have is judged from so many leads on."""
SAMPLES = 3


@dataclass(frozen=True)
class Limits:
    """What a plan may come to; None is no limit.

    Attributes:
        max_clears: Leads that lose a value; with `max_clears_percent` set as well, both must
            be passed to stop a run.
        max_clears_percent: The same, of the leads compared.
        max_overwrites: Leads on which a value that was set is replaced by another; it goes
            with `max_overwrites_percent` as the two on clears do.
        max_overwrites_percent: The same, of the leads compared.
        min_desired_percent_of_last: Least rows of the desired table, of those of the last run.
        worth_comparing: Rows of the last run from which on that is judged.
        max_not_found_percent: Leads that the account does not have, of those of the table.
    """

    max_patches: int | None = None
    max_changed_percent: float | None = None
    max_clears: int | None = MOST_CLEARS
    max_clears_percent: float | None = MOST_CLEARS_PERCENT
    max_overwrites: int | None = MOST_OVERWRITES
    max_overwrites_percent: float | None = MOST_OVERWRITES_PERCENT
    max_archived: int | None = MOST_ARCHIVED
    empty_desired: EmptyDesired = "stop"
    min_desired_percent_of_last: float | None = LEAST_OF_LAST
    worth_comparing: int = WORTH_COMPARING
    max_not_found_percent: float | None = MOST_NOT_FOUND_PERCENT


@dataclass
class PlanSize:
    """What a plan comes to.

    Attributes:
        desired_rows: Rows of the desired table; None where the plan is not all that it wants.
        last_desired_rows: What it had in the last whole run; None when there was none.
        compared: Leads that were held against what is wanted of them.
        changed: Leads that would be changed.
        cleared: Leads that would lose a value.
        archived: Leads that would be archived.
        clears: Field key → leads on which it would be cleared.
        samples: The first patches that clear something.
        overwritten: Leads on which a value would be replaced by another.
        overwrites: Field key → leads on which its value would be replaced.
        replacing: The first patches that replace something.
        desired_leads: Leads of the table, each counted once.
        not_found: Those of them that the account does not have, whatever becomes of their rows.
    """

    desired_rows: int | None = None
    last_desired_rows: int | None = None
    compared: int = 0
    changed: int = 0
    cleared: int = 0
    archived: int = 0
    clears: Counter[str] = field(default_factory=Counter)
    samples: list[Patch] = field(default_factory=list)
    overwritten: int = 0
    overwrites: Counter[str] = field(default_factory=Counter)
    replacing: list[Patch] = field(default_factory=list)
    desired_leads: int = 0
    not_found: int = 0

    def add(self, patches: Sequence[Patch], fields: Mapping[str, Field]) -> None:
        """Counts the patches of one lead, whose fields are given by key."""
        body = {key: value for patch in patches for key, value in patch.body.items()}
        cleared = cleared_keys(body)
        self.changed += 1
        self.archived += body.get("is_archived") is True
        self.cleared += bool(cleared)
        self.clears.update(cleared)
        if cleared and len(self.samples) < SAMPLES:
            self.samples.append(next(one for one in patches if cleared_keys(one.body)))
        replaced = [key for one in patches for key in replaced_keys(one, fields)]
        self.overwritten += bool(replaced)
        self.overwrites.update(dict.fromkeys(replaced, 1))
        if replaced and len(self.replacing) < SAMPLES:
            self.replacing.append(next(one for one in patches if replaced_keys(one, fields)))


@dataclass(frozen=True)
class Trip:
    """A guard that a plan does not pass.

    Attributes:
        guard: Its name, as in config.
        found: What the plan comes to.
        limit: What it may come to.
        text: Both in words.
        accept: The flag that accepts it.
    """

    guard: str
    found: float
    limit: float
    text: str
    accept: str

    @property
    def pair(self) -> str:
        """The guard with its share: either of the two may tell for both."""
        name = self.guard.removesuffix("_percent")
        return name if name in PAIRED else self.guard


def cleared_keys(body: Mapping[str, Any]) -> list[str]:
    """Returns the first keys of the fields that a body clears, or a part of them."""
    cleared = (base_key(key) for key, value in body.items() if value is None or value == [])
    return list(dict.fromkeys(cleared))


def replaced_keys(patch: Patch, fields: Mapping[str, Field]) -> list[str]:
    """Returns the first keys of the fields of which a patch replaces a value by another.

    That a lead is archived is a matter of `max_archived` alone.
    """
    replaced = (base_key(key) for key in patch.body if _replaces(patch, key, field_of(key, fields)))
    return list(dict.fromkeys(replaced))


def _replaces(patch: Patch, key: str, of: Field) -> bool:
    had, wanted = of.read_key(key, patch.before), of.read_key(key, patch.body)
    archives = key == LEADS.archive_key and wanted is True
    return had is not None and wanted is not None and had != wanted and not archives


def measure(
    leads: Iterable[Sequence[Patch]], size: PlanSize, fields: Mapping[str, Field]
) -> PlanSize:
    """Counts the patches of every lead of a plan.

    Args:
        leads: The patches, lead by lead.
        size: What was counted so far; it is counted up.
        fields: The leads' fields by key.
    """
    for patches in leads:
        size.add(patches, fields)
    return size


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Reads the guards' settings; None is one that is not set.

    Raises:
        ValueError: One that cannot be, or that could never trip, and what is allowed.
    """
    clears, clears_percent = _pair_limits(given, "max_clears", MOST_CLEARS, MOST_CLEARS_PERCENT)
    overwrites, overwrites_percent = _pair_limits(
        given, "max_overwrites", MOST_OVERWRITES, MOST_OVERWRITES_PERCENT
    )
    least = given["min_desired_percent_of_last"]
    return Limits(
        max_patches=_count("max_patches", given["max_patches"]),
        max_changed_percent=_most("max_changed_percent", given["max_changed_percent"]),
        max_clears=clears,
        max_clears_percent=clears_percent,
        max_overwrites=overwrites,
        max_overwrites_percent=overwrites_percent,
        max_archived=_count("max_archived", given["max_archived"], MOST_ARCHIVED),
        empty_desired=_choice(given["empty_desired"]),
        min_desired_percent_of_last=_least("min_desired_percent_of_last", least, LEAST_OF_LAST),
        worth_comparing=WORTH_COMPARING if least is None else 1,
        max_not_found_percent=_most(
            "max_not_found_percent", given["max_not_found_percent"], MOST_NOT_FOUND_PERCENT
        ),
    )


def tripped(size: PlanSize, limits: Limits) -> list[Trip]:
    """Returns the guards that a plan does not pass."""
    clears = (limits.max_clears, limits.max_clears_percent)
    overwrites = (limits.max_overwrites, limits.max_overwrites_percent)
    return [
        *_table_trips(size, limits),
        *_patch_trips(size, limits),
        *_pair_trips("max_clears", size.cleared, size.compared, clears),
        *_pair_trips("max_overwrites", size.overwritten, size.compared, overwrites),
    ]


def _table_trips(size: PlanSize, limits: Limits) -> Iterator[Trip]:
    rows, last = size.desired_rows, size.last_desired_rows or 0
    if rows == 0 and limits.empty_desired == "stop":
        text = "the desired table is empty"
        yield Trip("empty_desired", 0, 1, text, "--empty-desired allow")
    least = limits.min_desired_percent_of_last
    if rows and least and last >= limits.worth_comparing and rows * 100 < _hundredths(least, last):
        percent = 100 * rows / last
        text = f"the desired table has {rows} rows, {percent:.3g} % of the {last} of the last run"
        accepted = math.floor(percent) or OFF
        flag = f"--min-desired-percent-of-last {accepted}"
        yield Trip("min_desired_percent_of_last", percent, least, text, flag)
    most, missing, leads = limits.max_not_found_percent, size.not_found, size.desired_leads
    if most is not None and leads >= WORTH_LOOKING_FOR and _over(missing, most, leads):
        percent = 100 * missing / leads
        text = f"the account does not have {missing} of {leads} desired leads, more than {most:g} %"
        flag = f"--max-not-found-percent {_accepting(percent)}"
        yield Trip("max_not_found_percent", percent, most, text, flag)


def _patch_trips(size: PlanSize, limits: Limits) -> Iterator[Trip]:
    most, share = limits.max_patches, limits.max_changed_percent
    if most is not None and size.changed > most:
        text = f"{size.changed} leads would change, more than {most}"
        yield Trip("max_patches", size.changed, most, text, f"--max-patches {size.changed}")
    if share is not None and _over(size.changed, share, size.compared):
        percent = 100 * size.changed / size.compared
        text = f"{size.changed} of {size.compared} leads would change, more than {share:g} %"
        flag = f"--max-changed-percent {_accepting(percent)}"
        yield Trip("max_changed_percent", percent, share, text, flag)
    if limits.max_archived is not None and size.archived > limits.max_archived:
        text = f"{size.archived} leads would be archived, more than {limits.max_archived}"
        flag = f"--max-archived {size.archived}"
        yield Trip("max_archived", size.archived, limits.max_archived, text, flag)


WORDS = {
    "max_clears": "would lose a value",
    "max_overwrites": "would have a value replaced",
}


def _pair_trips(
    guard: str, found: int, compared: int, limits: tuple[int | None, float | None]
) -> Iterator[Trip]:
    """Yields a guard of a count and a share; of two that are set, both must be passed."""
    most, share = limits
    if (most is None and share is None) or not found:
        return
    if (most is None or found > most) and (share is None or _over(found, share, compared)):
        bounds = ["" if most is None else f"{most}", "" if share is None else f"{share:g} %"]
        text = (
            f"{found} of {compared} leads {WORDS[guard]}, "
            f"more than {' and '.join(filter(None, bounds))}"
        )
        flag = f"--{guard.replace('_', '-')}"
        if most is not None:
            yield Trip(guard, found, most, text, f"{flag} {found}")
            return
        percent = 100 * found / max(compared, 1)
        accepted = _accepting(percent)
        # Were the share off, the usual count would stand alone, and stop the plan again.
        accept = f"{flag} {found}" if accepted == OFF else f"{flag}-percent {accepted}"
        yield Trip(f"{guard}_percent", percent, share or 0, text, accept)


def _over(count: int, percent: float, of: int) -> bool:
    return count * 100 > _hundredths(percent, of)


def _hundredths(percent: float, of: int) -> Fraction:
    """By the percentage's own digits: as a float, 2.8 % of 2750 is a little less than 77."""
    return Fraction(str(percent)) * of


def _accepting(percent: float) -> str:
    """The least whole percentage that lets a plan pass; 100 would be no guard."""
    return OFF if percent > 99 else f"{math.ceil(percent)}"


def _pair_limits(
    given: Mapping[str, Any], guard: str, most: int, share: float
) -> tuple[int | None, float | None]:
    """The two limits stand together by default; one that is set alone stands alone."""
    count, percent = given[guard], given[f"{guard}_percent"]
    if count is None and percent is None:
        return most, share
    if count is None and percent != OFF:
        return None, _most(f"{guard}_percent", percent)
    return _count(guard, count, most), _most(f"{guard}_percent", percent)


def _count(name: str, value: Any, default: int | None = None) -> int | None:
    if value is None or value == OFF:
        return default if value is None else None
    number = _number(value)
    if number is None or number < 0 or number != int(number):
        raise ValueError(f"{name} {value!r} is no number of leads; give 0 or more, or off")
    return int(number)


def _most(name: str, value: Any, default: float | None = None) -> float | None:
    if value is None or value == OFF:
        return default if value is None else None
    number = _number(value)
    if number is None or not 0 <= number < 100:
        never = " (100 could never trip)" if number == 100 else ""
        raise ValueError(f"{name} {value!r} is no limit{never}; give 0 to 99, or off")
    return number


def _least(name: str, value: Any, default: float) -> float | None:
    if value is None or value == OFF:
        return default if value is None else None
    number = _number(value)
    if number is None or not 0 < number <= 100:
        never = " (0 could never trip)" if number == 0 else ""
        raise ValueError(f"{name} {value!r} is no limit{never}; give 1 to 100, or off")
    return number


def _choice(value: Any) -> EmptyDesired:
    if value not in get_args(EmptyDesired):
        raise ValueError(f"empty_desired {value!r} is neither; give stop or allow")
    return "allow" if value == "allow" else "stop"


def _number(value: Any) -> float | None:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
