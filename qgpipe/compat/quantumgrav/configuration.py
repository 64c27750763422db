"""QuantumGravPy's configurations as those of qgpipe."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from qgpipe.compat.quantumgrav.base import errors_as_there
from qgpipe.config.objects import add_search_path
from qgpipe.config.resolve import ROLES, resolve_config
from qgpipe.config.schema import definition, schema
from qgpipe.config.types import Config
from qgpipe.stages.session_code import live_folders

# For what the caller does not use: a factory of loaders needs no model, a trainer no data.
_UNUSED: dict[str, Any] = {
    "model": {"type": torch.nn.Identity},
    "criterion": torch.nn.MSELoss,
    "data": {"files": ["unused.zarr"], "split": [0.8, 0.1, 0.1]},
}


def resolved(config: Mapping[str, Any], without: Iterable[str] = ()) -> Config:
    """The configuration of qgpipe for ``config``, whose unknown keys are left out, as there.

    ``without``: keys, ``validation.validator`` for instance, that the caller does not use. Raises
    ``ConfigurationError``.
    """
    given = _known(config, schema())
    for stage in ROLES:
        given[stage] = _known(config.get(stage) or {}, definition(stage))
        if "data" in given[stage]:  # not divided any more
            given[stage]["data"] = _known(given[stage]["data"], definition("source"))
    for key in without:
        section, _, name = key.rpartition(".")
        (given[section] if section else given).pop(name, None)
    divided = any("data" in given.get(stage, ()) for stage in ROLES)
    unused = {k: v for k, v in _UNUSED.items() if k not in given and not (k == "data" and divided)}
    add_search_path(*live_folders())
    with errors_as_there():
        return resolve_config({**given, **unused})


def _known(section: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``section`` that the schema ``part`` knows, without those that are null."""
    return {k: v for k, v in section.items() if k in part["properties"] and v is not None}
