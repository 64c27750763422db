"""``docs/configuration.md``: every key of the schema with type, default and meaning, as tables."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qgpipe.cli.keys.reference_config import flow_text
from qgpipe.config.schema import definition, resolve_part, schema

_INTRODUCTION = """\
# Configuration

Every key, with its type, its default and what it means. `config/reference.yaml` is the same as a
file that runs. This page is made from the schema by `qgpipe reference --markdown`; edit
`qgpipe/config/schema.json` instead.

- An **object** is a Python type or function: `!pyobject a.b.C`, the dotted name alone, or
  `!partial {type, args, kwargs}`. Your own modules are found beside the configuration, in the
  working directory and in `python_path`.
- A **spec** says what to construct: an object, a list `[type, args, kwargs]`, or a mapping
  `{type, args, kwargs}`.
- `null` is the same as leaving a key out. A dash in the column of defaults means nothing at all; an
  empty field, that the meaning says what holds then.
- Numbers may be written as `1e-4`. A key that is not known is an error that names the nearest
  one; at the top level keys that begin with `x-` are ignored, as a place for YAML anchors.
- Any value may be swept over: see [sweeps](sweeps.md).
"""
_MODELS = """\
## Parts of a model

What the classes of `qgpipe.models` take, as kwargs where they are named. [Models](models.md) shows
them at work."""

# Definitions that the introduction explains, which have no sections.
_FORMS = {"spec": "spec", "optional_spec": "spec", "logger": "spec", "constructor": "spec",
          "object": "object", "optional_object": "object",
          "args": "list", "kwargs": "mapping"}  # fmt: skip


def reference_page() -> str:
    """The whole page as Markdown, generated from the schema."""
    titles = _titles()
    sections = [_INTRODUCTION, "## Top level\n", *_table(schema(), titles), ""]
    done: set[str] = set()
    for raw in schema()["properties"].values():
        name = _section(raw)
        if name is not None:
            sections += _sections(name, titles, done, level=2)
    sections.append(_MODELS + "\n")
    for name, title in _model_classes().items():
        if name not in done:
            sections += [f"### {title}\n", *_text_and_table(name, titles)]
    return "\n".join(sections).rstrip() + "\n"


def _sections(name: str, titles: Mapping[str, str], done: set[str], level: int) -> Iterator[str]:
    """The section of the definition ``name``, and then of definitions in it, once each."""
    if name in done:
        return
    done.add(name)
    yield f"{'#' * level} {titles[name]}\n"
    yield from _text_and_table(name, titles)
    for _, raw, _ in _keys(definition(name)):
        inner = _section(raw)
        if inner is not None:
            yield from _sections(inner, titles, done, min(level + 1, 4))


def _text_and_table(name: str, titles: Mapping[str, str]) -> Iterator[str]:
    part = definition(name)
    own = " Or a class of your own: `{type, args, kwargs}`." if _may_be_a_class(name) else ""
    yield f"{part.get('description', '')}{own}\n"
    yield from _table(part, titles)
    yield ""


def _table(part: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, raw, required in _keys(part):
        sub = resolve_part(raw)
        default = "required" if required else _default(sub)
        cells = [f"`{key}`", _type(raw, titles), default, _meaning(raw, sub)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _keys(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each key with its part and whether it is required.

    The keys of a mapping that is written out in place follow it, as ``outer.inner``.
    """
    for name, raw in part["properties"].items():
        yield prefix + name, raw, name in part.get("required", ())
        if "properties" in raw:
            yield from _keys(raw, f"{prefix}{name}.")


def _titles() -> dict[str, str]:
    """By definition, the keys at which it stands: ```validation.validator`, …``."""
    places: dict[str, list[str]] = {}

    def walk(part: Mapping[str, Any], path: str, around: tuple[str, ...]) -> None:
        for key, raw, _ in _keys(part):
            name = _section(raw)
            if name is not None and name not in around:
                places.setdefault(name, []).append(path + key)
                walk(definition(name), f"{path}{key}{_step(raw)}.", (*around, name))

    walk(schema(), "", ())
    return {name: ", ".join(f"`{place}`" for place in found) for name, found in places.items()}


