"""Text as every warehouse can hold it: what none of them can is written as its escape."""

from __future__ import annotations

import re
from typing import Any

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and halves of surrogate pairs, which UTF-8 cannot hold."""


def escape(value: Any) -> Any:
    r"""Returns JSON types with each such character as the six characters of `\u0000`."""
    if isinstance(value, str):
        return UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, list):
        return [escape(item) for item in value]
    if isinstance(value, dict):
        return {escape(key): escape(item) for key, item in value.items()}
    return value
