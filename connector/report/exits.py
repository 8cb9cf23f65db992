"""How a command ends: with its exit code, and with one line where something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING

from connector.errors import LeadSyncError, RunUnderWay
from connector.pipedrive.errors import PipedriveError
from connector.records.text import message, where
from connector.report.screen import console, say, unfailing_output

if TYPE_CHECKING:
    import click

EXIT_DONE, EXIT_ERROR, EXIT_UNDER_WAY = 0, 1, 6


def exit_code(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit code, whatever happens in it.

    A result that nobody reads any more, as behind `head`, is no trouble. One that cannot be
    written, as on a full disk, is.
    """
    with unfailing_output() as outlet:
        code = _run(command)
        sys.stdout.flush()
        trouble = outlet and outlet.trouble
        if trouble and not isinstance(trouble, BrokenPipeError):
            code = code or EXIT_ERROR
            _tell(f"standard output cannot be written: {trouble.strerror}", code)
        return code


def code_of(error: BaseException) -> int:
    """Returns the exit code of a command that an error has ended."""
    return EXIT_UNDER_WAY if isinstance(error, RunUnderWay) else EXIT_ERROR


def reason(error: BaseException) -> str:
    """Says what ended a command; what nobody expected, with its type and its place."""
    if isinstance(error, LeadSyncError | PipedriveError):
        return str(error)
    return where(error)


def tell_usage(error: click.UsageError, arguments: Sequence[str]) -> None:
    """Says what is wrong with the arguments of a command, and how it is used.

    Args:
        error: What is wrong.
        arguments: All of them; they may ask for a log that a machine reads.
    """
    if "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments):
        from connector.report import log  # noqa: PLC0415 # heavy for wrong usage

        log.configure("json")
        _tell(error.format_message().rstrip(".") + _help_of(error), EXIT_ERROR)
        return
    screen = console(stderr=True)
    if error.ctx is not None:
        say(screen, error.ctx.get_usage())
        say(screen, f"Try '{error.ctx.command_path} --help' for help.\n")
    say(screen, f"Error: {message(error.format_message())}")


def _help_of(error: click.UsageError) -> str:
    return "" if error.ctx is None else f"; `{error.ctx.command_path} --help` tells how to use it"


def _run(command: Callable[[], int]) -> int:
    try:
        return command()
    except KeyboardInterrupt:
        return EXIT_ERROR
    except OSError as error:
        told = f"{reason(error)}; check that it is there and yours"
        _tell(_with_run(error, told), EXIT_ERROR)
    except (LeadSyncError, PipedriveError) as error:
        _tell(_with_run(error, reason(error)), code_of(error))
        return code_of(error)
    except Exception as error:  # so that the last word is a line, never a traceback
        told = (
            f"unexpected {reason(error)}; lead-sync {version('lead-sync')} should not do this: "
            "please report this line, and the command"
        )
        _tell(_with_run(error, told), EXIT_ERROR)
    return EXIT_ERROR


def _with_run(error: BaseException, told: str) -> str:
    """Adds to an error which run it has ended, and what to look at next; it stays one line."""
    if isinstance(error, RunUnderWay):
        return f"{told}; next: `lead-sync runs` tells how far it is"
    end = vars(error).get("end")
    if end is None:
        return told
    from connector.report.endings import next_after_error  # noqa: PLC0415 # heavy for `--help`

    named = told if end.run_id in told else f"run {end.run_id}: {told}"
    return f"{named}; next: {next_after_error(end)}"


def _tell(text: str, code: int) -> None:
    # What nobody has imported yet has no log either.
    log = sys.modules.get("connector.report.log")
    if log is not None and log.takes_all():
        log.log_error(message(text), code)
        return
    say(console(stderr=True), ("error:", "red"), " ", message(text))
