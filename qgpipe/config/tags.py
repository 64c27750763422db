"""The YAML tags of a configuration, and what they leave in the config dict.

``!pyobject a.b.C`` becomes the string ``!pyobject a.b.C``; ``!partial`` and the sweep tags
become a mapping with the tag as its only key, ``{"!sweep": {"values": [...]}}``. All of them
survive JSON, pickle and ``repr``, so the config can travel through Snakemake.
"""

from __future__ import annotations

from typing import Any

import yaml

from qgpipe.config.objects import PARTIAL, TAG

_KEYS = {
    PARTIAL: "{type, args, kwargs}",
    "!sweep": "{values}",
    "!coupled-sweep": "{target, values}",
    "!range": "{start, stop, step}",
    "!random_uniform": "{start, stop, log, size}",
    "!reference": "{target}",
}
SWEEP_TAGS = ("!sweep", "!coupled-sweep", "!range", "!random_uniform", "!reference")


def register(loader: type[yaml.FullLoader] = yaml.FullLoader) -> None:
    """Teach ``loader`` the tags. Snakemake reads ``--configfile`` with ``FullLoader``."""
    loader.add_constructor(TAG.strip(), _pyobject)
    loader.add_constructor(PARTIAL, _partial)
    for tag in SWEEP_TAGS:
        loader.add_constructor(tag, _mapping)


def _pyobject(loader: yaml.FullLoader, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise yaml.constructor.ConstructorError(
            None, None, "!pyobject takes a dotted name, such as torch.nn.ReLU", node.start_mark
        )
    return TAG + node.value.strip()


def _partial(loader: yaml.FullLoader, node: yaml.Node) -> dict[str, Any]:
    value = _mapping(loader, node)
    if "type" not in value[PARTIAL] or not set(value[PARTIAL]) <= {"type", "args", "kwargs"}:
        raise yaml.constructor.ConstructorError(
            None, None, f"!partial takes a mapping {_KEYS[PARTIAL]}", node.start_mark
        )
    return value


def _mapping(loader: yaml.FullLoader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(
            None, None, f"{node.tag} takes a mapping {_KEYS[node.tag]}", node.start_mark
        )
    return {node.tag: loader.construct_mapping(node, deep=True)}


class ConfigLoader(yaml.FullLoader):
    """``FullLoader`` with the tags, which refuses a key given twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping of ``node``; raises ``ConstructorError`` for a repeated key."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key '{key_node.value}' is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


register(ConfigLoader)
