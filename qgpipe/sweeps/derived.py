"""The runs that are derived from a run, for a part of it or to compare it with.

They use its data and split, and are trained and tested like any other run in a folder of their own;
further sets, predictions, baselines and a report are those of the run alone.
"""

from __future__ import annotations

from typing import Any, cast

from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.stages.settings import split_seed

LONGEST_NAME = 200  # a file may have 255, and logs and tables have endings
_OF_THE_WHOLE_RUN = ("predict", "evaluate", "tune")  # not asked of what is derived from it


def derived_configs(config: Config) -> dict[str, list[Config]]:
    """The resolved configurations that are derived from a resolved ``config``, by kind.

    ``member``: of the ensemble, one for each seed; ``ablation``: as ``report.ablations`` asks for,
    of an ensemble another one. Kinds of which there are none are left out. Raises ``ConfigError``
    if a name would be too long for a folder.
    """
    training = config["training"]
    members = [
        _derived(
            config,
            f"{config['name']}-member={k + 1}",
            ensemble=None,
            training={**training, "seed": training["seed"] + k},
            data={**config["data"], "seed": split_seed(config)},
        )
        for k in range(config["ensemble"] or 0)
    ]
    ablations = [
        _derived(config, name, training={**training, "ablation": kind})
        for kind, name in ablated_runs(config).items()
    ]
    found: dict[str, list[Config]] = {"member": members, "ablation": ablations}
    return {kind: configs for kind, configs in found.items() if configs}


def ablated_runs(config: Config) -> dict[str, str]:
    """The names of the runs of ``report.ablations`` of a resolved ``config``, by ablation."""
    return {kind: f"{config['name']}-{kind}" for kind in config["report"]["ablations"]}


def require_short(name: str) -> None:
    """Raise ``ConfigError`` if ``name`` is too long for the files of a run."""
    if len(name) > LONGEST_NAME:
        raise ConfigError(
            f"the name '{name}' of a run is too long for its files",
            key="name",
            remedy=f"make it {len(name) - LONGEST_NAME} characters shorter",
        )


def _derived(config: Config, name: str, **changed: Any) -> Config:
    require_short(name)
    kept = {key: value for key, value in config.items() if key not in _OF_THE_WHOLE_RUN}
    report = {**config["report"], "explain": False, "ablations": []}
    own = {"name": name, "baseline": False, "report": report}
    return cast(Config, {**kept, **own, **changed})
