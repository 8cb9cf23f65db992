"""What several commands share: an option for each guard, and `--run-results`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.errors import LeadSyncError
from connector.exits import reason
from connector.results import open_results
from connector.summary import EXIT_ERROR, Summary

Command = Callable[..., Any]


def _guard(help_text: str, metavar: str = "N|off") -> Any:
    return Annotated[
        str | None, typer.Option(help=help_text, metavar=metavar, rich_help_panel="Guards")
    ]


GUARD_OPTIONS = {
    "max_patches": _guard("Leads changed at most."),
    "max_changed_percent": _guard("The same, of the leads compared."),
    "max_clears": _guard("Leads that lose a value at most."),
    "max_clears_percent": _guard("The same, of the leads compared."),
    "max_archived": _guard("Leads archived at most."),
    "empty_desired": _guard("Whether an empty desired table stops.", "stop|allow"),
    "min_desired_percent_of_last": _guard("Least rows, of those of the last run."),
}
RUN_RESULTS = {
    "run_results": Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what came of it as JSON; an earlier result there is removed at the start.",
        ),
    ]
}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what its run came to if it had one."""

    code: int
    summary: Summary | None = None


def guarded(command: Command) -> Command:
    """Gives a command an option for each guard."""
    return _with_options(command, command, GUARD_OPTIONS)


def reported(command: Callable[..., Ended]) -> Command:
    """Gives a command `--run-results FILE`; see `schemas/run_results.json` for the shape."""

    @wraps(command)
    def reporting(*arguments: Any, run_results: Path | None = None, **given: Any) -> int:
        with open_results(run_results, command.__name__) as write:
            try:
                ended = command(*arguments, **given)
            except BaseException as error:
                run = getattr(error, "run", None) or {}
                with suppress(LeadSyncError):  # the first error is the one to tell
                    write(run | {"message": reason(error)}, EXIT_ERROR)
                raise
            write(ended.summary.as_dict() if ended.summary else {"message": ""}, ended.code)
            return ended.code

    return _with_options(reporting, command, RUN_RESULTS)


def _with_options(command: Command, told_by: Command, options: Mapping[str, Any]) -> Command:
    """Adds options to what typer reads of a command; `**` of the command takes them."""
    signature = inspect.signature(told_by, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    more = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=option, default=None)
        for name, option in options.items()
    ]
    told = signature.replace(parameters=[*own, *more])
    command.__signature__ = told  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in told.parameters.values()}
    return command
