"""What runs again after which change: the table of docs/reruns.md, asked of Snakemake itself."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import zarr
from snakemake.cli import main as snakemake

from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.stages.registry import BY_RULE, STAGES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORKFLOW = ("Snakefile", "rules", "scripts", "profiles", "envs")
CODE = {
    "reading.py": "import qgpipe\nfrom helper import FACTOR\n\n"
    "try:\n    import draft, fast\nexcept ImportError:\n    pass\n\n\n"
    "class Reader(qgpipe.CausalSetReader):\n    factor = FACTOR\n",
    "helper.py": "FACTOR = 1\n",
    "network.py": "import torch\n\n\nclass Scale(torch.nn.Module):\n"
    "    def forward(self, x):\n        return 2 * x\n",
    "losses.py": "import torch.nn.functional as F\n\n\ndef loss(outputs, data):\n"
    "    return F.cross_entropy(outputs[0], data.y)\n",
    "scores.py": "def score(y_true, y_pred):\n    return float((y_true == y_pred).mean())\n",
    "final_scores.py": "def score(y_true, y_pred):\n    return float((y_true == y_pred).mean())\n",
    "unused.py": "a = 1\n",
    "fast.so": "compiled",
    "draft.ipynb": "{}",
}
ALL_PARTS = ("a-0", "a-5", "a-10", "b-0", "b-5")


def write_store(path: Path, samples: int, seed: int = 0) -> None:
    """A stacked store of random relations of six elements; a longer one begins alike."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    relations = [
        np.triu(np.random.default_rng((seed, i)).random((6, 6)) < 0.5, 1) for i in range(samples)
    ]
    arrays = {
        "adjacency_matrix": np.array(relations).transpose(0, 2, 1).astype("u1"),
        "cset_size": np.full(samples, 6),
        "max_pathlens_future": np.ones((samples, 6), "f4"),
        "max_pathlens_past": np.ones((samples, 6), "f4"),
        "manifold_like": np.arange(samples) % 2,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=(4, *values.shape[1:]))


def configuration() -> dict:
    """The default run on two stores, with a reader, layer, loss and metrics of its own."""
    config = load_config(ROOT / "config" / "run.yaml")
    del config["generate"], config["evaluate"]
    config["name"] = "tiny"
    config["data"] = {
        "files": ["a.zarr", "b.zarr"],
        "output": "results/data",
        "reader": {"type": "!pyobject reading.Reader"},
        "chunksize": 5,
        "split": [0.6, 0.2, 0.2],
    }
    config["training"].update(num_epochs=2, batch_size=4, device="cpu")
    config["criterion"] = "!pyobject losses.loss"
    layer = "!pyobject torch_geometric.nn.SAGEConv"
    config["model"] = {
        "encoder_type": "!pyobject qgpipe.models.Sequential",
        "encoder_kwargs": {
            "layers": [
                [layer, [2, 8], {}, "x, edge_index"],
                ["!pyobject network.Scale", [], {}, "x"],
            ],
            "forward_signature": "x, edge_index, batch",
        },
        "pooling_layers": [["!pyobject torch_geometric.nn.global_mean_pool"]],
        "aggregate_pooling_type": "!pyobject torch.cat",
        "downstream_tasks": [["!pyobject torch.nn.Linear", [8, 2]]],
    }
    for section, evaluator, module in (
        ("validation", "validator", "scores"),
        ("testing", "tester", "final_scores"),
    ):
        tasks = [{"name": "score", "monitor": f"!pyobject {module}.score"}]
        config[section] = {evaluator: {"evaluator_tasks": tasks}}
    return config


def copy_workflow(folder: Path) -> None:
    """What Snakemake reads, so that it can be touched."""
    for name in WORKFLOW:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)


class Plan(NamedTuple):
    """What would be made: parts as ``<store>-<start>``, and stages by the names of the table."""

    parts: tuple[str, ...]
    stages: tuple[str, ...]


