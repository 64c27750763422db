"""Modules that PyTorch Geometric imports and most processes never use, loaded on first use."""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LATE = ("torch._dynamo", "torch_geometric.datasets")
"""Without them, ``import torch_geometric`` takes a sixth of its time."""


def import_late() -> None:
    """Load the modules of ``LATE`` when one of their attributes is read, in this process.

    For processes of our own, that is jobs and commands: ``import qgpipe`` changes nothing for
    others. Modules that are already loaded stay.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def waiting() -> list[str]:
    """Those of ``LATE`` that were imported and not yet loaded."""
    return [name for name in LATE if isinstance(sys.modules.get(name), _Late)]


class _Finder:
    """Finds each of ``LATE`` once, with a loader that waits for the first use."""

    def __init__(self) -> None:
        self._names = {*LATE}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of ``name``, as ``sys.meta_path`` asks for it; None for all other modules."""
        if name not in self._names:
            return None
        self._names.discard(name)  # other finders are asked next
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    """Makes a module that waits; unlike ``importlib.util.LazyLoader`` also while ``inspect`` goes
    through all modules and asks each for its file."""

    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> None:
        """None: a module as usual."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Wait. Submodules ask for ``__path__``, and what they import is loaded before them."""
        del module.__path__
        module.__class__ = _Late


class _Late(ModuleType):
    """A package whose content is loaded when an attribute is missing."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        assert spec is not None and isinstance(spec.loader, _LateLoader)
        object.__setattr__(self, "__class__", ModuleType)
        self.__loader__ = spec.loader = spec.loader.loader
        self.__path__ = spec.submodule_search_locations or []
        spec.loader.exec_module(self)
        return getattr(self, name)
