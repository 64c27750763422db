"""The user's code that a configuration calls, when it was written in Python.

What lies in a module of the user's is followed by ``qgpipe.stages.module_code``, by name. What was
defined in the running script, in a notebook or within a function has no such name, so its
source counts.
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

# The running script; the second in a process that it has started.
_SCRIPTS = ("__main__", "__mp_main__")


def live_code(section: Any) -> str:
    """A digest of the source of all such objects in ``section``, at any depth."""
    digest = hashlib.sha256()
    for source in _sources(section):
        digest.update(source.encode())
    return digest.hexdigest()


def live_folders() -> list[Path]:
    """Where modules of the user's may lie: as configured, the working directory, the script's."""
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
            except (OSError, TypeError):  # typed in at a prompt: only its name is known
                yield value.__qualname__


def _is_code(value: Any) -> bool:
    return inspect.isfunction(value) or inspect.isclass(value)