@dataclass
class Tree:
    """A working directory with the workflow, code, stores and configuration in it."""

    folder: Path

    def arguments(self, *chosen: str) -> list[str]:
        """Arguments of Snakemake."""
        return [
            *chosen, "--snakefile", str(self.folder / "Snakefile"),
            "--directory", str(self.folder), "--cores", "2", "--nocolor",
            "--configfile", str(self.folder / "run.yaml"),
        ]  # fmt: skip

    def run(self, *targets: str) -> None:
        """Run the workflow."""
        command = [sys.executable, "-m", "snakemake", *self.arguments(*targets)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def summary(self) -> str:
        """What Snakemake, run in this process, says of each file: a tenth of a second."""
        output, here = io.StringIO(), Path.cwd()
        try:
            with contextlib.redirect_stdout(output):
                snakemake(self.arguments("--summary", "--quiet", "all"))
        except SystemExit as exit:
            assert exit.code == 0, output.getvalue()
        finally:
            os.chdir(here)
        return output.getvalue()

    def plan(self) -> Plan:
        """What Snakemake would run."""
        parts, stages = set(), set()
        for line in self.summary().splitlines()[1:]:
            file, _, rule, *_, plan = line.split("\t")
            if plan == "no update":
                continue
            if rule == "preprocess_part":
                store, _, start = Path(file).stem.rpartition("-")
                parts.add(f"{store}-{int(start)}")
            else:
                stages.add(BY_RULE[rule].name)
        order = [*ALL_PARTS, *sorted(parts - set(ALL_PARTS), key=lambda name: (len(name), name))]
        return Plan(
            tuple(part for part in order if part in parts),
            tuple(stage for stage in STAGES if stage in stages),
        )

    def configure(self, key: str, value: object) -> None:
        """Set a key of the configuration; its path is written with dots."""
        config = load_config(self.folder / "run.yaml")
        *parents, last = key.split(".")
        section = config
        for name in parents:
            section = section.setdefault(name, {})
        section[last] = value
        (self.folder / "run.yaml").write_text(to_yaml(config))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace ``old``, which must occur, in a file."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def delete(self, pattern: str) -> None:
        """Delete what matches; something must."""
        found = list(self.folder.glob(pattern))
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Tree:
    """A finished run."""
    tree = Tree(tmp_path_factory.mktemp("base"))
    copy_workflow(tree.folder)
    for name, text in CODE.items():
        (tree.folder / name).write_text(text)
    write_store(tree.folder / "a.zarr", 12)
    write_store(tree.folder / "b.zarr", 9, seed=1)
    (tree.folder / "run.yaml").write_text(to_yaml(configuration()))
    tree.run()
    assert tree.plan() == NOTHING
    return tree


@pytest.fixture(autouse=True)
def _formats_as_they_were(monkeypatch):
    for name, stage in STAGES.items():
        monkeypatch.setitem(STAGES, name, stage)


@pytest.fixture
def tree(base, tmp_path) -> Tree:
    """A copy of the finished run, dates and all, to change."""
    return Tree(shutil.copytree(base.folder, tmp_path / "copy", symlinks=True))


def touch(tree: Tree, *patterns: str) -> None:
    for pattern in patterns:
        for path in tree.folder.glob(pattern):
            os.utime(path)


def grow(tree: Tree, file: str = "a.zarr", samples: int = 17) -> None:
    """Append samples to a store, array by array."""
    path = tree.folder / file
    write_store(tree.folder / "longer.zarr", samples, seed=int(file == "b.zarr"))
    longer = zarr.open_group(tree.folder / "longer.zarr", mode="r")
    for name, array in zarr.open_group(path, mode="r+").arrays():
        old = array.shape[0]
        array.resize((samples, *array.shape[1:]))
        array[old:] = longer[name][old:]


def replace(tree: Tree) -> None:
    shutil.rmtree(tree.folder / "a.zarr")
    write_store(tree.folder / "a.zarr", 12, seed=7)


def relabel(tree: Tree) -> None:
    labels = zarr.open_group(tree.folder / "a.zarr", mode="r+")["manifold_like"]
    labels[:] = 1 - labels[:]


def rewrite_alike(tree: Tree) -> None:
    shutil.rmtree(tree.folder / "a.zarr")
    write_store(tree.folder / "a.zarr", 12)


def move(tree: Tree) -> None:
    (tree.folder / "raw").mkdir()
    (tree.folder / "a.zarr").rename(tree.folder / "raw" / "a.zarr")
    tree.configure("data.files", ["raw/a.zarr", "b.zarr"])


def respell(tree: Tree) -> None:
    tree.configure("data.files", [str(tree.folder / "a.zarr"), "./b.zarr"])


def add_store(tree: Tree) -> None:
    write_store(tree.folder / "c.zarr", 7, seed=3)
    tree.configure("data.files", ["a.zarr", "b.zarr", "c.zarr"])


def reformat(tree: Tree) -> None:
    config = load_config(tree.folder / "run.yaml")
    text = to_yaml(dict(reversed(config.items())))
    text = text.replace("lr: 0.001", "lr: 1e-3 # small").replace("!pyobject losses", "losses")
    (tree.folder / "run.yaml").write_text(f"# The same in other words.\n\n{text}")


def damage(tree: Tree) -> None:
    part = tree.folder / "results/data/parts/a-000000005.safetensors"
    content = bytearray(part.read_bytes())
    content[-1] ^= 0xFF
    part.write_bytes(content)


def check_out(tree: Tree) -> None:
    """Every file of workflow, code and configuration deleted and written again."""
    files = [path for name in WORKFLOW for path in files_in(tree.folder / name)]
    files += [tree.folder / name for name in ("run.yaml", *CODE)]
    for path in files:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def files_in(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def swap_features(tree: Tree) -> None:
    names = ["max_pathlens_past", "max_pathlens_future"]
    tree.configure("data.reader.kwargs", {"node_features": names})


def shuffle_and_draw(tree: Tree) -> None:
    tree.configure("data.subset", 0.9)
    assert tree.plan() == Plan((), FROM_SPLIT)
    tree.configure("data.subset", None)
    assert tree.plan() == NOTHING
    tree.configure("data.shuffle", True)


def set_format(stage: str) -> Callable[[Tree], None]:
    return lambda tree: STAGES.update({stage: dataclasses.replace(STAGES[stage], format=99)})


def configure(key: str, value: object) -> Callable[[Tree], None]:
    return lambda tree: tree.configure(key, value)


def edit(file: str, old: str, new: str) -> Callable[[Tree], None]:
    return lambda tree: tree.edit(file, old, new)


def delete(pattern: str) -> Callable[[Tree], None]:
    return lambda tree: tree.delete(pattern)


FROM_GATHER = ("gather", "split", "baseline", "train", "test", "compare", "plot", "report")
FROM_SPLIT, FROM_TRAIN, FROM_TEST = FROM_GATHER[1:], FROM_GATHER[3:], FROM_GATHER[4:]
FROM_BASELINE, FROM_COMPARE = ("baseline", "compare", "report"), ("compare", "report")
PLOT, REPORT = ("plot",), ("report",)
NOTHING = Plan((), ())
EVERYTHING = Plan(ALL_PARTS, FROM_GATHER)
OF_A = ALL_PARTS[:3]

CASES: dict[str, tuple[Callable[[Tree], None], Plan]] = {
    # how, not what
    "configuration file: comments, formatting, key order, `1e-3` for `0.001`": (reformat, NOTHING),
    "`log_level`": (configure("log_level", "DEBUG"), NOTHING),
    "`training.num_workers`": (configure("training.num_workers", 2), NOTHING),
    "`training.device`": (configure("training.device", "auto"), NOTHING),
    "`training.checkpoint_at`": (configure("training.checkpoint_at", 1), NOTHING),
    "`training.loggers`": (configure("training.loggers", ["tensorboard"]), NOTHING),
    "`training.message_passing`": (configure("training.message_passing", "dense"), NOTHING),
    "`data.n_processes`": (configure("data.n_processes", 2), NOTHING),
    "`data.residency`": (configure("data.residency", "mmap"), NOTHING),
    "a top-level key starting with `x-`": (configure("x-note", "anything"), NOTHING),
    "modification times of code, workflow, configuration and raw stores": (
        lambda tree: touch(tree, "*", "rules/*", "scripts/*", "*.zarr/**/*", "*.zarr/**/.*"),
        NOTHING,
    ),
    "fresh checkout of code, workflow and configuration": (check_out, NOTHING),
    "project folder copied with modification times and `.snakemake`": (
        lambda tree: None,
        NOTHING,
    ),
    # code
    "code of your reader": (edit("reading.py", "= FACTOR", "= 2 * FACTOR"), EVERYTHING),
    "code of a module that your reader imports": (edit("helper.py", "1", "2"), EVERYTHING),
    "code of your layer": (edit("network.py", "2 * x", "3 * x"), Plan((), FROM_TRAIN)),
    "code of your loss function": (edit("losses.py", "[0]", "[0] + 0"), Plan((), FROM_TRAIN)),
    "code of your validation metric": (
        edit("scores.py", "mean())", "mean()) + 1"),
        Plan((), FROM_TRAIN),
    ),
    "code of your test metric": (
        edit("final_scores.py", "mean())", "mean()) + 1"),
        Plan((), FROM_TEST),
    ),
    "docstrings in your code": (
        edit("losses.py", "    return", '    """Cross-entropy."""\n    return'),
        NOTHING,
    ),
    "comments and formatting of your code": (
        edit("helper.py", "FACTOR = 1", "FACTOR = (\n    1  # of all\n)"),
        NOTHING,
    ),
    "compiled modules and notebooks that your code imports": (
        lambda tree: [tree.edit("fast.so", "com", "re"), tree.edit("draft.ipynb", "{}", "[]")],
        NOTHING,
    ),
    "code of an unused module": (edit("unused.py", "1", "2"), NOTHING),
    # raw data
    "raw store rewritten with the same content": (rewrite_alike, NOTHING),
    "raw store replaced by another one with the same metadata": (replace, Plan(OF_A, FROM_GATHER)),
    "one array of a raw store rewritten with other values": (relabel, Plan(OF_A, FROM_GATHER)),
    "samples appended to a raw store": (grow, Plan(("a-10", "a-15"), FROM_GATHER)),
    "raw store added to `data.files`": (add_store, Plan(("c-0", "c-5"), FROM_GATHER)),
    "raw store removed from `data.files`": (
        configure("data.files", ["a.zarr"]),
        Plan((), FROM_GATHER),
    ),
    "order of the raw stores in `data.files`": (
        configure("data.files", ["b.zarr", "a.zarr"]),
        Plan((), FROM_GATHER),
    ),
    "absolute instead of relative path of a raw store": (respell, NOTHING),
    "raw store moved and its path in `data.files` updated": (move, NOTHING),
    # settings of the data
    "`data.reader.kwargs`": (
        configure("data.reader.kwargs", {"class_names": ["no", "yes"]}),
        EVERYTHING,
    ),
    "`data.reader.kwargs`, order of the features": (swap_features, EVERYTHING),
    "`data.pre_filter`": (configure("data.pre_filter", "unused.a"), EVERYTHING),
    "`data.float_type`": (configure("data.float_type", "torch.float64"), EVERYTHING),
    "`data.validate_data`": (configure("data.validate_data", False), EVERYTHING),
    "`data.chunksize`": (
        configure("data.chunksize", 6),
        Plan(("a-0", "b-0", "a-6", "b-6"), FROM_GATHER),
    ),
    "`data.split`, two fractions swapped": (
        configure("data.split", [0.2, 0.6, 0.2]),
        Plan((), FROM_SPLIT),
    ),
    "`report.sensitivity`": (
        configure("report.sensitivity", ["cset_size"]),
        Plan(ALL_PARTS, FROM_GATHER),
    ),
    "`data.split_method`": (configure("data.split_method", "stratified"), Plan((), FROM_SPLIT)),
    "`data.subset`, `data.shuffle`": (shuffle_and_draw, Plan((), FROM_SPLIT)),
    "`data.output`": (configure("data.output", "elsewhere"), EVERYTHING),
    "`data.transform`": (configure("data.transform", "unused.a"), Plan((), FROM_TRAIN)),
    # settings of the training
    "`training.seed`": (configure("training.seed", 7), Plan((), FROM_SPLIT)),
    "`training.num_epochs` increased": (configure("training.num_epochs", 3), Plan((), FROM_TRAIN)),
    "`training.num_epochs` decreased": (configure("training.num_epochs", 1), Plan((), FROM_TRAIN)),
    "`training.path`": (configure("training.path", "elsewhere"), Plan((), FROM_TRAIN)),
    "`training.optimizer_kwargs`": (
        configure("training.optimizer_kwargs.lr", 0.01),
        Plan((), FROM_TRAIN),
    ),
    "`training.batch_size` (default for validation and testing)": (
        configure("training.batch_size", 5),
        Plan((), FROM_TRAIN),
    ),
    "`model`, one item of a list": (
        configure("model.downstream_tasks", [["!pyobject torch.nn.Linear", [8, 3]]]),
        Plan((), FROM_TRAIN),
    ),
    "`criterion`": (
        configure("criterion", "qgpipe.training.losses.cross_entropy"),
        Plan((), FROM_TRAIN),
    ),
    "`apply_model`": (configure("apply_model", "unused.a"), Plan((), FROM_TRAIN)),
    "`early_stopping`": (configure("early_stopping.patience", 9), Plan((), FROM_TRAIN)),
    "`validation`": (configure("validation.batch_size", 9), Plan((), FROM_TRAIN)),
    "`testing`": (configure("testing.batch_size", 9), Plan((), FROM_TEST)),
    "`baseline`": (configure("baseline.methods", ["constant"]), Plan((), FROM_BASELINE)),
    "`baseline: false`": (configure("baseline", False), Plan((), REPORT)),
    "`report.explain`": (
        configure("report", {"explain": True}),
        Plan((), ("explain", "plot", "report")),
    ),
    "`report.ablations`": (
        configure("report", {"ablations": ["no_edges"]}),
        Plan((), ("train", "test", "ablate", "plot", "report")),
    ),
    "`training.sampler`": (configure("training.sampler", "weighted"), Plan((), FROM_TRAIN)),
    "`training.ablation`": (configure("training.ablation", "no_edges"), Plan((), FROM_TRAIN)),
    "`name`": (configure("name", "other"), Plan((), FROM_TRAIN)),
    "`tune`": (
        configure("tune", {"parameters": {"training.batch_size": {"choices": [2, 4]}}}),
        Plan((), ("tune", "study")),
    ),
    # artifacts
    "part file deleted": (
        delete("results/data/parts/a-000000005.safetensors"),
        Plan(("a-5",), FROM_GATHER),
    ),
    "part file corrupted": (damage, Plan((), FROM_GATHER)),
    "`dataset.json` deleted": (delete("results/data/dataset.json"), Plan((), FROM_GATHER)),
    "`split.json` deleted": (delete("results/data/split.json"), Plan((), FROM_SPLIT)),
    "`model.pt` deleted": (delete("results/runs/tiny/model.pt"), Plan((), FROM_TRAIN)),
    "`history.csv` deleted": (delete("results/runs/tiny/history.csv"), Plan((), FROM_TRAIN)),
    "`metrics.json` deleted": (delete("results/runs/tiny/test/metrics.json"), Plan((), FROM_TEST)),
    "figure deleted": (delete("results/runs/tiny/figures/loss.svg"), Plan((), PLOT)),
    "`baseline.safetensors` deleted": (
        delete("results/data/baseline.safetensors"),
        Plan((), FROM_BASELINE),
    ),
    "`baselines.json` deleted": (
        delete("results/runs/tiny/test/baselines.json"),
        Plan((), FROM_COMPARE),
    ),
    "`.snakemake` deleted": (delete(".snakemake"), NOTHING),
    "`report.html` deleted": (delete("results/runs/tiny/report.html"), Plan((), REPORT)),
    "checkpoints, logs and provenance records deleted": (
        lambda tree: [
            tree.delete(pattern)
            for pattern in (
                "results/runs/tiny/checkpoints",
                "results/**/logs",
                "results/**/*.provenance.json",
            )
        ],
        NOTHING,
    ),
    # qgpipe
    "format version of `preprocess` in qgpipe": (set_format("preprocess"), EVERYTHING),
    "format version of `gather` in qgpipe": (set_format("gather"), Plan((), FROM_GATHER)),
    "format version of `split` in qgpipe": (set_format("split"), Plan((), FROM_SPLIT)),
    "format version of `baseline` in qgpipe": (set_format("baseline"), Plan((), FROM_BASELINE)),
    "format version of `train` in qgpipe": (set_format("train"), Plan((), FROM_TRAIN)),
    "format version of `test` in qgpipe": (set_format("test"), Plan((), FROM_TEST)),
    "format version of `plot` in qgpipe": (set_format("plot"), Plan((), PLOT)),
}


GENERATED: dict[str, tuple[Callable[[Tree], None], Plan]] = {
    "`generate`, any key except `stores`": (
        configure("generate.seed", 7),
        Plan(("causets-0", "causets-20", "causets-40"), ("generate", *FROM_GATHER)),
    ),
    "`generate.stores`, one store added": (
        configure("generate.stores", ["causets", "more"]),
        Plan(("more-0", "more-20", "more-40"), ("generate", *FROM_GATHER)),
    ),
    "modification time of a generated store": (
        lambda tree: touch(tree, "results/data/raw/*/**/*"),
        NOTHING,
    ),
    "generated store deleted": (delete("results/data/raw/causets.zarr"), NOTHING),
    "format version of `generate` in qgpipe": (
        set_format("generate"),
        Plan(("causets-0", "causets-20", "causets-40"), ("generate", *FROM_GATHER)),
    ),
}


@pytest.mark.parametrize("change", CASES)
def test_a_change_runs_just_what_it_shapes(tree, change):
    apply, expected = CASES[change]
    apply(tree)
    assert tree.plan() == expected


@pytest.mark.parametrize("change", GENERATED)
def test_a_change_of_generated_data_runs_just_what_it_shapes(finished, tmp_path, change):
    tree = Tree(shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True))
    copy_workflow(tree.folder)
    apply, expected = GENERATED[change]
    apply(tree)
    assert tree.plan() == expected


def test_the_log_names_the_code_that_is_not_followed(base):
    log = (base.folder / "results/data/logs/preprocess/a-000000000.log").read_text()
    for file, why in (("fast.so", "compiled code"), ("draft.ipynb", "a notebook")):
        assert f"{file} is {why}: changes in it are not noticed; after one, use --forcerun" in log


def test_the_table_lists_every_change():
    text = (ROOT / "docs" / "reruns.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    table = {row[0]: row[1:] for row in rows if row[0] != "change"}
    expected = {
        change: [", ".join(plan.parts) or "–", ", ".join(plan.stages) or "nothing"]
        for change, (_, plan) in {**CASES, **GENERATED}.items()
    }
    assert table == expected


def test_a_grown_store_stays_known_and_is_still_watched(tree):
    grow(tree)
    tree.run("preprocess")
    assert tree.plan().parts == ()
    grow(tree, samples=18)
    assert tree.plan().parts == ("a-15",)
    tree.run("preprocess")
    relabel(tree)
    assert tree.plan().parts == (*OF_A, "a-15")


def test_a_deleted_part_comes_back_without_an_epoch_of_training(tree):
    run = tree.folder / "results/runs/tiny"
    part = tree.folder / "results/data/parts/a-000000005.safetensors"
    files = [part, run / "model.pt", run / "history.csv", run / "test/metrics.json"]
    before = [file.read_bytes() for file in files]
    part.unlink()
    tree.run()
    assert [file.read_bytes() for file in files] == before
    log = (run / "logs/train.log").read_text()
    assert "go on after epoch 2" in log
    assert "epoch 2/2" not in log
    assert tree.plan() == NOTHING
