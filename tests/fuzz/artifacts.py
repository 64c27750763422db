"""Artifacts of a finished sweep of two runs, damaged; and every command that reads them.

What is derived may be changed by hand in a way that nobody can know: another number in a file of
results is no mistake to ``show``, but it is to ``trace``, which has the checksums.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from judge import Mutant

from qgpipe.baselines.compare import compare_run
from qgpipe.cli import main
from qgpipe.config import expand_runs, load_config
from qgpipe.errors import QgpipeError
from qgpipe.report.figures import comparison_figures, run_figures
from qgpipe.report.page import page
from qgpipe.system import tensor_files
from qgpipe.training import run as stages

COUNT = 420
ROOT = Path(__file__).parents[2]
RUNS, DATA = Path("results/runs"), Path("results/data")
RUN, OTHER = RUNS / "tiny-batch_size=4", RUNS / "tiny-batch_size=8"
PART, SECOND = (DATA / f"parts/flat-{start:09}.safetensors" for start in (0, 8))
STORE, RESULT, KEPT = DATA / "raw/flat.zarr", Path("out"), Path("kept")
CONFIG = """\
name: tiny
generate: { num_samples: 16, size: [4, 7], classes: [random, layered], stores: [flat] }
data:
  reader: { type: qgpipe.CausalSetReader, kwargs: { node_features: [in_degree, out_degree] } }
  chunksize: 8
  split: [0.5, 0.25, 0.25]
model:
  encoder_type: !pyobject qgpipe.models.Sequential
  encoder_kwargs:
    layers:
      - [!pyobject torch_geometric.nn.SAGEConv, [2, 4], {}, "x, edge_index"]
      - [!pyobject torch.nn.ReLU, [], {}, x]
  pooling_layers: [[!pyobject torch_geometric.nn.global_mean_pool]]
  downstream_tasks: [[!pyobject torch.nn.Linear, [4, 2]]]
criterion: !pyobject qgpipe.training.losses.cross_entropy
training: { seed: 1, device: cpu, num_epochs: 3, batch_size: !sweep { values: [4, 8] } }
validation:
  validator:
    evaluator_tasks: [{ name: accuracy, monitor: !pyobject sklearn.metrics.accuracy_score }]
testing:
  tester:
    evaluator_tasks: [{ name: accuracy, monitor: !pyobject sklearn.metrics.accuracy_score }]
