"""Runs that belong to another one: members of an ensemble, and ablations.

Each is trained like any other run, in a folder of its own, on the same data and split. None has
baselines, predictions, further sets, a study or a report of its own.
"""

from __future__ import annotations

from typing import Any, cast

from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.stages.settings import split_seed

LONGEST_NAME = 200  # a file may have 255, and logs and tables have endings
_LEFT_OUT = ("evaluate", "predict", "tune")


def ablated_runs(config: Config) -> dict[str, str]:
    """The names of the runs of ``report.ablations`` of a resolved ``config``, by kind."""
    return {kind: f"{config['name']}-{kind}" for kind in config["report"]["ablations"]}


def derived_configs(config: Config) -> dict[str, list[Config]]:
    """The configurations of the runs that belong to that of ``config``.

    ``member``: one for each seed from ``training.seed`` on, if there is to be an ensemble;
    ``ablation``: one for each of ``report.ablations``, which has members itself if the run has.
    Raises ``ConfigError`` if the name of one of them would be too long for a folder.
    """
    training = config["training"]
    members = [
        _derived(
            config,
            f"{config['name']}-member={k + 1}",
            training={**training, "seed": training["seed"] + k},
            data={**config["data"], "seed": split_seed(config)},
            ensemble=None,
        )
        for k in range(config["ensemble"] or 0)
    ]
    ablations = [
        _derived(config, name, training={**training, "ablation": kind})
        for kind, name in ablated_runs(config).items()
    ]
    return {"member": members, "ablation": ablations}


def _derived(config: Config, name: str, **changed: Any) -> Config:
    require_short(name)
    kept = {key: value for key, value in config.items() if key not in _LEFT_OUT}
    report = {"explain": False, "ablations": []}
    return cast(Config, {**kept, "report": report, "baseline": False, **changed, "name": name})


def require_short(name: str) -> None:
    """Raise ``ConfigError`` if ``name`` is too long for the files of a run."""
    if len(name) > LONGEST_NAME:
        raise ConfigError(
            f"the name '{name}' of a run is too long for its files",
            key="name",
            remedy=f"make it {len(name) - LONGEST_NAME} characters shorter",
        )
