"""All that one sandbox holds, and how it starts over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from connector.sandbox.custom import Lead
from connector.sandbox.faults import FaultQueue
from connector.sandbox.limits import Limiter
from connector.sandbox.requestlog import RequestLog
from connector.sandbox.seed import seeded_leads
from connector.sandbox.settings import Settings
from connector.sandbox.store import LeadStore


@dataclass(slots=True)
class World:
    """The state of a sandbox: replaced part by part on a reset, changed by requests."""

    token: str
    settings: Settings
    started_with: Settings
    leads: LeadStore
    log: RequestLog
    limiter: Limiter = field(default_factory=Limiter)
    faults: FaultQueue = field(default_factory=FaultQueue)


def new_world(
    *,
    leads: int,
    seed: int,
    token: str,
    settings: Settings,
    held: Iterable[Lead] | None = None,
) -> World:
    """Return a sandbox's state at its start.

    Args:
        leads: How many leads to seed.
        seed: What they are seeded from.
        token: The only API token that is accepted.
        settings: How it behaves.
        held: The leads that it has instead of seeded ones.

    Raises:
        ValueError: The token is empty, so that anybody would have it.
    """
    if not token:
        raise ValueError("the API token must not be empty")
    store = LeadStore(seeded_leads(leads, seed) if held is None else held)
    return World(token, settings, settings, store, RequestLog(token))


def start_over(world: World, *, leads: int, seed: int, settings: Settings) -> None:
    """Give a world new leads and settings, full budgets, no faults and an empty log."""
    world.leads = LeadStore(seeded_leads(leads, seed))
    world.settings = settings
    world.limiter = Limiter()
    world.faults.clear()
    world.log.clear()