"""

Make = Callable[[Path], None]


def template(folder: Path) -> None:
    """A sweep of two runs as the workflow leaves it, and what a command has to give again."""
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(CONFIG)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--cores", "1", "--configfile", "run.yaml",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    shutil.rmtree(folder / ".snakemake", ignore_errors=True)
    (folder / KEPT).mkdir()
    for file in ("model.pt", "test/metrics.json", "test/predictions.csv"):
        shutil.copy(folder / RUN / file, folder / KEPT)


# What reads artifacts.


def as_a_job(work: Callable[[], Any]) -> int:
    try:
        work()
    except QgpipeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def config() -> dict[str, Any]:
    return expand_runs(load_config("run.yaml"), "run.yaml")[0].config


def trace() -> int:
    code = main(["trace", str(RUN)])
    if code:
        print("it does not hold", file=sys.stderr)  # the rest is on the standard output
    return code


def compare() -> None:
    places = {run.config["name"]: run.place for run in expand_runs(load_config("run.yaml"))}
    comparison_figures.write_sweep(RUNS, places, RESULT / "sweep.csv", RESULT / "sweep.svg")


ANSWERS = DATA / "baseline.safetensors"
DESCRIBED = DATA / "dataset.json", DATA / "split.json"
COMMANDS: dict[str, Callable[[], int]] = {
    "show run": lambda: main(["show", str(RUN)]),
    "show sweep": lambda: main(["show", "run.yaml"]),
    "trace": trace,
    "diff": lambda: main(["diff", str(RUN), str(OTHER)]),
    "predict": lambda: main(["predict", str(RUN), str(STORE), "--output", str(RESULT)]),
    "export": lambda: main(["export", str(RUN), "--output", str(RESULT)]),
    "clean": lambda: main(["clean", "run.yaml"]),
    "page": lambda: as_a_job(lambda: page.write_page(RUN, *DESCRIBED, RESULT / "report.html")),
    "figures": lambda: as_a_job(lambda: run_figures.plot_run(RUN, *DESCRIBED, RESULT)),
    "compare": lambda: as_a_job(compare),
    "baselines": lambda: as_a_job(
        lambda: compare_run(config(), ANSWERS, RUN / "test/baselines.json")
    ),
    "resume": lambda: as_a_job(lambda: stages.train_run(config(), *DESCRIBED, RUN)),
    "test": lambda: as_a_job(
        lambda: stages.test_run(config(), *DESCRIBED, RUN / "model.pt", RUN / "test")
    ),
}
# What each needs to be whole: if it is cut short, the command must not end well.
LAST, BEST = "checkpoints/*/last.pt", "checkpoints/*/best.pt"
NEEDED: dict[str, list[str]] = {
    "show run": ["summary.json", "test/metrics.json", "config.yaml", "test/baselines.json"],
    "show sweep": ["../sweep.csv"],
    "trace": ["config.yaml", "model.pt", "history.csv", "summary.json", "test/metrics.json",
              "test/predictions.csv", "report.html", "figures/loss.svg", "part", "second part",
              "dataset.json", "split.json", "train.provenance.json", "test/test.provenance.json"],
    "diff": ["config.yaml", "summary.json", "test/metrics.json", "train.provenance.json"],
    "predict": ["config.yaml", "model.pt"],
    "export": ["config.yaml", "model.pt"],
    "clean": [],
    "page": ["config.yaml", "history.csv", "summary.json", "test/metrics.json",
             "test/predictions.csv", "test/baselines.json", "dataset.json", "split.json"],
    "figures": ["history.csv", "summary.json", "test/metrics.json", "test/predictions.csv",
                "dataset.json", "split.json"],
    "compare": ["summary.json", "test/metrics.json", "test/baselines.json", "config.yaml"],
    "baselines": ["answers", "test/metrics.json", "test/predictions.csv"],
    "resume": ["dataset.json", "split.json"],
    "test": ["dataset.json", "split.json", "model.pt"],
}  # fmt: skip
# What else it may meet.
MET = {
    "show run": ["model.pt"],  # which has to be there, but is not read
    "clean": ["summary.json", "train.provenance.json", "dataset.json"],
    "predict": ["train.provenance.json"],
    "export": ["train.provenance.json"],
    "diff": ["test/test.provenance.json", "dataset.provenance", "part record"],
    "trace": ["part record", "dataset.provenance", LAST],
    "resume": [LAST, BEST, "part", "second part", "model.pt", "train.provenance.json"],
    "test": ["part", "second part", "config.yaml"],
    "page": ["part", "second part", "train.provenance.json", "test/test.provenance.json"],
}
# What it must give again, if it ends well; nothing of it can be known of values set by hand.
GIVES = {
    "resume": ["model.pt"],
    "test": ["test/metrics.json", "test/predictions.csv"],
}
SPECIAL = {
    "part": PART,
    "second part": SECOND,
    "answers": ANSWERS,
    "dataset.json": DATA / "dataset.json",
    "split.json": DATA / "split.json",
    "dataset.provenance": DATA / "dataset.json.provenance.json",
    "part record": PART.with_name(f"{PART.name}.provenance.json"),
    "../sweep.csv": RUNS / "tiny/sweep.csv",
}


def artifact(folder: Path, name: str) -> Path:
    """The file that ``name`` stands for."""
    if name in SPECIAL:
        return folder / SPECIAL[name]
    return next((folder / RUN).glob(name))


# Damage to bytes.


def cut(file: Path, random: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: random.randrange(max(len(data.rstrip()) - 1, 1))])


def emptied(file: Path, _: random.Random) -> None:
    file.write_bytes(b"")


def flipped(file: Path, random: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(random.choice((1, 1, 20))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    file.write_bytes(data)


def zeroed(file: Path, random: random.Random) -> None:
    data = bytearray(file.read_bytes())
    start = random.randrange(len(data))
    data[start : start + 64] = bytes(len(data[start : start + 64]))
    file.write_bytes(data)


def garbled(file: Path, random: random.Random) -> None:
    file.write_bytes(random.randbytes(300))


def nested(file: Path, _: random.Random) -> None:
    file.write_bytes(b"[" * 50_000)


def a_folder(file: Path, _: random.Random) -> None:
    file.unlink()
    file.mkdir()


def gone(file: Path, _: random.Random) -> None:
    file.unlink()


def dangling(file: Path, _: random.Random) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def swapped(file: Path, random: random.Random) -> None:
    """The bytes of another artifact."""
    run = file.resolve().parents[len(file.parents) - len(RUN.parents) - 1]
    others = [p for p in run.rglob("*") if p.is_file() and p.suffix != file.suffix]
    file.write_bytes(random.choice(sorted(others)).read_bytes())


REFUSED = (cut, emptied, garbled, nested, a_folder, gone, dangling)
BYTES = (*REFUSED, flipped, zeroed)


# Damage to values.

VALUES = [None, True, -1, 0, 1.5, 10**30, "x", "", "../../x", [], {}, [[1]], {"a": {}}, "\0", "1"]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where something stands in a JSON value, its first entries in lists."""
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed_value(value: Any, random: random.Random) -> Any:
    """``value`` with another value, or nothing, somewhere."""
    path = random.choice(list(places(value)))
    container = value
    for step in path[:-1]:
        container = container[step]
    if random.random() < 0.2:
        del container[path[-1]]
    else:
        container[path[-1]] = random.choice(VALUES)
    return value


