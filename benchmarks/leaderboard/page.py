"""Writes the leaderboard as Markdown, with its figures, from what is kept of the runs.

    python page.py RESULTS PAGE

``RESULTS`` has a folder for each task, with a file for each model (see ``gather.py``). The figures
are written into ``images`` beside the page. Nothing else is read but the heads of the task files,
so the same results give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from string import Template

sys.path.insert(0, str(Path(__file__).parents[1]))
from figures import figures
from measure import table
from results import OUTCOMES, TEST, Content, Interval, Method, Task, as_task, read_results

TEMPLATE = Path(__file__).parent / "page.md"


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation of the sample."""
    if not values:
        return "–"
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def between(interval: Interval | None) -> str:
    """An interval, as text."""
    return "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def title(method: Method) -> str:
    """The name of a method; models stand out."""
    return f"`{method.name}`" if method.is_model else method.name


def outcome(method: Method) -> str:
    """What the seeds of a model are against the best baseline."""
    found = method.against_best or {}
    words = [word for word in OUTCOMES if word in found]
    if len(words) == 1:
        return words[0]
    return ", ".join(f"{found[word]} {word}" for word in words) or ("–" if method.is_model else "")


def row(task: Task, method: Method) -> list[str]:
    """The row of a method in the table of a task."""
    further = [spread(method.scores[name]) for name in task.sets]
    test = [spread(method.scores[TEST]), between(method.interval)]
    return [title(method), *test, *further, outcome(method)]


def section(task: Task) -> str:
    """What a task asks, and its table."""
    sets = " ".join(f"`{name}`: {text}." for name, text in task.sets.items())
    counts = ", ".join(f"{count:,} (`{name}`)" for name, count in task.num_graphs.items())
    header = ["", TEST, "95 %", *task.sets, "against the best baseline"]
    lines = [
        f"### {task.name}",
        task.question,
        f"{sets} Causal sets: {counts}. The score is {task.measure}.",
        table(header, [row(task, method) for method in task.methods]),
    ]
    reasons = dict.fromkeys(task.left_out.values())
    for reason in reasons:
        names = [name for name, why in task.left_out.items() if why == reason]
        lines.append(f"Left out: {', '.join(names)} ({reason}).")
    if task.curves:
        lines.append(f"![Scores by what was done](images/leaderboard-{task.name}.svg)")
    return "\n\n".join(lines)


def overview(tasks: Sequence[Task]) -> str:
    """All methods on the test sets of all tasks."""
    methods = {title(method): None for task in tasks for method in task.methods}
    found = {(task.name, title(m)): spread(m.scores[TEST]) for task in tasks for m in task.methods}
    rows = [[one, *(found.get((task.name, one), "–") for task in tasks)] for one in methods]
    header = [f"[{task.name}](#{task.name}), {task.measure}" for task in tasks]
    return table(["", *header], sorted(rows, key=lambda cells: not cells[0].startswith("`")))


def costs(tasks: Sequence[Task]) -> str:
    """What each model costs to train, and its parameters."""
    models = {(t.name, m.name): m for t in tasks for m in t.methods if m.is_model}
    rows = []
    for name in sorted({name for _, name in models}):
        own = [models.get((task.name, name)) for task in tasks]
        sizes = sorted(one.parameters for one in own if one)
        size = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if sizes[-1] > sizes[0] else "")
        rows.append([f"`{name}`", *(f"{m.core_seconds:.0f}" if m else "–" for m in own), size])
    return table(["", *(task.name for task in tasks), "parameters"], rows)


def page(results: dict[str, list[Content]], tasks: Sequence[Task]) -> str:
    """The text of the page."""
    models = [one for found in results.values() for one in found]
    versions = {", ".join(f"{k} {v}" for k, v in one["versions"].items()) for one in models}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        processor=" and ".join(sorted({one["processor"] for one in models})),
        versions="; ".join(sorted(versions)),
        overview=overview(tasks),
        sections="\n\n".join(map(section, tasks)),
        costs=costs(tasks),
    )


def main() -> None:
    """Write the page that the command line names."""
    folder, output = map(Path, sys.argv[1:])
    results = read_results(folder)
    tasks = [as_task(name, found) for name, found in results.items()]
    images = output.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, svg in figures(tasks).items():
        (images / f"{name}.svg").write_bytes(svg)
    output.write_text(page(results, tasks), encoding="utf-8")


if __name__ == "__main__":
    main()
