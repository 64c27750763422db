"""The YAML tags of a configuration, and the values they are loaded as.

``!pyobject a.b.C`` becomes the string ``!pyobject a.b.C``; ``!partial`` and the sweep tags
become a mapping with the tag as its only key, ``{"!sweep": {"values": [...]}}``. These values can
pass through JSON, pickle and ``repr``, and so through Snakemake.
"""

import datetime
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from qgpipe.config.objects import PARTIAL, TAG
from qgpipe.errors import shown

_KEYS = {
    PARTIAL: "{type, args, kwargs}",
    "!sweep": "{values}",
    "!coupled-sweep": "{target, values}",
    "!range": "{start, stop, step}",
    "!random_uniform": "{start, stop, log, size}",
    "!reference": "{target}",
}
MOST_VALUES = 100_000  # per file; each use of an anchor counts
DEEPEST = 60  # nested brackets or blocks
_STRANGE = (bytes, datetime.date, set, complex)
_SURROGATE = re.compile("[\ud800-\udfff]")
SWEEP_TAGS = ("!sweep", "!coupled-sweep", "!range", "!random_uniform", "!reference")


def register(loader: type[yaml.FullLoader] = yaml.FullLoader) -> None:
    """Add the tags to ``loader``, and limits on the size of a document.

    Snakemake reads ``--configfile`` with ``FullLoader``, and then walks through all mappings.
    """
    loader.add_constructor(TAG.strip(), _pyobject)
    loader.add_constructor(PARTIAL, _partial)
    for tag in SWEEP_TAGS:
        loader.add_constructor(tag, _mapping)
    loader.add_constructor("tag:yaml.org,2002:map", _bounded_map)


def _bounded_map(loader: yaml.FullLoader, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
    """A mapping as by default, after the size of the document was checked."""
    if not loader.constructed_objects and len(loader.recursive_objects) == 1:  # the root
        _measure(node, {})
    return loader.construct_yaml_map(node)


def _pyobject(loader: yaml.FullLoader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _wrong(node, "!pyobject takes a dotted name, such as torch.nn.ReLU")
    return TAG + node.value.strip()


def _partial(loader: yaml.FullLoader, node: yaml.Node) -> dict[str, Any]:
    value = _mapping(loader, node)
    if "type" not in value[PARTIAL] or not set(value[PARTIAL]) <= {"type", "args", "kwargs"}:
        raise _wrong(node, f"!partial takes a mapping {_KEYS[PARTIAL]}")
    return value


def _mapping(loader: yaml.FullLoader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, f"{node.tag} takes a mapping {_KEYS[node.tag]}")
    return {node.tag: loader.construct_mapping(node, deep=True)}


def _wrong(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Extent(NamedTuple):
    size: int
    height: int


def _measure(node: yaml.Node, known: dict[int, _Extent | None], depth: int = 0) -> _Extent:
    """Size and height of ``node``, where anchors count each time they are used.

    Raises ``ConstructorError`` if there are more than ``MOST_VALUES`` values or ``DEEPEST`` levels,
    or if an anchor contains itself. ``known``: results by node; None for nodes that contain
    ``node``.
    """
    extent = known.get(id(node))
    if extent is None and id(node) in known:
        raise _wrong(node, "an anchor is named within itself")
    if extent is None:
        known[id(node)] = None
        inner: list[_Extent] = []
        if isinstance(node, yaml.CollectionNode) and depth < DEEPEST:
            pairs = isinstance(node, yaml.MappingNode)
            nodes = itertools.chain.from_iterable(node.value) if pairs else node.value
            inner = [_measure(one, known, depth + 1) for one in nodes]
        size = 1 + sum(one.size for one in inner)
        extent = _Extent(size, 1 + max((one.height for one in inner), default=0))
        known[id(node)] = extent
    if depth + extent.height > DEEPEST:
        raise _wrong(node, f"more than {DEEPEST} brackets or blocks are within each other")
    if extent.size > MOST_VALUES:
        raise _wrong(node, f"this stands for {extent.size:,} values; {MOST_VALUES:,} are the most")
    return extent


class ConfigLoader(yaml.FullLoader):
    """``FullLoader`` with the tags, which rejects values that are invalid in a configuration.

    These are repeated keys of a mapping, text that does not match its tag, dates and other values
    that JSON does not have, an anchor within itself, and too many values.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of ``node``. Raises ``ConstructorError`` if it is invalid."""
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            value = super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # PyYAML does not wrap these: int("x"), for instance
            raise _wrong(node, f"{shown(node.value)} is no value of type {kind}") from error
        if isinstance(value, _STRANGE):
            text = node.value if isinstance(node, yaml.ScalarNode) else ""
            raise _wrong(
                node, f"{text or 'this'} is read as a {kind}, which no key takes; put it in quotes"
            )
        if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
            raise _wrong(node, f"{shown(value)} is no text: it holds half of a character")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping of ``node``; raises ``ConstructorError`` for a repeated key."""
        seen: set[str] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise _wrong(key_node, f"key '{key_node.value}' is given twice")
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


register(ConfigLoader)
