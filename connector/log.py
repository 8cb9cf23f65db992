"""What a run logs: one line a step, as text for people or as JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from typing import Literal

import pendulum

LogFormat = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """Writes a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as a line of JSON."""
        return json.dumps(
            {
                "time": pendulum.from_timestamp(record.created).to_iso8601_string(),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
        )


def configure(log_format: LogFormat) -> None:
    """Sends the log of this package to standard error, in the format asked for.

    A person at a terminal sees a progress bar instead of a line for each step.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if log_format == "json" else text)
    logger = logging.getLogger("connector")
    logger.handlers = [handler]
    by_a_person = log_format == "text" and sys.stderr.isatty()
    logger.setLevel(logging.WARNING if by_a_person else logging.INFO)
    logger.propagate = False
