"""Reading stores that may have no target."""

from collections.abc import Sequence
from typing import Any

from qgpipe.data.preprocessing.plan import built_in_arguments
from qgpipe.data.raw import naming
from qgpipe.data.raw.stores import StoreInfo


def with_target_if_there(reader: Any, store: StoreInfo, target: Any = None) -> Any:
    """``reader``, as a configuration gives it, without a target if ``store`` has not got it.

    ``target``: names of the arrays of the model's target, if known; it counts where the reader does
    not name one itself. A reader of the user's is left as it is.
    """
    arguments = built_in_arguments(reader)
    if arguments is None:
        return reader
    wanted = _listed(arguments.get("target"))
    if wanted is None:
        wanted = _listed(target) or _usual(store)
    if wanted and all(name in store.arrays for name in wanted):
        arguments["target"] = wanted
    else:
        arguments["target"] = []
        arguments.pop("class_names", None)
    return {"type": "qgpipe.CausalSetReader", "args": [], "kwargs": arguments}


def _usual(store: StoreInfo) -> list[str]:
    """The target that the built-in reader finds by itself."""
    return [name for name in naming.TARGET if name in store.arrays][:1]


def _listed(given: str | Sequence[str] | None) -> list[str] | None:
    return None if given is None else [given] if isinstance(given, str) else list(given)
