"""`python -m connector` is `lead-sync`; the heavy imports come once Ctrl-C ends it quietly."""

from __future__ import annotations

import os
import signal
import sys

QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
"""dlt's own words and its telemetry are off, unless the environment asks for them."""


def main() -> None:
    """Runs `lead-sync`. Ctrl-C ends it at once while there is nothing to end cleanly."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from connector.report.exits import exit_code  # noqa: PLC0415

    def command() -> int:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from connector.cli import invoke  # noqa: PLC0415

        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return invoke()

    code = exit_code(command)
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    main()
