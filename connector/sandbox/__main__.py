"""`python -m connector.sandbox`: the local Pipedrive on its own."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from connector.sandbox import DEFAULT_TOKEN, ServerMissing, serve
from connector.sandbox.settings import CHOICES


def main() -> None:
    """Serve until told to stop; print one line once listening."""
    options = _parser().parse_args()
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        serve(
            port=options.port,
            leads=options.leads,
            seed=options.seed,
            token=options.token,
            ready=_announce,
            world=options.world,
            **_settings(options),
        )
    except ServerMissing as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connector.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--leads", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--token", default=DEFAULT_TOKEN, help="the API token to accept")
    parser.add_argument("--latency-ms", type=float)
    parser.add_argument("--plan", choices=CHOICES["plan"])
    parser.add_argument("--seats", type=int)
    parser.add_argument("--daily-budget", type=int)
    parser.add_argument("--users", type=int, help="users of the company, 6 at least")
    parser.add_argument("--no-limits", dest="limits", action="store_false", default=None)
    parser.add_argument("--settings", type=json.loads, default={}, help="any settings, as JSON")
    parser.add_argument("--world", type=Path, help="a company and its leads, from a file")
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)
    return parser


def _settings(options: argparse.Namespace) -> dict[str, object]:
    named = ("latency_ms", "plan", "seats", "daily_budget", "users", "limits")
    given = {name: getattr(options, name) for name in named}
    return {**options.settings, **{k: v for k, v in given.items() if v is not None}}


def _announce(base_url: str) -> None:
    sys.stdout.write(f"listening on {base_url}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """Stop when standard input ends, which it does however the parent dies."""
    # The descriptor itself: a daemon thread inside sys.stdin's lock would block the exit.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
