"""What is shown at the bottom of a terminal: a line a stage, a line a training."""

from __future__ import annotations

from rich.text import Text

from snakemake_logger_plugin_qgpipe import epoch_text
from snakemake_logger_plugin_qgpipe.state import Job, Stage, State
from snakemake_logger_plugin_qgpipe.words import duration

BAR = 20
DONE, LEFT = "━", "─"
# What of a training is shown where it fits, the most wanted first; and the order on the line.
WANTED = ("epoch", "left", "val", "loss", "metric", "rate")
COLUMNS = ("epoch", "loss", "val", "metric", "rate", "left")
GAP = 2
NAME_AT_LEAST = 0.3  # of the width, if it is that long


def frame(state: State, width: int, height: int) -> list[Text]:
    """The lines for a terminal of ``width`` and ``height``; none is wider, and they all fit."""
    if not state.stages:  # the plan is about to come
        return []
    room = height - len(state.stages) - 2
    trainings = [job for job in state.running() if job.training is not None]
    hidden = max(len(trainings) - max(room, 0), 0)
    if hidden:
        trainings = trainings[: max(room - 1, 0)]
        hidden = len([j for j in state.running() if j.training is not None]) - len(trainings)
    rows = _training_rows(trainings, width)
    if hidden and room > 0:
        rows.append(Text(f"  and {hidden} more", style="dim"))
    lines = []
    label = max((len(name) for name in state.stages), default=0)
    counts = max((len(_count(stage)) for stage in state.stages.values()), default=0)
    for stage in state.stages.values():
        lines.append(_stage_row(stage, label, counts, width))
        if any(job.training is not None for job in stage.running.values()):
            lines += rows
    took = duration(state.clock() - state.started)
    lines.append(Text(f"{state.jobs_done} of {state.jobs} jobs done, {took}", style="dim"))
    for line in lines:
        line.truncate(width - 1, overflow="ellipsis")  # the last column makes some terminals wrap
    return lines[-max(height - 1, 1) :]


def _count(stage: Stage) -> str:
    return f"{stage.done}/{stage.total}"


def _share(stage: Stage) -> float:
    """The part of a stage that is done, with that of the trainings that run."""
    trainings = [job.training for job in stage.running.values() if job.training is not None]
    parts = (t.epochs_done / t.num_epochs for t in trainings if t.num_epochs)
    return (stage.done + sum(parts)) / stage.total if stage.total else 0.0


def _stage_row(stage: Stage, label: int, counts: int, width: int) -> Text:
    is_done = stage.done == stage.total
    text = Text(stage.name.ljust(label + GAP), style="green" if is_done else "")
    if width >= label + BAR + counts + 2 * GAP + 1:
        full = int(BAR * _share(stage))
        text.append(DONE * full, style="green")
        text.append(LEFT * (BAR - full) + " " * GAP, style="dim")
    text.append(_count(stage).rjust(counts))
    names = [job.name or job.title for job in stage.running.values() if job.training is None]
    if names:
        text.append(" " * GAP + ", ".join(names), style="dim")
    return text


def _training_rows(jobs: list[Job], width: int) -> list[Text]:
    names = [job.name for job in jobs]
    cells = [epoch_text.running(job.training) for job in jobs if job.training is not None]
    widths = {
        column: max((len(found.get(column, "")) for found in cells), default=0)
        for column in COLUMNS
    }
    for_names = max(width - 1 - 2 * GAP - widths["epoch"], int(width * NAME_AT_LEAST))
    label = min(max(map(len, names), default=0), for_names)
    free, kept = width - 1 - GAP - label, set()
    for column in WANTED:
        if widths[column] and widths[column] + GAP <= free:
            free -= widths[column] + GAP
            kept.add(column)
    rows = []
    for name, found in zip(names, cells, strict=True):
        text = Text(" " * GAP + _short(name, label).ljust(label))
        for column in (c for c in COLUMNS if c in kept):
            style = "cyan" if column == "epoch" else "dim" if column == "rate" else ""
            text.append(" " * GAP + found.get(column, "").ljust(widths[column]), style=style)
        text.rstrip()
        rows.append(text)
    return rows


def _short(name: str, width: int) -> str:
    """Runs of a sweep differ in the end of their names."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"
