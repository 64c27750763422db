"""The JSON Schema for editors: what a configuration may hold, for the YAML language server.

It is made from ``qgpipe/config/schema.json``, with these differences: it is of draft 7; references
are resolved; any value may be null, which counts as left out, or a sweep; and a section may lack
what it requires, as in a file that is laid over another.
"""

import json
from collections.abc import Mapping
from typing import Any

from qgpipe.config.schema import resolve_part, schema

_DEFINITIONS = {
    "sweep": {
        "type": "object",
        "description": "Several values, each a run of its own: see docs/sweeps.md.",
        "additionalProperties": False,
        "properties": {
            "values": {"type": "array", "description": "!sweep, !coupled-sweep: the values."},
            "target": {"type": "string", "description": "!coupled-sweep, !reference: another key."},
            "start": {"type": "number", "description": "!range, !random_uniform: the first value."},
            "stop": {"type": "number", "description": "!range, !random_uniform: the end."},
            "step": {"type": "number", "description": "!range: the difference of two values."},
            "log": {"type": "boolean", "description": "!random_uniform: uniform in the logarithm."},
            "size": {"type": "integer", "description": "!random_uniform: how many values."},
        },
        "minProperties": 1,
    },
    "partial": {
        "type": "object",
        "description": "!partial: a function with some of its arguments.",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "description": "The function."},
            "args": {"type": ["array", "null"], "description": "Positional arguments."},
            "kwargs": {"type": ["object", "null"], "description": "Keyword arguments."},
        },
    },
}
_SWEEP, _PARTIAL = {"$ref": "#/definitions/sweep"}, {"$ref": "#/definitions/partial"}
_KEPT = {
    "description", "default", "enum", "const", "type", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minLength", "maxLength",
    "uniqueItems", "minProperties",
}  # fmt: skip


def editor_schema() -> str:
    """The JSON text of the schema for editors."""
    content = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": schema()["title"],
        "$comment": "Made from schema.json by `qgpipe reference --schema`.",
        **_part(schema()),
        "patternProperties": schema()["patternProperties"],
        "definitions": _DEFINITIONS,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _part(raw: Mapping[str, Any], in_list: bool = False) -> dict[str, Any]:
    """``raw`` for an editor; ``in_list``: an entry of a list, which is never laid over another."""
    part = resolve_part(raw)
    result = {key: value for key, value in part.items() if key in _KEPT}
    if "properties" in part:
        result["properties"] = {name: _value(sub) for name, sub in part["properties"].items()}
        result["additionalProperties"] = False
        if in_list:
            result["required"] = part.get("required", [])
    elif isinstance(part.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _value(part["additionalProperties"])
    if "items" in part:
        result["items"] = _value(part["items"], in_list=True)
    if "prefixItems" in part:
        result["items"] = [_value(item, in_list=True) for item in part["prefixItems"]]
    if "anyOf" in part:
        result["anyOf"] = [_part(branch, in_list) for branch in part["anyOf"]]
    return result


def _value(raw: Mapping[str, Any], in_list: bool = False) -> dict[str, Any]:
    """``raw``, or null, or a sweep."""
    part = _part(raw, in_list)
    words: dict[str, Any] = {key: part[key] for key in ("description", "default") if key in part}
    branches = part.pop("anyOf", None) or [part]
    if resolve_part(raw).get("x-pyobject"):
        branches.append(_PARTIAL)
    return {**words, "anyOf": [*branches, {"type": "null"}, _SWEEP]}
