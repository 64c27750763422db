"""A training in words: epoch, loss, metric, rate, time left."""

from __future__ import annotations

from collections.abc import Mapping

from snakemake_logger_plugin_qgpipe.training import Training
from snakemake_logger_plugin_qgpipe.words import duration, number, rate

SLOW = 5.0  # seconds of an epoch from which its own percentage is worth to be shown
LOSSES = ("val_loss_avg", "val_loss_min", "val_loss_max")


def values(row: Mapping[str, str]) -> dict[str, str]:
    """What the row of an epoch tells, as ``loss``, ``val``, ``metric`` (the first), ``rate``."""
    found = {}
    if row.get("train_loss_avg"):
        found["loss"] = f"loss {number(row['train_loss_avg'])}"
    if row.get("val_loss_avg"):
        found["val"] = f"val loss {number(row['val_loss_avg'])}"
    metrics = (k for k in row if k.startswith("val_") and k not in LOSSES and row[k])
    metric = next(metrics, None)
    if metric is not None:
        found["metric"] = f"{metric.removeprefix('val_')} {number(row[metric])}"
    if row.get("graphs_per_second"):
        found["rate"] = rate(row["graphs_per_second"])
    return found


def running(training: Training) -> dict[str, str]:
    """What to show of a running training: ``epoch``, those of :func:`values`, ``left``."""
    found = {"epoch": running_epoch(training), **values(training.row)}
    left = training.seconds_left
    if left is not None and training.epochs_done < (training.num_epochs or 0):
        found["left"] = f"{duration(left)} left"
    return found


def running_epoch(training: Training) -> str:
    """``epoch 4/50``, in a slow one with its percentage; ``starting`` before the first step."""
    if training.num_epochs is None:
        return "starting"
    done, each = training.epochs_done, training.seconds_per_epoch
    title = f"epoch {min(int(done) + 1, training.num_epochs)}/{training.num_epochs}"
    if done < training.num_epochs and (each is None or each > SLOW):
        title += f" {done % 1:4.0%}"
    return title


def ended_epoch(training: Training, row: Mapping[str, str]) -> str:
    """The line of an epoch that has ended."""
    texts = [f"epoch {row['epoch']}/{training.num_epochs}", *values(row).values()]
    left = training.seconds_left
    if left:
        texts.append(f"{duration(left)} left")
    return f"{training.run}: " + ", ".join(texts)


def ended_training(training: Training, seconds: float) -> str:
    """The line of a training that has ended."""
    texts = [f"{training.run}: trained"]
    if training.row:
        last = {k: v for k, v in values(training.row).items() if k != "rate"}
        texts += [f"{training.row['epoch']} epochs", *last.values()]
    return ", ".join([*texts, duration(seconds)])
