"""The page about trouble, made of the catalogue of mistakes.

python tests/errors/troubleshooting.py > docs/troubleshooting.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from qgpipe.config.tags import ConfigLoader

INTRODUCTION = """\
# Trouble

What qgpipe says about mistakes: where, what, and what to do. `qgpipe check run.yaml` finds most of
them before a run; those marked with * only show in it. A traceback instead of such a line is a
fault of qgpipe.

This page is made of the tests' catalogue of mistakes; … stands for something that varies. An
interrupted or killed run is no trouble: give the same command again
([how training survives](reproducibility.md)). If something runs again, or does not, and you wonder
why, see [what runs again](reruns.md).
"""


def page(catalogue: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The whole page as Markdown."""
    sections = [f"## {title}\n\n{_section(cases)}" for title, cases in catalogue.items()]
    return "\n".join([INTRODUCTION, *sections])


def _section(cases: Sequence[Mapping[str, Any]]) -> str:
    entries = []
    for case in cases:
        mark = "" if case.get("check", True) else " *"
        message = " ".join(case["message"].split())
        name = case["name"][0].upper() + case["name"][1:]
        entries.append(f"**{name}**{mark}\n\n```text\n{message}\n```\n")
    return "\n".join(entries)


if __name__ == "__main__":
    text = Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8")
    print(page(yaml.load(text, Loader=ConfigLoader)), end="")
