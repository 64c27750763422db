"""``config/reference.yaml``: every key of the schema with a comment, and values of a real run."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from qgpipe.config.dump import ConfigDumper, to_plain
from qgpipe.config.schema import resolve_part, schema

_WIDTH = 96
_HEAD = """\
# yaml-language-server: $schema=../qgpipe/config/editor_schema.json
# Every key, with the values of the default run: a file that runs as it is.
# A key that is commented out is optional, and shown with its default.
# Made from the schema by `qgpipe reference`; edit qgpipe/config/schema.json instead.
"""


def reference(config: Mapping[str, Any]) -> str:
    """YAML text with every key of the schema, commented, and the values of ``config``.

    ``config`` is a resolved configuration; loading the text gives an equal one.
    """
    lines = _mapping(to_plain(config), schema(), indent=0)
    return _HEAD + "\n".join(lines) + "\n"


def _mapping(values: Mapping[str, Any], part: Mapping[str, Any], indent: int) -> Iterator[str]:
    required = part.get("required", ())
    for name, raw in part["properties"].items():
        sub = resolve_part(raw)
        if indent == 0:
            yield ""
        lines = textwrap.wrap(_describe(sub, name in required), _WIDTH - indent)
        yield from (f"{' ' * indent}# {line}" for line in lines)
        if values.get(name) is None:
            default = flow_text(sub["default"]) if "default" in sub else "..."
            yield f"{' ' * indent}# {name}: {default}"
        else:
            yield from _key(name, values[name], sub, indent)


def _key(name: str, value: Any, part: Mapping[str, Any], indent: int) -> Iterator[str]:
    native = resolve_part(part["anyOf"][1]) if "anyOf" in part else part
    margin = " " * indent
    if isinstance(value, Mapping) and "properties" in native and "type" not in value:
        yield f"{margin}{name}:"
        yield from _mapping(value, native, indent + 2)
    elif isinstance(value, Mapping) and isinstance(native.get("additionalProperties"), Mapping):
        yield f"{margin}{name}:"
        inner = resolve_part(native["additionalProperties"])
        for key, entry in value.items():
            yield from _key(str(key), entry, inner, indent + 2)
    else:
        text = yaml.dump({name: value}, Dumper=ConfigDumper, sort_keys=False, width=_WIDTH)
        yield from textwrap.indent(text.rstrip(), margin).splitlines()


def flow_text(value: Any) -> str:
    """``value`` as YAML on one line."""
    text = yaml.dump(value, Dumper=ConfigDumper, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("...").strip()


def _describe(part: Mapping[str, Any], required: bool) -> str:
    text = part.get("description", "")
    if "anyOf" in part:
        native = resolve_part(part["anyOf"][1]).get("description", "")
        text = f"{text} {native} Or a class of your own: {{type, args, kwargs}}.".strip()
    if "enum" in part:
        text += f" One of {', '.join('null' if v is None else v for v in part['enum'])}."
    return text + (" Required." if required else "")
