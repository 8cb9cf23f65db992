"""The API's calls: which URL is which, what each costs, what each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from connector.sandbox import (
    custom,
    directory,
    lifecycle,
    listing,
    patching,
    replies,
    searching,
    values,
)
from connector.sandbox.replies import Reply
from connector.sandbox.world import World

PREFIXES: Final = ("/api/v1/", "/v1/")
SEARCH: Final = "leads/search"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the endpoints see it."""

    method: str
    route: str
    query: str
    content_type: bytes
    body: bytes
    lead_id: str | None

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query's parameters, the last of equal names."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a call, and its cost in tokens (documented)."""

    answer: Callable[[World, Call], Reply]
    tokens: int


def _leads(world: World, call: Call) -> Reply:
    return listing.lead_page(world.leads, call.parameters, world.settings, archived=False)


def _archived(world: World, call: Call) -> Reply:
    return listing.lead_page(world.leads, call.parameters, world.settings, archived=True)


def _lead(world: World, call: Call) -> Reply:
    if not values.UUID.fullmatch(call.lead_id or ""):
        return _bad_id()
    lead = world.leads.get(call.lead_id or "")
    hidden = lead and lead["is_archived"] and world.settings.archived_by_id == "missing"
    if lead is None or hidden:
        return replies.not_found(world.settings.not_found_text)
    return replies.ok(custom.as_read(lead, world.settings))


def _patch(world: World, call: Call) -> Reply:
    if not values.UUID.fullmatch(call.lead_id or ""):
        return _bad_id()
    return patching.patch(
        world.leads, call.lead_id or "", call.content_type, call.body, world.settings
    )


def _add(world: World, call: Call) -> Reply:
    return lifecycle.add(world.leads, call.content_type, call.body, world.settings)


def _delete(world: World, call: Call) -> Reply:
    if not values.UUID.fullmatch(call.lead_id or ""):
        return _bad_id()
    return lifecycle.delete(world.leads, call.lead_id or "", world.settings)


def _permitted(world: World, call: Call) -> Reply:
    lead = world.leads.get(call.lead_id or "")
    if lead is None:
        return replies.not_found(world.settings.not_found_text)
    users = directory.users(world.settings.users)
    return replies.ok([user["id"] for user in users if user["active_flag"]])


def _search(world: World, call: Call) -> Reply:
    return searching.search(world.leads, call.parameters)


def _sources(_world: World, _call: Call) -> Reply:
    return replies.ok([{"name": name} for name in directory.SOURCES])


def _bad_id() -> Reply:
    return replies.refusal(400, "Bad request", "The lead id must be a uuid.")


def _fields(world: World, call: Call) -> Reply:
    return listing.field_page(directory.lead_fields(), call.parameters, world.settings)


def _deal_fields(world: World, call: Call) -> Reply:
    return listing.field_page(directory.deal_fields(), call.parameters, world.settings)


def _labels(_world: World, _call: Call) -> Reply:
    return replies.ok(directory.LABELS)


def _users(world: World, _call: Call) -> Reply:
    # All of them in one answer, whatever `start` and `limit` say (documented).
    return replies.ok(directory.users(world.settings.users))


def _me(world: World, _call: Call) -> Reply:
    return replies.ok(directory.me(world.settings.company))


ENDPOINTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "leads": {"GET": Endpoint(_leads, 20), "POST": Endpoint(_add, 10)},
    "leads/archived": {"GET": Endpoint(_archived, 40)},
    SEARCH: {"GET": Endpoint(_search, 40)},
    "leads/{id}": {
        "GET": Endpoint(_lead, 2),
        "PATCH": Endpoint(_patch, 10),
        "DELETE": Endpoint(_delete, 6),
    },
    "leads/{id}/permittedUsers": {"GET": Endpoint(_permitted, 10)},
    "dealFields": {"GET": Endpoint(_deal_fields, 20)},
    "leadSources": {"GET": Endpoint(_sources, 2)},
    "leadFields": {"GET": Endpoint(_fields, 20)},
    "leadLabels": {"GET": Endpoint(_labels, 10)},
    "users": {"GET": Endpoint(_users, 20)},
    "users/me": {"GET": Endpoint(_me, 2)},
}
_NOWHERE: Final = Endpoint(lambda _world, _call: replies.unknown_route(), 0)
_REFUSED: Final = Endpoint(lambda _world, _call: replies.wrong_method(), 0)


def route_of(path: str) -> tuple[str | None, str | None]:
    """Return the name of the call that a path is of, and the lead id in it, if any."""
    prefix = next((prefix for prefix in PREFIXES if path.startswith(prefix)), None)
    if prefix is None:
        return None, None
    rest = path[len(prefix) :]
    if rest in ENDPOINTS and "{" not in rest:
        return rest, None
    match rest.split("/"):
        case ["leads", lead_id] if lead_id:
            return "leads/{id}", lead_id.lower()
        case ["leads", lead_id, "permittedUsers"]:
            return "leads/{id}/permittedUsers", lead_id.lower()
    return None, None


def endpoint_for(route: str | None, method: str) -> Endpoint:
    """Return what answers; PUT on a lead is a URL that does not exist (documented, observed)."""
    methods = ENDPOINTS.get(route or "")
    if methods is None or (route == "leads/{id}" and method == "PUT"):
        return _NOWHERE
    return methods.get(method, _REFUSED)
