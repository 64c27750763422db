"""Builds modules from a configuration: from types, functions and nested specs."""

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import Spec, as_spec, is_spec_mapping
from qgpipe.errors import ConfigError, shown
from qgpipe.models.construct.configurable import Configurable
from qgpipe.models.construct.function import Function
from qgpipe.models.construct.open_sizes import answer_probes, require_sizes


def joined_key(prefix: str | None, key: str | None) -> str | None:
    """``prefix`` and ``key`` as one dotted path: ``model``, ``layers[0]`` → ``model.layers[0]``."""
    if not prefix or not key:
        return prefix or key
    return f"{prefix}{key}" if key.startswith("[") else f"{prefix}.{key}"


@contextmanager
def under(prefix: str) -> Iterator[None]:
    """Put ``prefix`` before the key of a ``ConfigError`` raised in the block."""
    try:
        yield
    except ConfigError as error:
        error.key = joined_key(prefix, error.key)
        raise


def build_module(value: Any, *leading: Any) -> nn.Module:
    """The module described by a spec in any of its forms.

    ``leading`` arguments precede those of the spec. A mapping ``{type, args, kwargs}`` in args or
    kwargs that names a module type is also built (``GINConv`` needs a network). Raises
    ``ConfigError`` with a key relative to the spec.
    """
    if isinstance(value, nn.Module):
        return value
    spec = as_spec(value)
    return construct(spec.type, spec.args, spec.kwargs, leading=leading)


def construct(
    kind: Any,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    leading: Sequence[Any] = (),
    name: str = "",
    type_key: str | None = None,
) -> nn.Module:
    """``kind(*leading, *args, **kwargs)`` as a module; a function becomes a ``Function``.

    ``name``: common prefix of the three keys: ``encoder`` for ``encoder_type``, ``encoder_args``,
    ``encoder_kwargs``; ``type_key``: the key of the type if it is another one. Raises
    ``ConfigError`` with a relative key if ``kind`` is neither a module type nor a function, or if
    its construction fails.
    """
    given_args: list[Any] = list(args or ())
    given: dict[str, Any] = dict(kwargs or {})
    begin = f"{name}_" if name else ""
    own_key = type_key or (f"{name}_type" if name else "")
    with under(own_key):
        kind = import_object(kind)
        if isinstance(kind, functools.partial) and inspect.isclass(kind.func):
            leading, given = (*kind.args, *leading), {**kind.keywords, **given}
            kind = kind.func
        if isinstance(kind, nn.Module):
            if given_args or given or leading:
                raise ConfigError(
                    f"a constructed {type(kind).__name__} takes no arguments",
                    remedy="give its type",
                )
            return kind
        if not callable(kind) or (inspect.isclass(kind) and not issubclass(kind, nn.Module)):
            raise ConfigError(
                f"{shown(kind)} is not a torch.nn.Module type or a function",
                remedy="name a layer such as torch_geometric.nn.SAGEConv",
            )
    if inspect.isclass(kind):
        require_sizes(kind, len(leading), given_args, given, (f"{begin}args", f"{begin}kwargs"))
    module = _called(kind, leading, given_args, given, begin, own_key)
    answer_probes(module, *leading, *given_args, *given.values())
    return module


def _called(
    kind: Any, leading: Sequence[Any], given_args: list, given: dict, begin: str, own_key: str
) -> nn.Module:
    """``kind(*leading, *given_args, **given)``, where specs of modules are built."""
    if inspect.isclass(kind) and issubclass(kind, Configurable) and "definition" in vars(kind):
        return _configured(kind, [*leading, *given_args], given, own_key, f"{begin}kwargs")
    with under(f"{begin}args"):
        given_args = _nested(import_objects(given_args))
    with under(f"{begin}kwargs"):
        given = _nested(import_objects(given))
    with under(own_key):
        if not inspect.isclass(kind):
            return Function(kind, given_args, given)
        return Spec(kind, tuple(given_args), given).build(*leading)


def _configured(
    kind: type[Configurable], args: list, kwargs: dict, own_key: str, kwargs_key: str
) -> Configurable:
    """A class of this package, checked against its schema; keys of errors are in ``kwargs_key``."""
    names = list(inspect.signature(kind).parameters)
    by_position = dict(zip(names, args, strict=False))
    twice = sorted(by_position.keys() & kwargs.keys())
    if len(args) > len(names) or twice:
        problem = f"'{twice[0]}' is given twice" if twice else f"{len(args)} args are too many"
        raise ConfigError(
            f"{problem}, {kind.__name__} takes {', '.join(names)}",
            key=own_key or None,
            remedy="give them by name in kwargs",
        )
    with under(kwargs_key):
        return kind.from_config({**by_position, **kwargs})


def _nested(value: Any) -> Any:
    """``value`` with module specs in lists and mappings replaced by the modules."""
    if isinstance(value, Mapping):
        kind = value.get("type")
        if is_spec_mapping(value) and inspect.isclass(kind) and issubclass(kind, nn.Module):
            return build_module(value)
        return {k: _under_key(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_under_key(f"[{i}]", v) for i, v in enumerate(value))
    return value


def _under_key(key: str, value: Any) -> Any:
    with under(key):
        return _nested(value)
