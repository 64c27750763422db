"""Timing contenders against each other, and tables of the results."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Clock = Callable[[], float]


@dataclass(frozen=True)
class Contender:
    """``run()`` handles ``graphs`` graphs; contenders of one ``work`` are compared."""

    name: str
    processes: int
    graphs: int
    run: Callable[[], object]


def processor_time(threads: int, device: str = "cpu") -> Clock:
    """Seconds that a single thread computes, whatever else the machine does meanwhile.

    They are those on the wall of an idle machine, if nothing waits for a disk. For more threads,
    and on a GPU, the clock is that on the wall.
    """
    return time.process_time if threads == 1 and device == "cpu" else time.perf_counter


def rates(
    contenders: Sequence[Contender], rounds: int, clock: Clock = time.perf_counter
) -> dict[Contender, float]:
    """Graphs a second of each: the median of some rounds, in each of which all take turns.

    So what else the machine does meanwhile falls on all of them. A first round is not counted.
    """
    seconds: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders:
            start = clock()
            contender.run()
            if number or rounds == 0:
                seconds[contender].append(clock() - start)
    return {c: c.graphs / statistics.median(times) for c, times in seconds.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers are aligned to the right."""
    text = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *text, strict=True)]
    right = [all(isinstance(row[k], int | float) for row in rows) for k in range(len(header))]
    rule = ["-" * (w - 1) + ("-", ":")[r] for w, r in zip(widths, right, strict=True)]
    return "\n".join(_line(cells, widths, right) for cells in (header, rule, *text))


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    aligned = zip(cells, widths, right, strict=True)
    return f"| {' | '.join(c.rjust(w) if r else c.ljust(w) for c, w, r in aligned)} |"


def keep(text: str, output: Path | None) -> None:
    """Print a result, and write it to ``output`` if that is given."""
    print(text)
    if output is not None:
        output.write_text(text + "\n", encoding="utf-8")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
