"""Guards: limits on a whole plan, judged before anything is sent. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

from connector.planning.model import Patch
from connector.records.fields import base_key

OFF = "off"
GUARDS = (
    "max_patches",
    "max_changed_percent",
    "max_clears",
    "max_clears_percent",
    "max_archived",
    "empty_desired",
    "min_desired_percent_of_last",
    "max_not_found_percent",
)
EmptyDesired = Literal["stop", "allow"]
MOST_CLEARS, MOST_CLEARS_PERCENT, MOST_ARCHIVED = 20, 10.0, 20
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
        min_desired_percent_of_last: Least rows of the desired table, of those of the last run.
        worth_comparing: Rows of the last run from which on that is judged.
        max_not_found_percent: Leads that the account does not have, of those of the table.
    """

    max_patches: int | None = None
    max_changed_percent: float | None = None
    max_clears: int | None = MOST_CLEARS
    max_clears_percent: float | None = MOST_CLEARS_PERCENT
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
        desired_leads: Leads of the table, each counted once.
        not_found: Those of them that the account does not have.
    """

    desired_rows: int | None = None
    last_desired_rows: int | None = None
    compared: int = 0
    changed: int = 0
    cleared: int = 0
    archived: int = 0
    clears: Counter[str] = field(default_factory=Counter)
    samples: list[Patch] = field(default_factory=list)
    desired_leads: int = 0
    not_found: int = 0

    def add(self, patches: Sequence[Patch]) -> None:
        """Counts the patches of one lead."""
        body = {key: value for patch in patches for key, value in patch.body.items()}
        cleared = cleared_keys(body)
        self.changed += 1
        self.archived += body.get("is_archived") is True
        self.cleared += bool(cleared)
        self.clears.update(cleared)
        if cleared and len(self.samples) < SAMPLES:
            self.samples.append(next(one for one in patches if cleared_keys(one.body)))


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
    def of_clears(self) -> bool:
        """Tells whether it is about values that would be lost."""
        return self.guard in ("max_clears", "max_clears_percent")


def cleared_keys(body: Mapping[str, Any]) -> list[str]:
    """Returns the first keys of the fields that a body clears, or a part of them."""
    cleared = (base_key(key) for key, value in body.items() if value is None or value == [])
    return list(dict.fromkeys(cleared))


def measure(leads: Iterable[Sequence[Patch]], size: PlanSize) -> PlanSize:
    """Counts the patches of every lead of a plan."""
    for patches in leads:
        size.add(patches)
    return size


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Reads the guards' settings; None is one that is not set.

    Raises:
        ValueError: One that cannot be, or that could never trip, and what is allowed.
    """
    clears, clears_percent = _clear_limits(given)
    least = given["min_desired_percent_of_last"]
    return Limits(
        max_patches=_count("max_patches", given["max_patches"]),
        max_changed_percent=_most("max_changed_percent", given["max_changed_percent"]),
        max_clears=clears,
        max_clears_percent=clears_percent,
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
    return [*_table_trips(size, limits), *_patch_trips(size, limits), *_clear_trips(size, limits)]


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


def _clear_trips(size: PlanSize, limits: Limits) -> Iterator[Trip]:
    most, share = limits.max_clears, limits.max_clears_percent
    if (most is None and share is None) or not size.cleared:
        return
    if (most is None or size.cleared > most) and (
        share is None or _over(size.cleared, share, size.compared)
    ):
        bounds = ["" if most is None else f"{most}", "" if share is None else f"{share:g} %"]
        text = (
            f"{size.cleared} of {size.compared} leads would lose a value, "
            f"more than {' and '.join(filter(None, bounds))}"
        )
        yield _clear_trip(size, most, share, text)


def _clear_trip(size: PlanSize, most: int | None, share: float | None, text: str) -> Trip:
    accept = f"--max-clears {size.cleared}"
    if most is not None:
        return Trip("max_clears", size.cleared, most, text, accept)
    percent = 100 * size.cleared / max(size.compared, 1)
    accepted = _accepting(percent)
    # Were the share off, the usual count would stand alone, and stop the plan again.
    accept = accept if accepted == OFF else f"--max-clears-percent {accepted}"
    return Trip("max_clears_percent", percent, share or 0, text, accept)


def _over(count: int, percent: float, of: int) -> bool:
    return count * 100 > _hundredths(percent, of)


def _hundredths(percent: float, of: int) -> Fraction:
    """By the percentage's own digits: as a float, 2.8 % of 2750 is a little less than 77."""
    return Fraction(str(percent)) * of


def _accepting(percent: float) -> str:
    """The least whole percentage that lets a plan pass; 100 would be no guard."""
    return OFF if percent > 99 else f"{math.ceil(percent)}"


def _clear_limits(given: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """The two limits stand together by default; one that is set alone stands alone."""
    count, percent = given["max_clears"], given["max_clears_percent"]
    if count is None and percent is None:
        return MOST_CLEARS, MOST_CLEARS_PERCENT
    if count is None and percent != OFF:
        return None, _most("max_clears_percent", percent)
    return _count("max_clears", count, MOST_CLEARS), _most("max_clears_percent", percent)


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
