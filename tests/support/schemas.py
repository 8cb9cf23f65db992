"""The JSON schemas of what machines read, and what is wrong with a document by them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from openapi_schema_validator import OAS31Validator

SCHEMAS = {
    name: json.loads(files("connector").joinpath(f"schemas/{name}.json").read_text())
    for name in ("plan", "run_results", "show", "rehearse")
}


def problems(schema: str, document: Any) -> list[str]:
    """Return where a document is otherwise than its schema says, and how."""
    found = OAS31Validator(SCHEMAS[schema]).iter_errors(document)
    return [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in found]
