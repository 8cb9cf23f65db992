"""What a run logs: one line a step, as text for people or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import pendulum

from connector.records.text import message, to_json, where

if TYPE_CHECKING:
    from connector.sync.summary import Summary

log = logging.getLogger(__name__)
LogFormat = Literal["text", "json"]
ENDS = ("run_id", "plan_id", "command", "state", "exit_code", "planned", "tokens", "seconds")
"""What the line about a run's end has of it, beside its outcomes."""


class TextFormatter(logging.Formatter):
    """Writes a log record as one line that is safe on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as a line of text."""
        return f"{self.formatTime(record)} {record.levelname} {message(_words(record))}"


class JsonFormatter(logging.Formatter):
    """Writes a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as a line of JSON."""
        told = {
            "time": pendulum.from_timestamp(record.created).to_iso8601_string(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _words(record),
        }
        return to_json(told | getattr(record, "run", {}), ascii_only=True)


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is just now: a progress bar takes it over for its time.

    Attributes:
        takes_all: Whether nothing else is to be written there, as a machine reads its lines.
    """

    takes_all = False

    @property
    def stream(self) -> TextIO:
        """What standard error is."""
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        """Is told of it when the handler is made."""


def configure(log_format: LogFormat) -> None:
    """Sends the log of this package to standard error, in the format asked for.

    A person at a terminal sees a progress bar instead of a line for each step.
    """
    handler = StandardError()
    handler.takes_all = log_format == "json"
    handler.setFormatter(JsonFormatter() if handler.takes_all else TextFormatter())
    logger = logging.getLogger("connector")
    logger.handlers = [handler]
    by_a_person = log_format == "text" and sys.stderr.isatty()
    logger.setLevel(logging.WARNING if by_a_person else logging.INFO)
    logger.propagate = False


def log_end(summary: Summary, **instead: Any) -> None:
    """Logs what a run came to, where a machine reads the log; a person reads the summary.

    Args:
        summary: What it came to.
        **instead: What is so of the command, where that is something else.
    """
    if takes_all():
        run = {name: getattr(summary, name) for name in ENDS} | instead
        outcomes = {status: count for status, count in summary.statuses.items() if count}
        told = {"run": {**run, "outcomes": outcomes}}
        log.info("run %s %s", summary.run_id, summary.state, extra=told)


def log_error(text: str, exit_code: int) -> None:
    """Logs what has ended a command."""
    log.error(text, extra={"run": {"exit_code": exit_code}})


def takes_all() -> bool:
    """Tells whether standard error is the log's alone."""
    handlers = logging.getLogger("connector").handlers
    return any(isinstance(one, StandardError) and one.takes_all for one in handlers)


def _words(record: logging.LogRecord) -> str:
    """Returns what a record says, with the error that it is about."""
    error = record.exc_info and record.exc_info[1]
    return f"{record.getMessage()}: {where(error)}" if error else record.getMessage()
