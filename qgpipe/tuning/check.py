"""The part of ``qgpipe check`` about a study."""

from collections.abc import Callable, Mapping
from typing import Any

from qgpipe.config.types import Config
from qgpipe.errors import QgpipeError
from qgpipe.sweeps.tuned import objective, parameters_of, trial_config
from qgpipe.tuning.strategies import build_pruner, build_sampler, require_optuna


def check_study(
    raw: Mapping[str, Any], config: Config, try_out: Callable[[Config], Any]
) -> list[str]:
    """Lines that describe the study of ``raw``, resolved to ``config``.

    ``try_out``: checks a configuration; it is called with each parameter at the ends of its range,
    or at each of its choices. Raises the ``QgpipeError`` that it raises.
    """
    require_optuna()
    tune, parameters, (metric, mode) = config["tune"], parameters_of(config), objective(config)
    sampler = build_sampler(tune, 0)
    pruner = build_pruner(tune, config["training"]["num_epochs"])
    for parameter in parameters:
        for value in parameter.examples:
            try:
                try_out(trial_config(raw, [parameter], {parameter.key: value}))
            except QgpipeError as error:
                error.problem += f" (with {parameter.key} = {value})"
                raise
    better = "lower" if mode == "min" else "higher"
    jobs = f"{tune['jobs']} jobs" if tune["jobs"] > 1 else "one job"
    lines = [
        f"tune      {tune['trials']} trials in {jobs}, for a {better} {metric}; "
        f"{type(sampler).__name__}, {type(pruner).__name__}"
    ]
    return [*lines, *(f"          {parameter}" for parameter in parameters)]
