"""Samplers, which choose the settings of a trial, and pruners, which end it early: Optuna's."""

import importlib.util
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from qgpipe.config.objects import import_objects
from qgpipe.config.spec import Spec, as_spec
from qgpipe.config.types import TuneSection
from qgpipe.errors import ConfigError

SAMPLERS = {
    "tpe": "optuna.samplers.TPESampler",
    "random": "optuna.samplers.RandomSampler",
    "gp": "optuna.samplers.GPSampler",
}
PRUNERS = {
    "median": "optuna.pruners.MedianPruner",
    "percentile": "optuna.pruners.PercentilePruner",
    "halving": "optuna.pruners.SuccessiveHalvingPruner",
    "hyperband": "optuna.pruners.HyperbandPruner",
}


def require_optuna() -> None:
    """Raise ``ConfigError`` if Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "Optuna is not installed", key="tune", remedy="type: pip install 'qgpipe[tune]'"
        )


def build_sampler(tune: TuneSection, number: int) -> Any:
    """The sampler for trial ``number`` of a study; ``tune``: the resolved section.

    Each trial has its own sampler, seeded by ``trial_seed``, so the result depends neither on which
    process takes which trial nor on interruptions. Raises ``ConfigError``.
    """
    from optuna.samplers import BaseSampler

    kwargs = tune["sampler_kwargs"]
    spec = _spec(tune["sampler"], SAMPLERS, kwargs, "tune.sampler")
    if "seed" in inspect.signature(spec.type).parameters and "seed" not in spec.kwargs:
        spec.kwargs["seed"] = trial_seed(tune["seed"], number)
    return _built(spec, BaseSampler, "sampler", SAMPLERS)


def build_pruner(tune: TuneSection, num_epochs: int) -> Any:
    """The pruner of the resolved section ``tune`` for trials of ``num_epochs`` epochs.

    Raises ``ConfigError``.
    """
    from optuna.pruners import BasePruner, NopPruner

    if tune["pruner"] is None:
        return NopPruner()
    kwargs = dict(tune["pruner_kwargs"])
    if tune["pruner"] == "hyperband":  # else the first trial decides, which may stop early
        kwargs.setdefault("max_resource", num_epochs)
    if tune["pruner"] == "percentile":
        kwargs.setdefault("percentile", 25.0)
    spec = _spec(tune["pruner"], PRUNERS, kwargs, "tune.pruner")
    return _built(spec, BasePruner, "pruner", PRUNERS)


def trial_seed(seed: int, number: int) -> int:
    """The seed of the sampler of trial ``number``, in 32 bits."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _spec(value: Any, names: Mapping[str, str], kwargs: Mapping[str, Any], key: str) -> Spec:
    named = names.get(value) if isinstance(value, str) else None
    if named is None and isinstance(value, str) and "." not in value:
        raise ConfigError(
            f"there is no '{value}'",
            key=key,
            remedy=f"use {', '.join(names)}, or a class of Optuna's kind by its dotted name",
        )
    spec = as_spec(named or value, key)
    return Spec(spec.type, spec.args, import_objects(dict(kwargs), f"{key}_kwargs"), key=key)


def _built(spec: Spec, kind: type, name: str, names: Mapping[str, str]) -> Any:
    built = spec.build()
    if not isinstance(built, kind):
        raise ConfigError(
            f"{spec.type.__module__}.{spec.type.__qualname__} makes no {name} of Optuna's",
            key=spec.key,
            remedy=f"use {', '.join(names)}, or a class derived from optuna's {kind.__name__}",
        )
    return built
