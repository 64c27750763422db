"""``import QuantumGrav`` in the user's modules: QuantumGravPy's names over the parts of qgpipe.

Unless QuantumGravPy itself, or a module of this name of the user, is there: then that is imported.
"""

import importlib
import logging
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

NAME, COMPAT = "QuantumGrav", "qgpipe.compat.quantumgrav"

logger = logging.getLogger(__name__)


def provide() -> None:
    """Make ``import QuantumGrav`` work from now on, in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def other_package() -> str | None:
    """The file of another package ``QuantumGrav`` that Python would import; None if there is none.

    A folder without ``__init__.py``, such as a clone of QuantumGravPy, is none. Nor is the module
    that the distribution ``qgpipe-quantumgrav`` installs.
    """
    spec = PathFinder.find_spec(NAME)
    if spec is None or spec.origin is None:
        return None
    text = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    return None if f"import {COMPAT}" in text else spec.origin


def is_upstreams(value: Any) -> bool:
    """Whether ``value`` is the module ``QuantumGrav``, or is in it."""
    name = getattr(value, "__name__" if isinstance(value, ModuleType) else "__module__", None)
    return isinstance(name, str) and f"{name}.".startswith((f"{NAME}.", f"{COMPAT}."))


class _Finder(MetaPathFinder):
    """Finds ``QuantumGrav`` and the modules in it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of one of ours, None for any other."""
        if name == NAME and (other := other_package()) is not None:
            logger.warning(
                "'import %s' is %s; names %s.X in a configuration are those of qgpipe",
                NAME, other, NAME,
            )  # fmt: skip
            return None
        if name != NAME and not name.startswith(f"{NAME}."):
            return None
        if name != NAME and sys.modules[NAME].__name__ != COMPAT:
            return None
        return ModuleSpec(name, _Alias())


class _Alias(Loader):
    """Puts the module of ours in the place of the one that is imported."""

    def create_module(self, spec: ModuleSpec) -> None:
        """A new module, which is replaced at once."""

    def exec_module(self, module: ModuleType) -> None:
        """Import ours. Raises ``ModuleNotFoundError`` with the name that was asked for."""
        ours = COMPAT + module.__name__.removeprefix(NAME)
        try:
            sys.modules[module.__name__] = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name != ours:
                raise
            raise ModuleNotFoundError(
                f"{module.__name__} is not among what qgpipe has of QuantumGravPy",
                name=module.__name__,
            ) from None
