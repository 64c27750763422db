"""The user's code in a configuration that was written in Python.

Objects in a module of the user are found by name (``qgpipe.stages.module_code``). Objects that were
defined in the running script, in a notebook or within a function have no importable name, so their
source is used.
"""

import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qgpipe.config.key_path import leaves
from qgpipe.config.objects import search_path

# The module of the running script, and its name in a process started by ``multiprocessing``.
_SCRIPTS = ("__main__", "__mp_main__")


def live_code(section: Any) -> str:
    """A digest of the source of all objects without an importable name in ``section``."""
    digest = hashlib.sha256()
    for source in _sources(section):
        digest.update(source.encode())
    return digest.hexdigest()


def live_folders() -> list[Path]:
    """Folders of the user's modules: configured ones, working directory, folder of the script."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    beside = [Path(script).resolve().parent] if script else []
    return list(dict.fromkeys([*map(Path, search_path()), Path.cwd(), *beside]))


def _sources(section: Any) -> Iterator[str]:
    for _, value in leaves(section):
        if isinstance(value, functools.partial):
            yield from _sources([value.func, value.args, value.keywords])
        elif _is_code(value) and (value.__module__ in _SCRIPTS or "<" in value.__qualname__):
            try:
                yield inspect.getsource(value)
            except (OSError, TypeError):  # entered at a prompt: only its name is known
                yield value.__qualname__


def _is_code(value: Any) -> bool:
    return inspect.isfunction(value) or inspect.isclass(value)
