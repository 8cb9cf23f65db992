"""What a run logs: one line a step, as text for people or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import pendulum

from connector.records.text import message, to_json, where

LogFormat = Literal["text", "json"]


class TextFormatter(logging.Formatter):
    """Writes a log record as one line that is safe on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as a line of text."""
        return f"{self.formatTime(record)} {record.levelname} {message(_words(record))}"


class JsonFormatter(logging.Formatter):
    """Writes a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as a line of JSON."""
        return to_json(
            {
                "time": pendulum.from_timestamp(record.created).to_iso8601_string(),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": _words(record),
            },
            ascii_only=True,
        )


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is just now: a progress bar takes it over for its time."""

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
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger("connector")
    logger.handlers = [handler]
    by_a_person = log_format == "text" and sys.stderr.isatty()
    logger.setLevel(logging.WARNING if by_a_person else logging.INFO)
    logger.propagate = False


def _words(record: logging.LogRecord) -> str:
    """Returns what a record says, with the error that it is about."""
    error = record.exc_info and record.exc_info[1]
    return f"{record.getMessage()}: {where(error)}" if error else record.getMessage()
