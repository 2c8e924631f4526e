"""JSON Schema of the training configuration, for editors that complete and check TOML."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from .config import TrainConfig

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file.

    Types, limits, choices and defaults are those that `lgc.frontend.config.load` checks, descriptions
    are the docstrings' attributes.
    """
    return {"$schema": DRAFT, "title": "lgc training configuration", **_section(TrainConfig)}


def attributes(kind: type) -> dict[str, str]:
    """Return what the `Attributes:` of a docstring say of each name."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Attributes:\n((?:    .*\n?)+)", text, re.MULTILINE)
    entries = re.split(r"^    (?=\w+: )", section[1], flags=re.MULTILINE)[1:] if section else []
    pairs = (entry.split(": ", 1) for entry in entries)
    return {name: " ".join(said.split()) for name, said in pairs}


def _section(kind: type) -> dict[str, Any]:
    hints, said = get_type_hints(kind), attributes(kind)
    properties = {}
    for item in dataclasses.fields(kind):
        properties[item.name] = _value(hints[item.name], item.metadata)
        if item.name in said:
            properties[item.name]["description"] = said[item.name]
        if not dataclasses.is_dataclass(hints[item.name]) and not isinstance(item.default, tuple):
            properties[item.name]["default"] = item.default
    purpose = (inspect.getdoc(kind) or "").split("\n\n", 1)[0]
    return {
        "type": "object",
        "description": " ".join(purpose.split()),
        "properties": properties,
        "additionalProperties": False,
    }


def _value(kind: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        return _section(kind)
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _value(get_args(kind)[0], {})}
    found: dict[str, Any] = {"type": _TYPES[kind]}
    if "choices" in limits:
        found["enum"] = list(limits["choices"])
    for key, name in (("low", "minimum"), ("high", "maximum")):
        if abs(limits.get(key, float("inf"))) != float("inf"):
            found[name] = limits[key]
    return found
