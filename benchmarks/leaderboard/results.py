"""The kept results of the leaderboard, read for its page and its figures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS = Path(__file__).parents[1] / "tasks"
TEST = "test"
MEASURES = {"accuracy": "accuracy", "r2": "R²"}
Content = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A task with the results of its models, in the order in which they are shown.

    ``question``: what it asks, from the head of its file; ``sets``: what its further sets are.
    """

    name: str
    question: str
    sets: dict[str, str]
    results: list[Content]

    @property
    def measure(self) -> str:
        """The score that is shown, in words."""
        return MEASURES[self.results[0]["measure"]]

    @property
    def baselines(self) -> dict[str, Content]:
        """The baselines: the same for all models, which share data and split."""
        return self.results[0]["baselines"]


def read_tasks(folder: Path) -> list[Task]:
    """The tasks in ``folder``, by name; models in the order of their mean scores over all tasks."""
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        results = [json.loads(file.read_text()) for file in sorted(place.glob("*.json"))]
        baselines = {json.dumps(one["baselines"], sort_keys=True) for one in results}
        if len(baselines) > 1:
            raise SystemExit(f"{place}: models were compared with different baselines")
        question, sets = described(TASKS / f"{place.name}.yaml")
        found.append(Task(place.name, question, sets, results))
    return found


def described(file: Path) -> tuple[str, dict[str, str]]:
    """The comment at the head of a task file, and the one behind the name of each further set."""
    text = file.read_text()
    head = re.match(r"(?:#.*\n)+", text)
    assert head is not None, f"{file} does not say what it asks"
    question = " ".join(line.lstrip("# ") for line in head[0].splitlines())
    return question, dict(re.findall(r"^    (\w+): # (.*)$", text, re.MULTILINE))


def scores(result: Content, name: str) -> list[float]:
    """The score of each seed on a set; none where one has no score."""
    found = [run["scores"].get(name) for run in result["runs"]]
    return [] if None in found else found