def _step(raw: Mapping[str, Any]) -> str:
    part = resolve_part(raw)
    if "items" in part:
        return "[…]"
    return ".…" if isinstance(part.get("additionalProperties"), Mapping) else ""


def _section(raw: Mapping[str, Any]) -> str | None:
    """The definition with the keys of a value or its entries; ``None`` for a plain value."""
    if "anyOf" in raw:
        return _section(raw["anyOf"][1])
    if "$ref" in raw:
        name = raw["$ref"].rpartition("/")[2]
        target = resolve_part({"$ref": raw["$ref"]})
        if name in _FORMS or raw["$ref"].count("/") > 2:
            return None
        return name if "properties" in target else _section(target)
    for inner in (raw.get("items"), raw.get("additionalProperties")):
        if isinstance(inner, Mapping) and (found := _section(inner)):
            return found
    return None


def _may_be_a_class(name: str) -> bool:
    parts = [*schema()["properties"].values(), *schema()["$defs"].values()]
    branches = [part["anyOf"][1].get("$ref") for part in parts if "anyOf" in part]
    return f"#/$defs/{name}" in branches


def _type(raw: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    name = _section(raw)
    part = resolve_part(raw)
    if name is not None:
        link = f"[{'entries' if _step(raw) else 'keys'}](#{_slug(titles[name])})"
        return {"[…]": f"list of {link}", ".…": f"mapping of {link}"}.get(_step(raw), link)
    return _plain_type(raw, part)


def _plain_type(raw: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    form = _FORMS.get(str(raw.get("$ref", "")).rpartition("/")[2])
    if form is not None:
        return form
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"] if value is not None)
    given = part["type"]
    types = [given] if isinstance(given, str) else [name for name in given if name != "null"]
    words = {"array": "list", "object": "mapping", "boolean": "true or false"}
    text = " or ".join(words.get(name, name) for name in types)
    if part.get("x-pyobject"):
        return "spec" if "array" in types else "object"
    if "items" in part:
        inner = _plain_type(part["items"], resolve_part(part["items"]))
        text += " of " + re.sub(r"^\w+", r"\g<0>s", inner)
    return " ".join(filter(None, [text, _bounds(part)]))


def _bounds(part: Mapping[str, Any]) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    fewest, most = part.get("minItems"), part.get("maxItems")
    signs = {
        "≥": None if high is not None else low,
        ">": part.get("exclusiveMinimum"),
        "≤": None if low is not None else high,
        "<": part.get("exclusiveMaximum"),
    }
    texts = [f"{sign} {value}" for sign, value in signs.items() if value is not None]
    if low is not None and high is not None:
        texts.append(f"from {low} to {high}")
    if most is not None:
        texts.append(f"({fewest} entries)" if fewest == most else f"({fewest} to {most} entries)")
    return ", ".join(texts)


def _default(part: Mapping[str, Any]) -> str:
    if "default" not in part:
        return ""
    return "–" if part["default"] is None else f"`{flow_text(part['default'])}`"


def _meaning(raw: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    text = part.get("description", "")
    if not text and (name := _section(raw)):
        text = definition(name).get("description", "")
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", text)


def _model_classes() -> dict[str, str]:
    """The classes that a configuration can name as parts of a model, by definition."""
    from qgpipe import models
    from qgpipe.models.construct.configurable import Configurable

    found = [getattr(models, name) for name in models.__all__]
    return {
        kind.definition: f"`qgpipe.models.{kind.__name__}`"
        for kind in found
        if isinstance(kind, type) and issubclass(kind, Configurable)
    }


def _slug(title: str) -> str:
    """The anchor of a heading on GitHub."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
