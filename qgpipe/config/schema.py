"""The JSON Schema of configurations: checks, defaults and numbers given as strings.

``schema.json`` beside this module holds every key with type, default and description.
The walk below picks the branch of an ``anyOf``, fills defaults and names the key of each
error; the keywords of a single value are checked by ``jsonschema``.
"""

import copy
import functools
import json
import math
import numbers
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qgpipe.config.objects import PARTIAL, is_partial
from qgpipe.errors import ConfigError, shown

_WALKED = {
    "properties", "patternProperties", "items", "additionalProperties", "required", "$ref",
    "anyOf", "default",
}  # fmt: skip
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HALVES = re.compile("[\ud800-\udfff]")  # surrogates, which UTF-8 cannot encode
EDITOR_SCHEMA = Path(__file__).resolve().with_name("editor_schema.json")
_LARGEST = 2**63 - 1
_LONGEST_PATH = 1000  # characters; the system allows about 4,000 bytes
# Values of ``x-numbers``: which numbers a key accepts besides finite ones.
FINITE, INFINITE, ANY = "finite", "infinite", "any"
_PLAIN = (str, bool, int, float, list, tuple, Mapping, type(None))


@functools.cache
def schema() -> dict[str, Any]:
    """The whole schema, as a plain dict. Do not change it in place."""
    return json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))


def definition(name: str) -> dict[str, Any]:
    """The schema of one piece, such as ``gnn_model`` or ``training``."""
    return schema()["$defs"][name]


def validate(value: Any, definition: str | None = None, key: str = "") -> Any:
    """A copy of ``value``, checked against the schema, with every default filled in.

    ``definition`` names an entry of ``$defs``; without it ``value`` is a whole
    configuration. ``key`` is the path under which errors are reported. Path objects become
    strings, and NumPy's numbers those of Python. Strings that look like numbers become numbers
    where the schema asks for one, and in free arguments where they have an exponent (``1e-4``,
    which YAML 1.1 reads as text).

    Raises ``ConfigError`` for an unknown key (naming the nearest known one), a missing key
    or a value of the wrong type or range.
    """
    part = schema() if definition is None else schema()["$defs"][definition]
    return _walk(value, part, key, FINITE)


