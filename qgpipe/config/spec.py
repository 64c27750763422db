"""Specs: objects to construct, in a configuration.

A spec is a list ``[type]``, ``[type, args]``, ``[type, args, kwargs]`` (a layer may add a
signature), a mapping ``{type, args, kwargs}``, or the bare type. All are accepted
wherever something is constructed. A partial of a class is the spec of that class.
"""

import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qgpipe.config.objects import import_object, import_objects, is_partial
from qgpipe.errors import ConfigError, shown

SPEC_KEYS = {"type", "args", "kwargs", "signature"}
_NULL = "write null for none"


@dataclass(frozen=True)
class Spec:
    """One object to construct: ``type(*args, **kwargs)``, with the config key it came from."""

    type: Any
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    signature: str | None = None
    key: str | None = None

    def build(self, *leading: Any) -> Any:
        """``type(*leading, *args, **kwargs)``.

        Raises ``ConfigError`` naming the spec and the cause when construction fails.
        """
        try:
            return self.type(*leading, *self.args, **self.kwargs)
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:
            name = _name(self.type)
            given = ", ".join(
                [*map(_shown, self.args), *(f"{k}={_shown(v)}" for k, v in self.kwargs.items())]
            )
            raise ConfigError(
                f"cannot construct {name}({given}): {error}",
                key=self.key,
                remedy="check its arguments",
            ) from error


def is_spec_mapping(value: Any) -> bool:
    """Whether ``value`` is a mapping of the form ``{type, args, kwargs}``."""
    return isinstance(value, Mapping) and "type" in value and set(value) <= SPEC_KEYS


def as_spec(value: Any, key: str | None = None) -> Spec:
    """A ``Spec`` from any of its forms, with its type imported.

    Raises ``ConfigError`` if the form is wrong or the type cannot be imported or called.
    """
    if isinstance(value, Spec):
        return value
    signature = None
    if isinstance(value, Mapping) and not is_partial(value):
        unknown = set(value) - SPEC_KEYS
        if "type" not in value or unknown:
            raise ConfigError(
                f"expected a mapping with 'type', 'args', 'kwargs', got keys {shown(list(value))}",
                key=key,
            )
        target, args, kwargs = value["type"], value.get("args"), value.get("kwargs")
        signature = value.get("signature")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if not 1 <= len(value) <= 4:
            raise ConfigError(f"expected [type, args, kwargs], got {len(value)} entries", key=key)
        padded = [*value, *[None] * (4 - len(value))]
        target, args, kwargs, signature = padded
    else:
        target, args, kwargs = value, None, None
    if args is not None and (isinstance(args, str) or not isinstance(args, Sequence)):
        raise ConfigError(f"args must be a list, got {shown(args)}", key=key, remedy=_NULL)
    named = isinstance(kwargs, Mapping) and all(isinstance(name, str) for name in kwargs)
    if kwargs is not None and (not named or is_partial(kwargs)):
        raise ConfigError(f"kwargs must be a mapping, got {shown(kwargs)}", key=key, remedy=_NULL)
    if signature is not None and not isinstance(signature, str):
        raise ConfigError(
            f"a signature is text, got {shown(signature)}", key=key, remedy="write 'x, edge_index'"
        )
    target = import_object(target, key)
    if not callable(target):
        raise ConfigError(
            f"{shown(target)} cannot be called", key=key, remedy="name a type or function"
        )
    args, kwargs = tuple(args or ()), dict(kwargs or {})
    if isinstance(target, functools.partial) and inspect.isclass(target.func):
        args, kwargs = (*target.args, *args), {**target.keywords, **kwargs}
        target = target.func
    return Spec(target, args, kwargs, signature, key)


def build_object(value: Any, key: str) -> Any:
    """The object that a spec in any form stands for: a loss, a reader, a transform.

    A class is constructed; a function becomes a partial with its kwargs. Tagged objects among args
    and kwargs are imported. Raises ``ConfigError`` with ``key`` if that fails.
    """
    spec = as_spec(value, key)
    args = tuple(import_objects(list(spec.args), f"{key}.args"))
    kwargs = import_objects(spec.kwargs, f"{key}.kwargs")
    if inspect.isclass(spec.type):
        return Spec(spec.type, args, kwargs, key=key).build()
    if args:
        raise ConfigError(
            f"the first arguments of the function '{_name(spec.type)}' are given by the pipeline",
            key=key,
            remedy="give further ones as kwargs",
        )
    return functools.partial(spec.type, **kwargs) if kwargs else spec.type


def check_keywords(
    function: Any, kwargs: Mapping[str, Any], key: str, leading: int = 0, name: str | None = None
) -> None:
    """Raise ``ConfigError`` for the first of ``kwargs`` that ``function`` does not accept.

    ``key``: that of the kwargs; ``leading``: number of first parameters that cannot be given by
    name; ``name``: of the function in the message, by default its own. Functions without a
    signature are not checked.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # functions in C have no signature
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    accepted = [p.name for p in parameters[leading:]]
    for keyword in kwargs:
        if keyword not in accepted:
            raise ConfigError(
                f"{name or _name(function)} takes no '{keyword}'",
                key=f"{key}.{keyword}",
                remedy=f"it takes {', '.join(accepted) or 'nothing'}",
            )


def _shown(value: Any) -> str:
    """``value`` as text for a message, functions and types by name."""
    return value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else shown(value)


def _name(value: Any) -> str:
    return getattr(value, "__name__", None) or shown(value)
