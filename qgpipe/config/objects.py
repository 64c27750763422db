"""Names of Python objects in a configuration, and the objects they stand for.

A configuration holds an object as the string ``!pyobject a.b.C`` (which the YAML tag is loaded as),
as a plain dotted string, or as the object itself if it was written in Python. A
``functools.partial`` is a mapping, ``{"!partial": {type, args, kwargs}}``. Names are imported only
inside a stage.
"""

import functools
import importlib.machinery
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from qgpipe.errors import ConfigError, shown
from qgpipe.system import quantumgrav_import
from qgpipe.system.user_code import INSTALLED, line_of_user

TAG = "!pyobject "
PARTIAL = "!partial"
SEARCH_PATH_VARIABLE = "QGPIPE_PATH"
quantumgrav_import.provide()  # already here: a process may unpickle the user's objects next
logger = logging.getLogger(__name__)
_appended: set[str] = set()  # folders that were appended to sys.path


# New names of modules that were moved since the first version; configurations may name the old
# ones.
_MOVED = {
    "qgpipe.data.reader": "qgpipe.data.readers.reader",
    "qgpipe.training.evaluator": "qgpipe.training.evaluation.evaluator",
    "qgpipe.models.skipconnection": "qgpipe.models.layers.skip_connection",
    **{
        f"qgpipe.models.{name}": f"qgpipe.models.layers.{name}"
        for name in (
            "gnn_block", "gps_transformer", "linear_sequential", "sequential", "skip_connection",
        )
    },
    **{
        f"qgpipe.causets.{name}": f"qgpipe.causets.generators.{name}"
        for name in (
            "lattices", "layered", "perturbed", "random_orders", "sprinklings", "topology",
        )
    },
}  # fmt: skip

OURS = "qgpipe"
# Names of QuantumGravPy that this package itself does not have.
ONLY_THERE = {
    "DataLoaderFactory", "DistributedDataLoaderFactory", "QGDataset", "TrainerDDP", "ConfigHandler",
    "DefaultEvaluator", "DefaultValidator", "DefaultTester", "initialize_ddp", "cleanup_ddp",
    "get_loader", "zarr_group_to_dict", "zarr_file_to_dict", "import_and_get", "get_at_path",
    "assign_at_path", "base", "config_utils", "dataloaders", "dataset_base", "dataset_ondisk",
    "early_stopping", "evaluate", "gnn_model", "load_zarr", "train", "train_ddp", "utils", "QGTune",
}  # fmt: skip

_check: ContextVar[Callable[[str], None] | None] = ContextVar("check", default=None)


def is_tagged(value: Any) -> bool:
    """Whether ``value`` is the string form of a ``!pyobject`` tag."""
    return isinstance(value, str) and value.startswith(TAG)


def is_partial(value: Any) -> bool:
    """Whether ``value`` is the mapping that a ``!partial`` tag leaves behind."""
    return isinstance(value, Mapping) and set(value) == {PARTIAL}


def dotted_name(value: str) -> str:
    """``a.b.C`` of ``!pyobject a.b.C`` or ``a.b.C``; ``QuantumGrav.X`` becomes ``qgpipe.X``.

    A name that only QuantumGravPy has is found in ``qgpipe.compat.quantumgrav``.
    """
    name = value.removeprefix(TAG).strip()
    package, dot, rest = name.partition(".")
    if package != quantumgrav_import.NAME:
        return name
    only_there = rest.partition(".")[0] in ONLY_THERE
    return f"{quantumgrav_import.COMPAT if only_there else OURS}{dot}{rest}"


def import_object(value: Any, key: str | None = None) -> Any:
    """The object that ``value`` stands for.

    ``value`` is a tagged or plain dotted string, the mapping of a partial, or any other object,
    which is returned unchanged. Modules are searched for among the installed packages and in the
    user's folders (see :func:`add_search_path`).

    Raises ``ConfigError`` (with ``key``) if the module or the name in it does not exist, or
    if importing the module fails.
    """
    if is_partial(value):
        return _import_partial(value[PARTIAL], key)
    if not isinstance(value, str):
        return value
    name = dotted_name(value)
    if (check := _check.get()) is not None:
        check(name)
    _activate_search_path()
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise ConfigError(
            f"'{name}' is not a dotted Python name", key=key, remedy="write package.module.name"
        )
    found = _import_module(parts[0], key)
    _warn_if_hidden(parts[0])
    for end, attribute in enumerate(parts[1:], start=1):
        owner = ".".join(parts[:end])
        if not hasattr(found, attribute) and hasattr(found, "__path__"):
            found = _import_module(f"{owner}.{attribute}", key, within=found)
            continue
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise _no_attribute(found, owner, attribute, key) from None
    return found


