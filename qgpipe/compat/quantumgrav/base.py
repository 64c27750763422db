"""What the classes have in common: errors, and a base class."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import jsonschema

from qgpipe.errors import ConfigError, QgpipeError


class Configurable(ABC):
    """Base of classes that are built from a configuration."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An object of the class, for the mapping ``config``."""


class ConfigurationError(ConfigError, ValueError, RuntimeError):
    """A ``ConfigError`` that is also caught where QuantumGravPy's errors are expected."""


@contextmanager
def errors_as_there() -> Iterator[None]:
    """A block whose errors of qgpipe are raised as ``ConfigurationError``."""
    try:
        yield
    except ConfigurationError:
        raise
    except QgpipeError as error:
        key = getattr(error, "key", None) or error.where
        raise ConfigurationError(error.problem, key=key, remedy=error.remedy) from error


def require_keys(config: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """Raise ``jsonschema.ValidationError`` if ``config`` lacks one of ``keys``."""
    jsonschema.validate(config, {"type": "object", "required": list(keys)})


class AsThere:
    """For a model behind it: QuantumGravPy's errors, and its arguments as attributes."""

    def __init__(self, *args: Any, **kwargs: Any):
        with errors_as_there():
            super().__init__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """A part of the module, or an argument that it was made with."""
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            if name in (arguments := self.__dict__.get("_arguments", {})):
                return arguments[name]
            raise

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A model for ``config``. Raises ``ConfigurationError`` if that is not possible."""
        with errors_as_there():
            return super().from_config(config)  # type: ignore[misc]
