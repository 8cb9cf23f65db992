"""Keeping what both sides last agreed on of each field: when a run does, and what moves it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.planning.bases import moves, settle
from connector.planning.model import Decision, Later, Outcome
from connector.settings import Settings
from connector.sync.session import Session
from connector.warehouse.bases import bases_of, has_bases, past_bases
from connector.warehouse.load import Marked, into
from connector.warehouse.schema import LEAD_BASES, BaseRow

log = logging.getLogger(__name__)


def keeps_bases(session: Session) -> bool:
    """Tells whether a run keeps what is agreed on: once any run had a policy that minds it.

    A run by the policy `warehouse` keeps it up then, or a later one would take what this one
    wrote for an edit.
    """
    return _minds_edits(session.settings) or has_bases(session.warehouse)


def begin_bases(session: Session) -> None:
    """Begins to keep what is agreed on, before the first run that minds it.

    Raises:
        WarehouseError: It cannot be written.
    """
    if _minds_edits(session.settings):
        take_over_bases(session)


def take_over_bases(session: Session) -> None:
    """Takes over from the outcomes what was agreed on, where that is not kept yet.

    Raises:
        WarehouseError: It cannot be written.
    """
    if has_bases(session.warehouse):
        return
    taken = 0

    def rows() -> Iterator[Marked]:
        nonlocal taken
        for batch in past_bases(session.warehouse):
            taken += len(batch)
            yield from into(LEAD_BASES.name, batch)

    session.load(rows())
    if taken:
        log.info("what was last written to %d leads counts as agreed on, by their outcomes", taken)


def bases_decided(decisions: Sequence[Decision | Later]) -> Iterator[Marked]:
    """Yields what is agreed on of leads where comparing them has moved it."""
    yield from into(
        LEAD_BASES.name,
        [
            vars(BaseRow(decision.lead_id, dict(decision.base)))
            for decision in decisions
            if decision.base is not None and decision.lead_id is not None
        ],
    )


def bases_settled(session: Session, outcomes: Sequence[Outcome]) -> Iterator[Marked]:
    """Yields what is agreed on of leads where outcomes have moved it, one row a lead."""
    moving = [outcome for outcome in outcomes if moves(outcome)]
    if not moving or not keeps_bases(session):
        return
    lead_ids = dict.fromkeys(outcome.patch.lead_id for outcome in moving)
    were = bases_of(session.warehouse, lead_ids)
    bases: dict[str, Mapping[str, Any]] = {}
    for outcome in moving:
        lead_id = outcome.patch.lead_id
        bases[lead_id] = settle(bases.get(lead_id, were.get(lead_id, {})), outcome)
    moved = [
        vars(BaseRow(lead_id, dict(base)))
        for lead_id, base in bases.items()
        if base != were.get(lead_id, {})
    ]
    yield from into(LEAD_BASES.name, moved)


def _minds_edits(settings: Settings) -> bool:
    rules = settings.on_conflict
    given = rules.values() if isinstance(rules, Mapping) else [rules]
    return any(rule != "warehouse" for rule in given)
