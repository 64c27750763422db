"""Each configuration in the documents is laid over a small run, and runs."""

import math
from pathlib import Path
from typing import Any

import yaml

from qgpipe.config import expand_runs, load_config
from qgpipe.config.tags import ConfigLoader
from qgpipe.training.trainer import Trainer


def laid_over(config: dict, changes: dict) -> dict:
    """``config`` with ``changes``, key by key; a list, an object or a whole model is replaced."""
    parts = [key.removesuffix("type") for key in changes if key.endswith("_type")]
    replaced = {part + suffix for part in parts for suffix in ("args", "kwargs")}
    merged: dict[str, Any] = {k: v for k, v in config.items() if k not in replaced}
    for key, value in changes.items():
        inner = merged.get(key)
        whole = isinstance(value, dict) and ("type" in value or "downstream_tasks" in value)
        if isinstance(value, dict) and isinstance(inner, dict) and not whole:
            merged[key] = laid_over(inner, value)
        else:
            merged[key] = value
    return merged


def test_a_configuration_runs(yaml_block, project):
    project(yaml_block.page)
    shown = yaml.load(yaml_block.text, Loader=ConfigLoader)
    runs = expand_runs(laid_over(load_config(Path("run.yaml")), shown))
    config = runs[0].config
    assert set(shown) <= set(config)
    if "parallel" in shown:  # tests/training starts processes
        return
    trainer = Trainer.from_config(config)
    train, validation, test = trainer.prepare_dataloaders()
    training, validated = trainer.run_training(train, validation)
    assert len(training) == config["training"]["num_epochs"]
    tested = trainer.run_test(test)
    for stage, results in (("validation.validator", validated), ("testing.tester", tested)):
        section, _, evaluator = stage.partition(".")
        settings = config[section][evaluator]
        tasks = settings.get("evaluator_tasks", settings.get("kwargs", {}).get("evaluator_tasks"))
        for task in tasks or ():
            assert math.isfinite(results[task["name"]].iloc[-1]), f"{stage}: {task['name']}"
