"""The tables of early stopping on the page about monitors are what early stopping does."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from qgpipe.config.tags import ConfigLoader
from qgpipe.training.early_stopping import DefaultEarlyStopping

PAGE = Path(__file__).parents[2] / "docs" / "monitors.md"
# A block of YAML, the text after it, and the table that follows before the next block.
EXAMPLES = re.findall(
    r"```yaml\n([^`]*?)```(?:(?!```).)*?^(\| epoch .*?)\n\n", PAGE.read_text(), re.M | re.S
)


def test_there_are_two_tables():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("block", "table"), EXAMPLES)
def test_early_stopping_does_what_the_table_says(block, table):
    section = yaml.load(block, Loader=ConfigLoader)["early_stopping"]
    stopping = DefaultEarlyStopping.from_config(section)
    names, _, *rows = [
        [cell.strip() for cell in r.strip("|").split("|")] for r in table.split("\n")
    ]
    metrics = names[1 : names.index("better")]
    assert sorted(metrics) == sorted(task["metric"] for task in section["tasks"].values())
    results = pd.DataFrame([row[1 : 1 + len(metrics)] for row in rows], columns=metrics).astype(
        float
    )
    best = None
    for i, row in enumerate(rows, 1):
        better, patience, remark = row[-3:]
        stops = stopping(results.head(i))
        best = i if stopping.found_better_model else best
        assert ("yes" if stopping.found_better_model else "no") == better, i
        assert str(stopping.current_patience) == patience, i
        assert stops == ("training stops" in remark), i
    assert stops and f"epoch {best} is the best" in remark