def json_value(file: Path, random: random.Random) -> None:
    file.write_text(json.dumps(changed_value(json.loads(file.read_text()), random)))


def json_whole(file: Path, random: random.Random) -> None:
    file.write_text(random.choice(["[]", "null", "3", '"x"', "{}", "NaN", "[{}]", "1" * 5000]))


def cells(file: Path, random: random.Random) -> None:
    """A table with a cell, a row or a column that is wrong."""
    rows = [line.split(",") for line in file.read_text().splitlines()]
    row, column = random.randrange(1, len(rows)), random.randrange(len(rows[0]))
    kind = random.choice(("name", "row twice", "row gone", "rows", "column", "longer", "blank"))
    if kind == "name":
        rows[0][column] = random.choice((rows[0][column - 1], "", "x,y"))
    elif kind == "row twice":
        rows.insert(row, rows[row])
    elif kind == "row gone":
        del rows[row]
    elif kind == "rows":
        rows[1:] = [rows[0], *rows[2:]]
    elif kind == "column":
        rows = [cells[:column] + cells[column + 1 :] for cells in rows[:1]] + rows[1:]
    elif kind == "longer":
        rows[row].append("1")
    else:
        rows.insert(row, [])
    file.write_text("".join(",".join(cells) + "\n" for cells in rows))


def text_cell(file: Path, random: random.Random) -> None:
    """A table with text, or NUL, in place of the first number of a row."""
    rows = [line.split(",") for line in file.read_text().splitlines()]
    rows[random.randrange(1, len(rows))][1] = random.choice(("x", "\0", "1_0", "0x1", '"', "1 2"))
    file.write_text("".join(",".join(cells) + "\n" for cells in rows))


