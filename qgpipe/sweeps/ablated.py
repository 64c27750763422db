"""The runs of ``report.ablations``: as the run that they belong to, without a part of the input.

Such a run is trained and tested like any other, in a folder of its own, and is on the same data and
split. It is compared with its run, and has nothing else: no baselines, further sets or report.
"""

from __future__ import annotations

from typing import cast

from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.sweeps.expansion import LONGEST_NAME, Run

_LEFT_OUT = ("evaluate", "predict", "tune")


def ablated_runs(config: Config) -> dict[str, str]:
    """The names of the runs of ``report.ablations`` of a resolved ``config``, by kind."""
    return {kind: f"{config['name']}-{kind}" for kind in config["report"]["ablations"]}


def expand_ablations(run: Run) -> list[Run]:
    """The runs that are asked for beside ``run``.

    Raises ``ConfigError`` if the name of one of them would be too long for a folder.
    """
    found = []
    for kind, name in ablated_runs(run.config).items():
        if len(name) > LONGEST_NAME:
            raise ConfigError(
                f"the name '{name}' of a run is too long for its files",
                key="name",
                remedy=f"make it {len(name) - LONGEST_NAME} characters shorter",
            )
        kept = {key: value for key, value in run.config.items() if key not in _LEFT_OUT}
        config = cast(
            Config,
            {
                **kept,
                "name": name,
                "training": {**run.config["training"], "ablation": kind},
                "report": {"explain": False, "ablations": []},
                "baseline": False,
            },
        )
        found.append(Run(config, name, {}, {}, run.fold, ""))
    return found
