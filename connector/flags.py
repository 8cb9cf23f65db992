"""Options that several commands share."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import pendulum
import typer

from connector.errors import LeadSyncError
from connector.pipedrive.errors import PipedriveError
from connector.records import package_version
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
        Path | None, typer.Option(metavar="FILE", help="Write what came of it as JSON.")
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
        began = pendulum.now("UTC")
        result: dict[str, Any] = {"command": command.__name__, "started_at": began.isoformat()}
        try:
            ended = command(*arguments, **given)
        except (LeadSyncError, PipedriveError) as error:
            run = getattr(error, "run", None) or {}
            result |= run | {"exit_code": EXIT_ERROR, "message": str(error)}
            raise
        else:
            run = ended.summary.as_dict() if ended.summary else {"message": ""}
            result |= run | {"exit_code": ended.code}
            return ended.code
        finally:
            took = (pendulum.now("UTC") - began).total_seconds()
            _write(run_results, {"seconds": round(took, 2), **result})

    return _with_options(reporting, command, RUN_RESULTS)


def _write(file: Path | None, result: Mapping[str, Any]) -> None:
    if file is None:
        return
    document = {"format": 1, "version": package_version(), **result}
    try:
        file.write_text(json.dumps(document, indent=2, default=str) + "\n")
    except OSError as error:
        raise LeadSyncError(f"--run-results {file} cannot be written: {error.strerror}") from None


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
