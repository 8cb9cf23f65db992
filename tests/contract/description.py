"""The shapes of Pipedrive's published OpenAPI description, and what they say of one exchange.

The description allows whatever it does not name: no object is closed, no key of an answer is
required. Held against it as it is, hardly anything could be wrong. So its objects are closed
here, and each key that it leaves out has to be excused by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker

SHAPES = Path(__file__).with_name("openapi")
PREFIX = "/api/v1"
Schema = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as they went over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int
    answer: Any


@dataclass(frozen=True)
class Complaint:
    """What the description holds against an exchange.

    Attributes:
        call: The method and the path, as the description writes it.
        at: Where in the document, without the places in lists: `data.title`.
        what: The keyword of the description that does not hold, as "type" or "unknown key".
        value: What stands there.
    """

    call: str
    at: str
    what: str
    value: Any


class Description:
    """The paths of the description, with their objects closed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths = document["paths"]

    def complaints(self, exchange: Exchange) -> Iterator[Complaint]:
        """Yield all that is wrong with a request and its answer."""
        path = self.path_of(exchange.path)
        operation = self._paths.get(path or "", {}).get(exchange.method.lower())
        call = f"{exchange.method} {path or exchange.path.removeprefix(PREFIX)}"
        if operation is None:
            yield Complaint(call, "", "unknown call", exchange.path)
            return
        yield from _of_query(call, operation, exchange.query)
        if exchange.body is not None:
            yield from _of_document(f"{call} body", operation["requestBody"], exchange.body)
        answer = operation["responses"].get(str(exchange.status))
        if answer is None:
            yield Complaint(call, "", "unknown status", exchange.status)
        else:
            yield from _of_document(f"{call} {exchange.status}", answer, exchange.answer)

    def path_of(self, path: str) -> str | None:
        """Return the path as the description writes it, a literal one before one with an id."""
        rest = path.removeprefix(PREFIX)
        if rest in self._paths:
            return rest
        return next((one for one in self._paths if _fits(one, rest)), None)

    def lead_keys(self) -> set[str]:
        """Return the keys that every lead has."""
        answer = self._paths["/leads/{id}"]["get"]["responses"]["200"]
        return set(_schema_of(answer)["properties"]["data"]["properties"])


def _fits(template: str, path: str) -> bool:
    pairs = zip_longest(template.split("/"), path.split("/"))
    return all(part == given or (part == "{id}" and given) for part, given in pairs)


def read_shapes(version: str) -> dict[str, Any]:
    """Return the description of a version of the API, prose taken out."""
    shapes: dict[str, Any] = json.loads((SHAPES / f"leads-{version}-shapes.json").read_bytes())
    return shapes


def closed(schema: Schema) -> Schema:
    """Return a schema whose objects take no other keys than those it names.

    Parts under `allOf` are made one first, as each alone would refuse the others' keys.
    """
    whole = _merged(schema)
    if "properties" in whole:
        named = {key: closed(one) for key, one in whole["properties"].items()}
        whole = {**whole, "properties": named, "additionalProperties": False}
    if "items" in whole:
        whole = {**whole, "items": closed(whole["items"])}
    return whole


def _merged(schema: Schema) -> Schema:
    parts = [_merged(part) for part in schema.get("allOf", [])]
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        both = whole.get("properties", {}).keys() & part.get("properties", {}).keys()
        shared = {k: {"allOf": [whole["properties"][k], part["properties"][k]]} for k in both}
        properties = {**whole.get("properties", {}), **part.get("properties", {}), **shared}
        enums = [one["enum"] for one in (whole, part) if "enum" in one]
        whole = {**part, **whole}
        if properties:
            whole["properties"] = properties
        if enums:
            whole["enum"] = [value for value in enums[0] if all(value in one for one in enums)]
    return whole


def _schema_of(described: Mapping[str, Any]) -> Schema:
    schema: Schema = described["content"]["application/json"]["schema"]
    return closed(schema)


def _of_document(call: str, described: Mapping[str, Any], document: Any) -> Iterator[Complaint]:
    validator = OAS30Validator(_schema_of(described), format_checker=oas30_format_checker)
    for error in validator.iter_errors(document):
        at = ".".join(part for part in error.absolute_path if isinstance(part, str))
        if error.validator != "additionalProperties":
            yield Complaint(call, at, str(error.validator), error.instance)
            continue
        for key in error.instance.keys() - error.schema["properties"].keys():
            yield Complaint(call, f"{at}.{key}".lstrip("."), "unknown key", error.instance[key])


def _of_query(
    call: str, operation: Mapping[str, Any], query: Mapping[str, str]
) -> Iterator[Complaint]:
    known = {one["name"]: one["schema"] for one in operation.get("parameters", [])}
    for name, text in query.items():
        if name not in known:
            yield Complaint(f"{call} query", name, "unknown key", text)
            continue
        value = int(text) if known[name]["type"] == "integer" and text.isdigit() else text
        if not OAS30Validator(known[name]).is_valid(value):
            yield Complaint(f"{call} query", name, "type", text)
