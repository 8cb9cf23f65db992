"""Where dbt builds a model, by the manifest of its project."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from connector.configuration.readers import table_name
from connector.errors import ConfigError

BUILT = frozenset({"model", "seed", "snapshot"})


def relation_of(manifest: Path, model: str) -> str:
    """Returns the table that dbt builds for a model, with its database and schema.

    Args:
        manifest: The `target/manifest.json` that dbt has written.
        model: The model's name, or its unique id where several packages have one of that name.

    Raises:
        ConfigError: It cannot be read, has no such model, or the model builds nothing.
    """
    nodes = {str(node["unique_id"]): node for node in _nodes(manifest)}
    found = [node for key, node in nodes.items() if model in (key, node.get("name"))]
    if len(found) > 1:
        ids = " or ".join(str(node["unique_id"]) for node in found)
        raise ConfigError(f"{manifest} has {len(found)} models {model}; give {ids}")
    if not found:
        names = sorted({str(node.get("name")) for node in nodes.values()})
        near = difflib.get_close_matches(model, names, n=3) or names[:5]
        hint = f"did you mean {' or '.join(near)}?" if near else "run `dbt parse` first"
        raise ConfigError(f"{manifest} has no model {model!r}; {hint}")
    [node] = found
    if (node.get("config") or {}).get("materialized") == "ephemeral":
        raise ConfigError(f"the model {model} is ephemeral, so dbt builds no table; make it one")
    parts = (node.get("database"), node.get("schema"), node.get("alias") or node.get("name"))
    name = ".".join(str(part) for part in parts if part)
    try:
        return table_name(name)
    except ValueError:
        raise ConfigError(
            f"{manifest} builds the model {model} as {name!r}, which only quotes can name; give it "
            "an alias of letters, digits and _"
        ) from None


def _nodes(manifest: Path) -> Iterator[Mapping[str, Any]]:
    try:
        document = orjson.loads(manifest.read_bytes())
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{manifest} cannot be read: {reason}; run `dbt parse` first") from None
    except ValueError:
        raise ConfigError(f"{manifest} is no JSON; run `dbt parse` to make it anew") from None
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if not isinstance(nodes, dict):
        raise ConfigError(f"{manifest} is no manifest of dbt; it is target/manifest.json mostly")
    for node in nodes.values():
        if isinstance(node, dict) and node.get("resource_type") in BUILT and node.get("unique_id"):
            yield node
