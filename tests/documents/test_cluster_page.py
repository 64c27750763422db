"""The page about clusters names what every job asks for."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_rule_that_asks_for_resources_has_a_row():
    rules = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    asking = [
        name
        for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", rules, re.M | re.S)
        if "mem_mb" in text
    ]
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "cluster.md").read_text(), re.M)
    rows = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(asking) == sorted(rows)