def resolve_part(part: Mapping[str, Any]) -> dict[str, Any]:
    """``part`` with its ``$ref`` replaced by what it refers to; its own keywords win."""
    if "$ref" not in part:
        return dict(part)
    target: Any = schema()
    for step in part["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return {**resolve_part(target), **{k: v for k, v in part.items() if k != "$ref"}}


def _branch(value: Any, part: dict[str, Any]) -> dict[str, Any]:
    """Choose between ``{type, args, kwargs}`` and the native form, by the key ``type``."""
    constructor, native = (resolve_part(branch) for branch in part["anyOf"])
    chosen = constructor if isinstance(value, Mapping) and "type" in value else native
    return {**chosen, **{k: v for k, v in part.items() if k != "anyOf"}}


def _walk(value: Any, part: Mapping[str, Any], key: str, numbers_around: str) -> Any:
    """``value``, checked and completed; ``numbers_around``: ``x-numbers`` of the key above."""
    part = resolve_part(part)
    around = part.get("x-numbers", numbers_around)
    if is_partial(value) and "pyobject" in _types(part):
        return {PARTIAL: _walk(value[PARTIAL], definition("constructor"), key, around)}
    if "anyOf" in part:
        part = _branch(value, part)
    value = _coerce(value, part)
    _check(value, part, key)
    if isinstance(value, Mapping):
        walk = _walk_mapping if "properties" in part else _walk_free
        return walk(value, part, key, around)
    if isinstance(value, list | tuple):
        if "items" in part:
            return [_walk(v, part["items"], f"{key}[{i}]", around) for i, v in enumerate(value)]
        return _free(value, key, around)
    return value


def _walk_mapping(value: Mapping, part: dict[str, Any], key: str, around: str) -> dict[str, Any]:
    properties = part["properties"]
    result: dict[str, Any] = {}
    for name in value:
        if name not in properties and part.get("additionalProperties") is False:
            if isinstance(name, str) and name.startswith("x-") and not key:
                continue
            raise _unknown(name, properties, key)
    for name, sub in properties.items():
        sub = resolve_part(sub)
        path = f"{key}.{name}" if key else name
        given = value.get(name)
        if given is None:
            if name in part.get("required", ()):
                raise ConfigError(
                    "missing" if name not in value else "must not be null",
                    key=path,
                    remedy=f"give it: {sub.get('description', 'it is required')}",
                )
            if "default" not in sub:
                continue
            given = copy.deepcopy(sub["default"])
            if given is None:
                result[name] = None
                continue
        result[name] = _walk(given, sub, path, around)
    return result


def _walk_free(value: Mapping, part: dict[str, Any], key: str, around: str) -> dict[Any, Any]:
    if is_partial(value) and "object" in _types(part):
        raise ConfigError(
            "expected a mapping of names, got a partial", key=key, remedy="name each argument"
        )
    inner = part.get("additionalProperties")
    if isinstance(inner, Mapping):
        _check_names(value, key)
        return {str(k): _walk(v, inner, f"{key}.{k}", around) for k, v in value.items()}
    return _free(value, key, around)


def _free(value: Any, key: str, allowed: str) -> Any:
    """Free arguments: strings with an exponent, and NumPy's numbers, become Python's numbers."""
    if isinstance(value, Mapping):
        _check_names(value, key)
        return {k: _free(v, f"{key}.{k}", allowed) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_free(v, f"{key}[{i}]", allowed) for i, v in enumerate(value)]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    elif isinstance(value, str):
        if not value.isascii() and _HALVES.search(value):
            raise ConfigError(f"{shown(value)} is no text", key=key)
    else:
        value = _python_number(value)
    _check_number(value, key, allowed)
    return value


def _check_names(value: Mapping, key: str) -> None:
    """Raise ``ConfigError`` unless all keys are of one kind, text or numbers, and printable."""
    text = all(isinstance(k, str) for k in value)
    if text:
        wrong = [k for k in value if _CONTROL.search(k)]
    else:
        kinds = str if any(isinstance(k, str) for k in value) else int | float
        wrong = [k for k in value if not isinstance(k, kinds)]
    if wrong:
        remedy = "give it another name" if text else "write it in quotes"
        raise ConfigError(f"{shown(wrong[0])} is no name of a key", key=key or None, remedy=remedy)


def _check_number(value: Any, key: str, allowed: str, most: int = _LARGEST) -> None:
    """Raise ``ConfigError`` for a number that is not finite (if not ``allowed``) or too large."""
    if isinstance(value, float) and not math.isfinite(value):
        if allowed == FINITE or (math.isnan(value) and allowed != ANY):
            raise ConfigError(f"expected a finite number, got {value}", key=key or None)
    elif isinstance(value, int) and not -_LARGEST <= value <= most:
        raise ConfigError(
            f"expected an integer of 64 bits, got {shown(value)}",
            key=key or None,
            remedy=f"at most {most}",
        )


def _python_number(value: Any) -> Any:
    """A NumPy number as a Python number, any other value unchanged."""
    if isinstance(value, numbers.Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, int | float):
        return float(value)
    return value


def _coerce(value: Any, part: Mapping[str, Any]) -> Any:
    types, value = _types(part), _python_number(value)
    if isinstance(value, os.PathLike) and "string" in types and "pyobject" not in types:
        return os.fspath(value)
    if not isinstance(value, str) or "string" in types or not {*types} & {"integer", "number"}:
        return value
    with suppress(ValueError):
        if "number" in types:
            return float(value)
        number = float(value)
        if number.is_integer():  # 1e9; the digits of 9007199254740993 do not fit a float
            return int(value) if value.strip("+- ").isdecimal() else int(number)
    return value


def _types(part: Mapping[str, Any]) -> list[str]:
    """The types that ``part`` allows; ``pyobject`` where it may be a Python object."""
    given = part.get("type", [])
    types = [given] if isinstance(given, str) else list(given)
    return [*types, "pyobject"] if part.get("x-pyobject") else types


@functools.cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "array": lambda _, v: isinstance(v, list | tuple),
            "object": lambda _, v: isinstance(v, Mapping),
            "pyobject": lambda _, v: not isinstance(v, _PLAIN),
        }
    )
    return extend(Draft202012Validator, {"pattern": _check_pattern}, type_checker=checker)


