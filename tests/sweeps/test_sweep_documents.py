"""The configurations in docs/sweeps.md stand for the runs that the text says."""

import re
from pathlib import Path

import pytest
import yaml

from qgpipe.config import expand_runs, load_config
from qgpipe.config.tags import ConfigLoader

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/sweeps.md").read_text(), re.S)


def laid_over(config: dict, changes: dict) -> dict:
    """``config`` with ``changes``, key by key, which come last."""
    merged = {
        key: laid_over(config[key], value)
        if isinstance(value, dict) and isinstance(config.get(key), dict)
        else value
        for key, value in changes.items()
    }
    return {**{k: v for k, v in config.items() if k not in merged}, **merged}


@pytest.mark.parametrize(
    ("block", "labels"),
    [
        (
            BLOCKS[0],
            [
                "lr=0.01,batch_size=32",
                "lr=0.01,batch_size=64",
                "lr=0.001,batch_size=32",
                "lr=0.001,batch_size=64",
            ],
        ),
        (BLOCKS[1], ["layers.0.1.1=32", "layers.0.1.1=64"]),
        (BLOCKS[2], [f"fold={k}" for k in range(1, 6)]),
        (BLOCKS[3], [""]),
    ],
)
def test_a_block_makes_its_runs(block: str, labels: list[str]) -> None:
    changes = yaml.load(block, Loader=ConfigLoader)
    runs = expand_runs(laid_over(load_config(ROOT / "config/run.yaml"), changes))
    names = ["-".join(filter(None, ["sprinkled_or_damaged", label])) for label in labels]
    assert [run.config["name"] for run in runs] == names


def test_no_block_is_left_out() -> None:
    assert len(BLOCKS) == 4