@contextmanager
def checked_imports(check: Callable[[str], None]) -> Iterator[None]:
    """Call ``check`` with each dotted name before it is imported within the block."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def imports_are_checked() -> bool:
    """Whether the caller is in a block of ``checked_imports``."""
    return _check.get() is not None


def import_objects(value: Any, key: str | None = None) -> Any:
    """``value`` with every tagged string and partial in its lists and mappings imported.

    Plain strings are not imported: in free arguments they may be text.
    """
    if is_tagged(value) or is_partial(value):
        return import_object(value, key)
    if isinstance(value, Mapping):
        return {k: import_objects(v, f"{key}.{k}" if key else str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(import_objects(v, f"{key or ''}[{i}]") for i, v in enumerate(value))
    return value


def _import_partial(parts: Any, key: str | None) -> functools.partial:
    """The partial of ``{type, args, kwargs}``."""
    if not isinstance(parts, Mapping) or "type" not in parts:
        raise ConfigError(
            f"{PARTIAL} takes a mapping {{type, args, kwargs}}, got {shown(parts)}", key=key
        )
    function = import_object(parts["type"], key)
    if not callable(function):
        raise ConfigError(f"{shown(function)} cannot be called", key=key, remedy="name a function")
    args, kwargs = parts.get("args") or [], parts.get("kwargs") or {}
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        raise ConfigError(
            f"args are a list and kwargs a mapping, got {shown(args)} and {shown(kwargs)}", key=key
        )
    return functools.partial(
        function, *import_objects(list(args), key), **import_objects(kwargs, key)
    )


def object_name(value: Any, key: str | None = None) -> str:
    """The tagged string of an importable type, function or torch dtype.

    Raises ``ConfigError`` for lambdas, local functions and instances, which another process could
    not import by a name.
    """
    qualified = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    module = getattr(value, "__module__", None)
    for name in _candidate_names(value, module, qualified):
        owner, _, attribute = name.rpartition(".")
        if getattr(sys.modules.get(owner), attribute, None) is value:
            return TAG + name
    if module and qualified and "<" not in qualified and _follow(module, qualified) is value:
        return f"{TAG}{module}.{qualified}"
    raise ConfigError(
        f"{shown(value)} has no importable name",
        key=key,
        remedy="define it at the top level of a module",
    )


def _candidate_names(value: Any, module: str | None, qualified: str | None) -> Iterator[str]:
    """Public names to try, shortest first: ``torch.nn.ReLU`` before its defining module."""
    if qualified is None:
        yield str(value)  # the name of torch.float32
        return
    parts = (module or "").split(".")
    for end in range(1, len(parts) + 1):
        yield f"{'.'.join(parts[:end])}.{qualified}"
    for builtin_home in ("torch", "torch.nn.functional"):  # C functions have no __module__
        yield f"{builtin_home}.{qualified.rpartition('.')[2]}"


def _follow(module: str, qualified: str) -> Any:
    found: Any = sys.modules.get(module)
    for attribute in qualified.split("."):
        found = getattr(found, attribute, None)
    return found


def add_search_path(*folders: str | Path) -> None:
    """Search ``folders`` for user modules, after the installed packages.

    Stored in an environment variable, so that child processes use them too.
    """
    present = search_path()
    added = [str(Path(folder).resolve()) for folder in folders]
    merged = list(dict.fromkeys([*added, *present]))
    os.environ[SEARCH_PATH_VARIABLE] = os.pathsep.join(merged)


def search_path() -> list[str]:
    """The user's folders, as set by :func:`add_search_path`."""
    return [p for p in os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep) if p]


def _activate_search_path() -> None:
    """Append the current user folders to ``sys.path``, and remove those appended earlier."""
    others = [folder for folder in sys.path if folder not in _appended]
    wanted = dict.fromkeys([*search_path(), str(Path.cwd())])
    missing = [folder for folder in wanted if folder not in others]
    _appended.update(missing)
    sys.path[:] = [*others, *missing]


def is_installed(module: str) -> bool:
    """Whether the top-level ``module`` is Python's own or an installed package.

    It then takes precedence over a user's file of this name.
    """
    if module in sys.stdlib_module_names:
        return True
    installed = [folder for folder in sys.path if INSTALLED & set(Path(folder).parts)]
    spec = importlib.machinery.PathFinder.find_spec(module, installed)
    return spec is not None and spec.origin is not None  # not just a folder without __init__.py


def _import_module(name: str, key: str | None, within: Any = None) -> Any:
    try:
        return importlib.import_module(_MOVED.get(name, name))
    except ModuleNotFoundError as error:
        if error.name != name:
            raise ConfigError(
                f"module '{name}' needs '{error.name}', which is not installed",
                key=key,
                remedy=f"install '{error.name}'",
            ) from None
        if within is not None:
            owner, _, attribute = name.rpartition(".")
            raise _no_attribute(within, owner, attribute, key) from None
        raise ConfigError(
            f"no module named '{name}'",
            key=key,
            remedy="put it beside the config file, name its folder in 'python_path', or install it",
        ) from None
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"importing '{name}' failed: {type(error).__name__}: {error}{line_of_user(error)}",
            key=key,
            remedy="fix it there",
        ) from error


def _no_attribute(owner: Any, name: str, attribute: str, key: str | None) -> ConfigError:
    remedy = _nearest_remedy(attribute, dir(owner))
    if (file := _hidden_file(name.partition(".")[0])) is not None:
        remedy = f"'{name}' is what is installed, not your {file}, which you may rename"
    return ConfigError(f"'{name}' has no '{attribute}'", key=key, remedy=remedy)


@functools.lru_cache(maxsize=256)
def _warn_if_hidden(module: str) -> None:
    """Warn once if an installed package is imported instead of a user's file of this name."""
    if (file := _hidden_file(module)) is not None:
        logger.warning("%s is not used: '%s' is what is installed; rename the file", file, module)


def _hidden_file(module: str) -> Path | None:
    """The user's file that an installed package called ``module`` hides; None if there is none."""
    folders = map(Path, search_path())
    files = (f / end for f in folders for end in (f"{module}.py", f"{module}/__init__.py"))
    found = next((file for file in files if file.is_file()), None)
    return found if found is not None and is_installed(module) else None


def _nearest_remedy(word: str, choices: list[str]) -> str | None:
    from rapidfuzz import fuzz, process, utils

    public = [choice for choice in choices if not choice.startswith("_")]
    best = process.extractOne(
        word, public, scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=60
    )
    return f"did you mean '{best[0]}'?" if best else None