def _check_pattern(_validator: Any, pattern: str, value: Any, _part: Any) -> Iterator[Any]:
    """As in ECMA, which JSON Schema refers to, ``$`` does not match before a line break."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _check(value: Any, part: Mapping[str, Any], key: str) -> None:
    _check_number(value, key, part.get("x-numbers", FINITE), max(_LARGEST, part.get("maximum", 0)))
    if isinstance(value, str):
        _check_text(value, part, key)
    own = {k: v for k, v in part.items() if k not in _WALKED}
    if types := _types(part):
        own["type"] = types
    error = next(_validator_class()(own).iter_errors(value), None)
    if error is not None:
        raise ConfigError(
            f"expected {_expectation(part, value)}, got {shown(value)}",
            key=key or None,
            remedy=part.get("description"),
        )


def _check_text(value: str, part: Mapping[str, Any], key: str) -> None:
    """Raise ``ConfigError`` for control characters, and for paths that are too long or invalid."""
    problem = remedy = None
    line = " ".join(value.split("\n")).replace("\t", " ") if part.get("x-text") else value
    if found := _CONTROL.search(line):
        problem, remedy = f"{found[0]!a} may not stand here", "remove it"
    elif "x-path" in part and len(value) > _LONGEST_PATH:
        problem, remedy = f"a path of {len(value):,} characters is too long", "give a shorter one"
    elif part.get("x-path") == "output" and (found := re.search("[{}]", value)):
        problem = f"'{found[0]}' may not stand in the name of an output folder"
        remedy = "write the name out; the runs of a sweep have folders of their own"
    if problem is not None:
        raise ConfigError(f"{problem}, got {shown(value)}", key=key or None, remedy=remedy)


def _expectation(part: Mapping[str, Any], value: Any) -> str:
    if "enum" in part:
        return "one of " + ", ".join(map(str, part["enum"]))
    names = {"object": "a mapping", "array": "a list", "pyobject": "a Python object",
             "string": "a string", "integer": "an integer", "number": "a number",
             "boolean": "true or false", "null": "null"}  # fmt: skip
    bounds = {"minimum": "at least {}", "maximum": "at most {}", "exclusiveMinimum": "above {}",
              "exclusiveMaximum": "below {}", "minItems": "with {} entries or more",
              "maxItems": "with {} entries at most",
              "minProperties": "with {} keys or more", "propertyNames": "whose keys are text",
              "pattern": "that matches {}"}  # fmt: skip
    types = _types(part)
    # If the type is right, a bound is violated: then other types are not mentioned.
    types = [t for t in types if _validator_class()({"type": t}).is_valid(value)] or types
    *others, last = [names[t] for t in types]
    text = " or ".join(filter(None, [", ".join(others), last]))
    limits = [
        phrase.format(part[word])
        for word, phrase in bounds.items()
        if word in part and ("array" in types or not word.endswith("Items"))
    ]
    if "minLength" in part and value == "":
        limits.append("that is not empty")
    elif isinstance(value, str) and len(value) > part.get("maxLength", len(value)):
        limits = [f"of at most {part['maxLength']} characters"]
    return " ".join([text, *([] if others else [" and ".join(limits)])]).strip()


def _unknown(name: Any, properties: Mapping[str, Any], key: str) -> ConfigError:
    from rapidfuzz import fuzz, process

    best = process.extractOne(str(name), list(properties), scorer=fuzz.ratio, score_cutoff=55)
    remedy = f"did you mean '{best[0]}'?" if best else "known keys: " + ", ".join(properties)
    return ConfigError("unknown key", key=f"{key}.{name}" if key else str(name), remedy=remedy)
