"""A local Pipedrive: a real HTTP server that behaves as the leads API is known to behave.

It imports nothing from the rest of the connector, so that it is a second opinion on the API.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from connector.sandbox.company import move_in
from connector.sandbox.directory import CUSTOM_FIELDS
from connector.sandbox.local import DEFAULT_TOKEN, LocalPipedrive
from connector.sandbox.settings import Settings, changed

__all__ = [
    "CUSTOM_FIELDS",
    "DEFAULT_TOKEN",
    "LocalPipedrive",
    "ServerMissing",
    "load_server",
    "serve",
]


class ServerMissing(Exception):
    """What serves the local Pipedrive is not installed, or cannot be imported."""


def load_server() -> None:
    """Imports the server, which only the process that serves needs.

    Raises:
        ServerMissing: It cannot be imported.
    """
    try:
        import_module("connector.sandbox.server")
    except ImportError as error:
        raise ServerMissing(
            f"its server is not installed ({error}); pip install 'lead-sync[sandbox]'"
        ) from None


def serve(
    *,
    port: int,
    leads: int,
    seed: int,
    token: str = DEFAULT_TOKEN,
    ready: Callable[[str], None] | None = None,
    world: Path | None = None,
    **settings: object,
) -> None:
    """Serve a local Pipedrive on 127.0.0.1 until SIGTERM or SIGINT, then return.

    Args:
        port: Where to listen; 0 takes a free port.
        leads: How many leads to seed.
        seed: What they are seeded from; the same seed gives the same leads.
        token: The only API token that is accepted.
        ready: Called with the base URL once the server listens.
        world: A file with another company and its leads; see `connector.sandbox.company`.
        settings: Names and values of `connector.sandbox.settings.Settings`.

    Raises:
        OSError: The port is taken.
        ServerMissing: The extra `sandbox` is not installed.
        ValueError: A setting is unknown or has a value it cannot take.
    """
    held = move_in(world) if world else None  # before anything has looked at the company
    load_server()
    from connector.sandbox.server import run  # noqa: PLC0415
    from connector.sandbox.world import new_world  # noqa: PLC0415

    chosen = changed(Settings(), settings)
    made = new_world(leads=leads, seed=seed, token=token, settings=chosen, held=held)
    run(made, port=port, ready=ready)
