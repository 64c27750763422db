"""Base class of the models of this package: schema, conversion to and from configs, files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from qgpipe.config.objects import object_name
from qgpipe.config.schema import definition, schema, validate
from qgpipe.errors import ConfigError, DataError
from qgpipe.models.construct.model_file import imports_of, load_weights, read_model_file, save_model


class _Schema:
    """The JSON Schema of the class, with all definitions that it refers to."""

    def __get__(self, _: object, owner: type[Configurable]) -> dict[str, Any]:
        return {"title": owner.__name__, **definition(owner.definition), "$defs": schema()["$defs"]}


class Configurable(nn.Module):
    """A module that is built from plain values and can be converted back to them.

    ``definition``: name of its entry in the schema; ``schema``: that entry as a JSON Schema.
    """

    definition: ClassVar[str]
    schema = _Schema()
    takes_adjacency = True  # for edge_index, see qgpipe.message_passing.layers.call

    def __init__(self, arguments: Mapping[str, Any]):
        super().__init__()
        known = definition(self.definition)["properties"]
        self._arguments = {name: arguments[name] for name in known}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build a model from a config that matches ``schema``, with objects or their names.

        Raises ``ConfigError`` with the key of a value that is invalid or cannot be constructed.
        """
        return cls(**validate(config, cls.definition))

    def to_config(self) -> dict[str, Any]:
        """The config from which ``from_config`` builds the same model, except for the weights.

        Raises ``ConfigError`` if an argument was a constructed module, which has no name in a
        config.
        """
        return {name: _plain(value, name) for name, value in self._arguments.items()}

    def save(self, path: str | Path) -> None:
        """Write config and weights to ``path``, atomically."""
        save_model(path, {"type": type(self), "kwargs": self.to_config()}, self.state_dict())

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device = "cpu", *, trust: bool = False
    ) -> Self:
        """The model that ``save`` wrote to ``path``. No pickled code is executed.

        Without ``trust`` only known parts are allowed, as in ``qgpipe.models.load_model``. Raises
        ``DataError`` if the file is missing, damaged, or holds another class.
        """
        content = read_model_file(path)
        section = content["model"]
        if section["type"] != object_name(cls):
            raise DataError(
                f"{path} holds {section['type']}, not a {cls.__name__}",
                remedy="use qgpipe.models.load_model",
            )
        with imports_of(path, section["kwargs"], trust):
            model = cls.from_config(section["kwargs"])
        load_weights(model, content["state_dict"], path)
        return model.to(device)

    def child_keys(self) -> dict[str, tuple[str, str]]:
        """Config keys of the submodules: name → (key of its type, key of its contents)."""
        return {}


def _plain(value: Any, key: str) -> Any:
    if isinstance(value, nn.Module):
        raise ConfigError(
            f"a constructed {type(value).__name__} has no name in a configuration",
            key=key,
            remedy="give its type and arguments instead",
        )
    if isinstance(value, Mapping):
        return {k: _plain(v, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{key}[{i}]") for i, v in enumerate(value)]
    return value
