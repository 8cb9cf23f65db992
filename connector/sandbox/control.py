"""The control door under `/_sandbox`: the hand of a test or a demo on the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox import settings as setting
from connector.sandbox import values
from connector.sandbox.faults import fault_of
from connector.sandbox.world import World, start_over

Handler = Callable[[World, Request, dict[str, Any]], object]

_SPENDING = frozenset({"plan", "seats", "daily_budget"})


def control_app(world: World) -> Starlette:
    """Return the door to one world. It asks for no token, costs nothing and is not logged."""
    lead = "/_sandbox/leads/{lead_id}"
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", "/_sandbox/requests", _requests),
        ("DELETE", "/_sandbox/requests", _clear_requests),
        ("GET", "/_sandbox/leads", _leads),
        ("GET", lead, _lead),
        ("PUT", lead, _set_lead),
        ("DELETE", lead, _delete_lead),
        ("POST", f"{lead}/archive", _archive_lead),
        ("GET", "/_sandbox/settings", _settings),
        ("PUT", "/_sandbox/settings", _change_settings),
        ("POST", "/_sandbox/faults", _add_fault),
        ("DELETE", "/_sandbox/faults", _clear_faults),
        ("POST", "/_sandbox/reset", _reset),
    )
    return Starlette(routes=[_route(world, *row) for row in table])


def _route(world: World, method: str, path: str, handler: Handler) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            result = handler(world, request, orjson.loads(await request.body() or b"{}"))
        except (ValueError, TypeError) as wrong:
            raise HTTPException(400, str(wrong)) from wrong
        content = result if isinstance(result, bytes) else orjson.dumps(result)
        return Response(content, media_type="application/json")

    return Route(path, endpoint, methods=[method])


def _requests(world: World, request: Request, _body: dict[str, Any]) -> bytes:
    return world.log.as_json(int(request.query_params.get("since", 0)))


def _clear_requests(world: World, _request: Request, _body: dict[str, Any]) -> None:
    world.log.clear()


def _leads(world: World, _request: Request, _body: dict[str, Any]) -> object:
    return list(world.leads)


def _lead_id(request: Request) -> str:
    lead_id = str(request.path_params["lead_id"]).lower()
    if not values.UUID.fullmatch(lead_id):
        raise HTTPException(400, f"not a lead id: {lead_id}")
    return lead_id


def _lead(world: World, request: Request, _body: dict[str, Any]) -> object:
    lead = world.leads.get(_lead_id(request))
    if lead is None:
        raise HTTPException(404, "no such lead")
    return lead


def _set_lead(world: World, request: Request, body: dict[str, Any]) -> object:
    return world.leads.edit(_lead_id(request), body)


def _delete_lead(world: World, request: Request, _body: dict[str, Any]) -> None:
    if not world.leads.delete(_lead_id(request)):
        raise HTTPException(404, "no such lead")


def _archive_lead(world: World, request: Request, _body: dict[str, Any]) -> object:
    _lead(world, request, {})
    return world.leads.edit(_lead_id(request), {"is_archived": True})


def _settings(world: World, _request: Request, _body: dict[str, Any]) -> object:
    return setting.as_dict(world.settings)


def _change_settings(world: World, _request: Request, body: dict[str, Any]) -> object:
    world.settings = setting.changed(world.settings, body)
    if not _SPENDING.isdisjoint(body):
        world.limiter.forget_spending()
    return setting.as_dict(world.settings)


def _add_fault(world: World, _request: Request, body: dict[str, Any]) -> None:
    world.faults.add(fault_of(body))


def _clear_faults(world: World, _request: Request, _body: dict[str, Any]) -> None:
    world.faults.clear()


def _reset(world: World, _request: Request, body: dict[str, Any]) -> object:
    settings = setting.changed(world.started_with, body.get("settings", {}))
    leads, seed = int(body.get("leads", 40)), int(body.get("seed", 1))
    start_over(world, leads=leads, seed=seed, settings=settings)
    return setting.as_dict(world.settings)
