"""Changes the text of a configuration file, and keeps what does not change, with its comments."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from qgpipe.config.dump import to_yaml
from qgpipe.config.tags import ConfigLoader

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.M)


def rewritten(text: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """``text``, which is loaded as ``old``, so that it is loaded as ``new``.

    Where lines cannot be kept, all of it is written anew.
    """
    root = yaml.compose(text, Loader=ConfigLoader)
    lines = [f"{line}\n" for line in text.splitlines()]
    for keep_aliases in (True, False):
        if isinstance(root, yaml.MappingNode) and not root.flow_style:
            head = lines[: _start(lines, root.start_mark.line, root.start_mark.column)]
            body = _mapping(lines, root, len(lines), old, new, keep_aliases)
            result = "".join([*head, *body])
            if _is(result, new):
                return result
    return to_yaml(new)


def lost_comments(text: str, result: str) -> list[str]:
    """The comments of ``text`` that are not in ``result``."""
    return [comment for comment in _COMMENT.findall(text) if comment not in result]


def _is(text: str, config: Mapping[str, Any]) -> bool:
    try:
        loaded = yaml.load(text, Loader=ConfigLoader)
    except yaml.YAMLError:
        return False
    return loaded == config and list(loaded) == list(config)


def _mapping(
    lines: list[str],
    node: yaml.MappingNode,
    end: int,
    old: Mapping[Any, Any],
    new: Mapping[Any, Any],
    keep_aliases: bool,
) -> Iterator[str]:
    """The text of ``new``; ``node``: a mapping of ``old`` in block style, which ends at ``end``."""
    indent = node.value[0][0].start_mark.column
    starts = [_start(lines, key.start_mark.line, indent) for key, _ in node.value]
    entries = {}
    for (key, value), start, stop in zip(node.value, starts, [*starts[1:], end], strict=True):
        entries[ConfigLoader("").construct_object(key)] = (key, value, start, stop)
    left = list(entries)
    for name in ["<<", *new] if "<<" in entries else new:
        known = entries.get(name)
        if known is None and name in old and old[name] == new[name]:
            continue  # it comes from elsewhere, by <<
        if known is None:
            while left and left[0] not in new and left[0] != "<<":
                replaced, _, start, _ = entries[left.pop(0)]
                yield from lines[start : replaced.start_mark.line]  # the comments above it
            yield _indented({name: new[name]}, indent)
            continue
        left = left[left.index(name) + 1 :] if name in left else left
        key, value, start, stop = known
        alias = value.start_mark.index < key.start_mark.index
        if name == "<<" or old[name] == new[name] or (alias and keep_aliases):
            yield from lines[start:stop]
        elif alias or not _is_block(value) or not isinstance(new[name], Mapping):
            yield from lines[start : key.start_mark.line]
            yield _indented({name: new[name]}, indent)
        else:
            inner = value.value[0][0].start_mark
            yield from lines[start : _start(lines, inner.line, inner.column)]
            yield from _mapping(lines, value, stop, old[name], new[name], keep_aliases)


def _is_block(node: yaml.Node) -> bool:
    """Whether ``node`` is a plain mapping with a line for each key."""
    return (
        isinstance(node, yaml.MappingNode) and not node.flow_style and not node.tag.startswith("!")
    )


def _start(lines: list[str], line: int, indent: int) -> int:
    """The first of the comments above ``line`` that are indented like it."""
    while line and lines[line - 1].startswith(" " * indent + "#"):
        line -= 1
    return line


def _indented(entry: Mapping[Any, Any], indent: int) -> str:
    lines = to_yaml(entry).splitlines(keepends=True)
    return "".join(" " * indent + line for line in lines)
