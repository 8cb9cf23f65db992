"""What agreed before is passed by: held against the judge itself, for every kind of field."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from connector.planning.context import context_of
from connector.planning.diff import decide
from connector.planning.model import Decision, Planned, Unchanged
from connector.warehouse.scratch import open_scratch
from tests.support.account import BY_KEY, LEAD_ID, columns_of
from tests.support.strategies import Case, cases

Lead = dict[str, Any]
Row = dict[str, Any]


def judged(row: Row, lead: Lead, rules: Row) -> Decision:
    columns = columns_of(row, timezone=rules["timezone"])
    return decide([row], lead, columns, unarchive=rules["unarchive"])


def a_run(folder: Path, row: Row, lead: Lead, rules: Row) -> int | None:
    """A run that compares a row with a lead, and remembers what it finds.

    Returns:
        How many NULLs leave something alone, of a pair that is not judged; None for one that is.
    """
    columns = columns_of(row, timezone=rules["timezone"])
    context = context_of(
        columns,
        BY_KEY,
        dict.fromkeys(row, "VARCHAR"),
        unarchive=rules["unarchive"],
        keeps_bases=False,
        version="1",
    )
    cells = tuple(row.values())
    with open_scratch(folder) as scratch:
        scratch.want([(LEAD_ID, cells, cells[1:])])
        scratch.see([lead])
        scratch.remember_in(folder, context)
        same, kept_nulls = scratch.set_aside_same()
        decision = judged(row, lead, rules)
        for found in scratch.compared():
            if found.agreement and isinstance(decision, Unchanged):
                scratch.remember([(found.agreement, decision.kept_nulls)])
        scratch.keep_memory()
        return kept_nulls if same else None


def made_so(case: Case) -> Lead:
    """The case's lead as its row wants it, as far as it can be brought there."""
    lead = copy.deepcopy(dict(case.lead or {}))
    decision = case.decide(lead)
    if isinstance(decision, Planned):
        for change in decision.changes:
            lead |= copy.deepcopy(change.body)
    return {**json.loads(json.dumps(lead)), "id": LEAD_ID}


RULES = st.fixed_dictionaries(
    {"unarchive": st.booleans(), "timezone": st.sampled_from(["UTC", "Pacific/Auckland"])}
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(cases(), cases(), RULES, st.data())
def test_only_what_the_judge_would_leave_alone_is_passed_by(
    case: Case, other: Case, rules: Row, data: st.DataObject
) -> None:
    [row], lead = case.rows, made_so(case)
    rules = {**rules, "unarchive": case.unarchive}
    changed = dict(row)
    for name in data.draw(st.sets(st.sampled_from(sorted(row)), max_size=1)) - {"lead_id"}:
        changed[name] = other.rows[0].get(name)
    later = dict(lead)
    keys = sorted({*lead, *(other.lead or {})} - {"id"})
    for key in data.draw(st.sets(st.sampled_from(keys), max_size=1)) if keys else ():
        later[key] = (other.lead or {}).get(key)
    ruled = rules if data.draw(st.booleans()) else data.draw(RULES)
    with TemporaryDirectory() as folder:
        a_run(Path(folder), row, lead, rules)
        kept_nulls = a_run(Path(folder), changed, later, ruled)
    if kept_nulls is None:
        event("judged")
        return
    event("passed by")
    assert judged(changed, later, ruled) == Unchanged(LEAD_ID, kept_nulls)


@pytest.mark.parametrize("kept", [{"title": None}, {}])
def test_what_is_passed_by_counts_its_nulls(tmp_path: Path, kept: Row) -> None:
    row, lead = {"lead_id": LEAD_ID, **kept}, {"id": LEAD_ID, "title": "Pilot"}
    rules = {"unarchive": False, "timezone": "UTC"}
    assert [a_run(tmp_path, row, lead, rules) for _ in range(2)] == [None, len(kept)]
