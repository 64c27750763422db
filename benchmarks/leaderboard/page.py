"""Writes the leaderboard as Markdown, with its figures, from what is kept of the runs.

    python page.py RESULTS PAGE

``RESULTS`` has a folder for each task, with a file for each model (see ``gather.py``). The figures
are written into ``images`` beside the page. Nothing else is read but the heads of the task files,
so the same results give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev

sys.path.insert(0, str(Path(__file__).parents[1]))
from figures import figures
from measure import table
from results import TEST, Content, Task, read_tasks, scores

Interval = tuple[float, float]


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation of the sample."""
    if not values:
        return "–"
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def bounds(intervals: Iterable[Sequence[float | None] | None]) -> tuple[float, float] | None:
    """The mean of the lower and of the upper ends, if all are known."""
    known = list(intervals)
    if not all(one and None not in one for one in known):
        return None
    low, high = zip(*known, strict=True)
    return fmean(low), fmean(high)


def between(interval: tuple[float, float] | None) -> str:
    """An interval, as text."""
    return "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def verdict(result: Content) -> str:
    """How many of the seeds are better than the best baseline, and how many worse."""
    found = [run["model_is"] for run in result["runs"]]
    if None in found:
        return "–"
    words = [w for w in ("better", "not different", "worse") if w in found]
    if len(words) == 1:
        return words[0]
    return ", ".join(f"{found.count(word)} {word}" for word in words)


def model_row(task: Task, result: Content) -> list[str]:
    """The row of a model in the table of a task."""
    test = bounds(run["interval"] for run in result["runs"])
    return [
        f"`{result['model']}`",
        spread(scores(result, TEST)),
        between(test),
        *(spread(scores(result, name)) for name in task.sets),
        verdict(result),
    ]


def baseline_row(task: Task, name: str) -> list[str]:
    """The row of a baseline in the table of a task."""
    one = task.baselines[name]
    found = one["scores"]
    known = [[found[n]] if found.get(n) is not None else [] for n in (TEST, *task.sets)]
    test = bounds([one["interval"]])
    return [name, spread(known[0]), between(test), *map(spread, known[1:]), ""]


def overview(tasks: Sequence[Task]) -> str:
    """All models and baselines on the test sets of all tasks."""
    models = list(dict.fromkeys(r["model"] for task in tasks for r in task.results))
    methods = list(dict.fromkeys(name for task in tasks for name in task.baselines))
    rows = []
    for model in models:
        own = [next((r for r in task.results if r["model"] == model), None) for task in tasks]
        rows.append([f"`{model}`", *(spread(scores(r, TEST)) if r else "–" for r in own)])
    for name in methods:
        own = [task.baselines.get(name) for task in tasks]
        rows.append([name, *(spread([b["scores"][TEST]]) if b else "–" for b in own)])
    header = [f"[{task.name}](#{task.name})" for task in tasks]
    return table(["", *header], [["", *(task.measure for task in tasks)], *rows])


def costs(tasks: Sequence[Task]) -> str:
    """Core-seconds of the training of one seed, and parameters."""
    models = list(dict.fromkeys(r["model"] for task in tasks for r in task.results))
    rows = []
    for model in models:
        own = [next((r for r in task.results if r["model"] == model), None) for task in tasks]
        seconds = [f"{fmean(x['core_seconds'] for x in r['runs']):.0f}" if r else "–" for r in own]
        sizes = sorted({r["runs"][0]["parameters"] for r in own if r})
        size = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
        rows.append([f"`{model}`", *seconds, size])
    return table(["", *(task.name for task in tasks), "parameters"], rows)


def section(task: Task) -> str:
    """What a task asks, and its table."""
    sets = [f"`{name}`: {text}." for name, text in task.sets.items()]
    sizes = task.results[0]["num_graphs"]
    counts = ", ".join(f"{sizes[name]:,} in `{name}`" for name in (TEST, *task.sets))
    header = ["", TEST, "95 %", *task.sets, "than the best baseline"]
    ordered = sorted(task.results, key=lambda r: -fmean(scores(r, TEST) or [-1e9]))
    rows = [model_row(task, result) for result in ordered]
    rows += [baseline_row(task, name) for name in task.baselines]
    left_out = "".join(f"\n\n{name}: {why}." for name, why in task.results[0]["left_out"].items())
    return (
        f"### {task.name}\n\n{task.question} {' '.join(sets)} Causal sets: {counts}. "
        f"Score: {task.measure}.\n\n{table(header, rows)}{left_out}"
    )


TEXT = """\
# Leaderboard

How well models tell causal sets apart, on {number} tasks, beside what simple methods of order theory and statistics
reach on the same data. Written by `snakemake --snakefile benchmarks/leaderboard/Snakefile --cores 2` from the
results in `benchmarks/results/leaderboard`; [Adding a model or a task](leaderboard-add.md) says how to add to it.

- A **task** is a configuration with fixed seeds in `benchmarks/tasks`. All methods see the same causal sets and the
  same split. The **further sets** hold causal sets of other kinds, which no method was fitted to.
- **Models** are the presets in `config/models`, trained as they are, by one recipe (`benchmarks/tasks/common.yaml`):
  nothing was tuned for a task. Shown are mean ± standard deviation over the seeds of weights and order.
- **Baselines** are fitted to the same training sets ([baselines](baselines.md)).
- **95 %** is the interval that the number of test graphs leaves: Wilson's of an accuracy, of the bootstrap for R²;
  the mean of the seeds' ends. **Than the best baseline**: on the same test graphs, by McNemar's test or a paired
  bootstrap of absolute errors, at p ≤ .05, for each seed.
- Differences of classes and of models beyond this are not corrected for their number.

Measured on {processor} with {versions}.

## Test sets

{overview}

![Scores of all methods on all sets](images/leaderboard-scores.svg)

## Tasks

{sections}

## Cost

Core-seconds to train one seed, mean of the seeds.

{costs}
"""


def page(tasks: Sequence[Task]) -> str:
    """The text of the page."""
    processors = sorted({r["processor"] for task in tasks for r in task.results})
    versions = sorted({_versions(r) for task in tasks for r in task.results})
    return TEXT.format(
        number=len(tasks),
        processor=" and ".join(processors),
        versions="; ".join(versions),
        overview=overview(tasks),
        sections="\n\n".join(section(task) for task in tasks),
        costs=costs(tasks),
    )


def _versions(result: Content) -> str:
    return ", ".join(f"{name} {version}" for name, version in result["versions"].items())


def main() -> None:
    """Write the page that the command line names."""
    results, output = map(Path, sys.argv[1:])
    tasks = read_tasks(results)
    images = output.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(tasks).items():
        (images / f"{name}.svg").write_bytes(figure)
    output.write_text(page(tasks), encoding="utf-8")


if __name__ == "__main__":
    main()