def in_a_process(work: Callable[[], None]) -> None:
    """Threads that torch starts would hinder the forks of this one."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(process, 0)[1]:
        raise RuntimeError("a mutant could not be made")


def tensors(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where there are tensors in a value."""
    if isinstance(value, torch.Tensor):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tensors(inner, (*path, key))


def _rewritten(file: Path, change: Callable[[dict], None]) -> None:
    def work() -> None:
        content = torch.load(file, map_location="cpu", weights_only=True)
        change(content)
        file.write_bytes(tensor_files.to_bytes(content))

    in_a_process(work)


def tensor(file: Path, random: random.Random) -> None:
    """Another tensor, or something else, in place of a tensor."""

    def change(content: dict) -> None:
        path = random.choice(list(tensors(content)))
        container: Any = content
        for step in path[:-1]:
            container = container[step]
        old = container[path[-1]]
        container[path[-1]] = random.choice(
            [torch.zeros(7, 3), old[None, None], torch.zeros(0), "x", None, [1.0], {}]
        )

    _rewritten(file, change)


def not_finite(file: Path, random: random.Random) -> None:
    """Weights of the model that are no numbers."""

    def change(content: dict) -> None:
        state = content.get("state_dict") or content["parts"]["model"]
        for value in state.values():
            value.fill_(float("nan"))

    _rewritten(file, change)


def top_level(file: Path, random: random.Random) -> None:
    """A key of a tensor file with another value, or none."""

    def change(content: dict) -> None:
        key = random.choice(sorted(content))
        if random.random() < 0.3:
            del content[key]
        else:
            content[key] = random.choice(
                [None, -1, 10**12, "x", [], {}, 1.5, torch.zeros(2), [1, 2], {"x": 1}]
            )

    _rewritten(file, change)


def part_of_state(file: Path, random: random.Random) -> None:
    """A value within the state of a checkpoint, with another one."""

    def change(content: dict) -> None:
        key = random.choice([k for k, v in content.items() if isinstance(v, dict) and v])
        content[key] = changed_value(content[key], random)

    _rewritten(file, change)


def kinds(name: str) -> tuple[Callable, ...]:
    """How to damage the values of an artifact."""
    if name.endswith((".json", "record", "provenance")):
        return json_value, json_value, json_value, json_whole
    if name.endswith(".csv"):
        return cells, cells, text_cell
    if name.endswith(".pt"):
        return tensor, tensor, not_finite, top_level, top_level, part_of_state
    return ()


def same_as(before: list[str], folder: Path) -> bool:
    """Whether what a command gives is what it gave before."""
    return all(
        (folder / RUN / name).read_bytes() == (folder / KEPT / Path(name).name).read_bytes()
        for name in before
    )


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """Damage of every kind to every artifact of every command, as many as asked for."""
    chooser = random.Random(seed)
    cases = [
        (command, name, damage)
        for command in COMMANDS
        for name in (*NEEDED[command], *MET.get(command, ()))
        for damage in (*BYTES, swapped, *kinds(name))
    ]
    chooser.shuffle(cases)
    for number, (command, name, damage) in zip(range(count), itertools.cycle(cases), strict=False):
        own = random.Random(f"{seed} {number}")

        def make(folder: Path, name=name, damage=damage, own=own) -> None:
            damage(artifact(folder, name), own)

        needed = name in NEEDED[command]
        hopeless = damage in REFUSED or damage in (swapped, text_cell, json_whole)
        refused = True if needed and hopeless else None
        if command == "diff" and damage in (gone, dangling):
            refused = None  # what has not been tested can be compared, too
        if name == "config.yaml" and damage is not gone:
            refused = None  # cut short it may still be a configuration
        if command == "trace" and name in NEEDED[command] and not name.endswith("provenance.json"):
            refused = True
        given = GIVES.get(command) if damage in BYTES and name != "config.yaml" else None
        yield Mutant(
            f"{command}: {name}, {damage.__name__} ({number})",
            make,
            COMMANDS[command],
            refused,
            partial(same_as, given) if given else None,
        )
