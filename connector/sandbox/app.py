"""The ASGI application: the API and the control door of one world."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from connector.sandbox.api import respond
from connector.sandbox.control import control_app
from connector.sandbox.world import World


def sandbox_app(world: World) -> ASGIApp:
    """Return the application over a world; API requests take no detour through a router."""
    door = control_app(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox/"):
            await door(scope, receive, send)
        else:
            await respond(world, scope, receive, send)

    return app
