"""The classes of causal sets in a configuration."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.registry import import_generator
from qgpipe.causets.order import order_violation
from qgpipe.config.objects import dotted_name, import_objects
from qgpipe.errors import ConfigError


@dataclass(frozen=True)
class CausalSetClass:
    """A class of causal sets: its name, the generator with its arguments, the key that names it."""

    name: str
    function: Callable[..., Any]
    kwargs: dict[str, Any]
    key: str

    def generate(self, rng: np.random.Generator, n: int) -> CausalSet:
        """A causal set of n elements, checked to be a partial order in a natural labelling.

        Raises ``ConfigError`` with the key of the class if the function fails, or does not return
        such a causal set or its relation matrix (n, n).
        """
        made = self.generate_unchecked(rng, n)
        self.require_order(made.relations)
        return made

    def generate_unchecked(self, rng: np.random.Generator, n: int) -> CausalSet:
        """:meth:`generate` without the check of the relations, for which they are squared."""
        try:
            result = self.function(rng, n, **self.kwargs)
            made = result if isinstance(result, CausalSet) else CausalSet(np.asarray(result) != 0)
        except ConfigError as error:
            error.key = f"{self.key}.kwargs" + (f".{error.key}" if error.key else "")
            raise
        except Exception as error:
            raise ConfigError(
                f"'{self.name}' failed for n = {n}: {type(error).__name__}: {error}", key=self.key
            ) from error
        if made.relations.shape != (n, n) or made.relations.dtype != np.bool_:
            raise ConfigError(
                f"'{self.name}' returned {made.relations.dtype} of shape {made.relations.shape} "
                f"for n = {n}",
                key=self.key,
                remedy="return the relation matrix, bool of shape (n, n)",
            )
        return made

    def require_order(self, relations: NDArray[np.bool_]) -> None:
        """Raise ``ConfigError`` if ``relations`` are no partial order in a natural labelling."""
        if violation := order_violation(relations):
            raise ConfigError(
                f"'{self.name}' returned no partial order for n = {len(relations)}: {violation}",
                key=self.key,
                remedy="number elements from past to future, and close the matrix with "
                "qgpipe.causets.order.transitive_closure",
            )


def resolve_classes(classes: Sequence[Any], key: str = "generate.classes") -> list[CausalSetClass]:
    """The classes in ``generate.classes``, with their functions imported.

    An entry is a generator (see ``registry.import_generator``), or a mapping with ``type``,
    ``name`` and ``kwargs``. The default name is that of the generator. The class code
    (``cset_type``) is the index in the list. Raises ``ConfigError`` with the key of an entry whose
    generator is unknown or does not accept the arguments, or whose name is not unique.
    """
    resolved: dict[str, CausalSetClass] = {}
    for i, entry in enumerate(classes):
        found = resolve_class(entry, f"{key}[{i}]")
        if found.name in resolved:
            raise ConfigError(
                f"two classes are called '{found.name}'",
                key=found.key,
                remedy="give each a 'name' of its own",
            )
        resolved[found.name] = found
    return list(resolved.values())


def resolve_class(entry: Any, key: str) -> CausalSetClass:
    """The class that ``entry`` stands for, as in :func:`resolve_classes`, at ``key``."""
    mapping = entry if isinstance(entry, Mapping) else {"type": entry}
    function = import_generator(mapping["type"], key)
    name = mapping.get("name") or _generator_name(mapping["type"])
    kwargs = import_objects(dict(mapping.get("kwargs") or {}), f"{key}.kwargs")
    try:
        inspect.signature(function).bind(None, 1, **kwargs)
    except TypeError as error:
        accepted = list(inspect.signature(function).parameters)[2:]
        raise ConfigError(
            f"'{name}' cannot be called as f(rng, n, **kwargs): {error}",
            key=f"{key}.kwargs",
            remedy=f"its keyword arguments are {', '.join(accepted) or 'none'}",
        ) from None
    return CausalSetClass(name, function, kwargs, key)


def _generator_name(generator: Any) -> str:
    if isinstance(generator, str):
        return dotted_name(generator).rpartition(".")[2]
    return getattr(generator, "__name__", type(generator).__name__)
