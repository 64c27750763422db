"""What the models that are not those of qgpipe have in common."""

from collections.abc import Mapping
from typing import Any, Self

from qgpipe.compat.quantumgrav.base import errors_as_there


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
