"""Stages on their own: every command of the documents, and what Snakemake tells of the rules."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qgpipe.stages.registry import TARGETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
REPORT = {"plot_run": 1, "report_run": 1}
TEST = {"test_run": 1, "compare_run": 1, **REPORT}
TRAIN = {"train_run": 1, **TEST}
SPLIT = {"split_samples": 1, "baseline_answers": 1, **TRAIN}

# What a finished run does again on each command that the documents show.
COMMANDS = {
    "snakemake --cores 8 --configfile run.yaml": {},
    "snakemake --cores 8 --configfile own.yaml": {},
    "snakemake --cores 8 --configfile run.yaml --dry-run": {},
    "snakemake --cores 8 --configfile run.yaml config/models/two_way.yaml": TRAIN,
    "snakemake --cores 8 --configfile run.yaml --touch": {},
    "snakemake train --cores 8 --configfile run.yaml": {},
    "snakemake baseline --cores 8 --configfile run.yaml": {},
    "snakemake predict --cores 8 --configfile run.yaml": {},
    "snakemake tune --cores 8 --configfile run.yaml": {},
    "snakemake train --cores 8 --configfile run.yaml --forcerun train_run": {"train_run": 1},
    "snakemake --cores 8 --configfile run.yaml --forcerun preprocess_part": {
        "preprocess_part": 3,
        "gather_dataset": 1,
        **SPLIT,
    },
}
FOLLOWS = {
    "generate_store": set(),
    "preprocess_part": {"generate_store"},
    "gather_dataset": {"preprocess_part"},
    "split_samples": {"preprocess_part", "gather_dataset"},
    "baseline_answers": {"preprocess_part", "gather_dataset", "split_samples"},
    "train_run": {"preprocess_part", "gather_dataset", "split_samples"},
    "test_run": {"preprocess_part", "gather_dataset", "split_samples", "train_run"},
    "plot_run": {"preprocess_part", "gather_dataset", "split_samples", "train_run", "test_run"},
    "compare_run": {"baseline_answers", "test_run"},
    "report_run": {
        "preprocess_part",
        "gather_dataset",
        "split_samples",
        "train_run",
        "test_run",
        "compare_run",
    },
    "all": {
        "preprocess_part",
        "gather_dataset",
        "split_samples",
        "baseline_answers",
        "compare_run",
        "train_run",
        "test_run",
        "plot_run",
        "report_run",
    },
}


def documented() -> set[str]:
    """Commands of Snakemake in the console blocks of README and docs, comments left out.

    Those for a cluster are tried on one, in tests/slurm; that of the wheel in test_wheel.py; those
    of tasks in tests/benchmarks.
    """
    texts = [file.read_text() for file in (ROOT / "README.md", *ROOT.glob("docs/*.md"))]
    blocks = [block for text in texts for block in re.findall(r"```console\n(.*?)```", text, re.S)]
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    elsewhere = {"profiles/slurm", "--snakefile", "benchmarks/tasks/common.yaml"}
    here = (words for words in lines if not elsewhere & set(words))
    return {" ".join(words) for words in here if words[:1] == ["snakemake"]}


def test_every_command_of_the_documents_is_tried_here():
    assert documented() <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents_does_what_it_says(finished, command):
    arguments = command.split()[1:]
    arguments[arguments.index("--cores") : arguments.index("--configfile") + 2] = []
    if "--touch" in arguments:
        arguments.remove("--touch")  # of a dry run there is nothing to touch
    over = [word for word in arguments if word.endswith(".yaml")]
    arguments = [word for word in arguments if word not in over]
    assert finished.rules_to_run(*arguments, over=over) == COMMANDS[command]


@pytest.mark.parametrize(
    ("rule", "again"),
    [
        ("plot_run", {"plot_run": 1}),
        ("report_run", {"report_run": 1}),
        ("test_run", TEST),
        ("train_run", TRAIN),
        ("compare_run", {"compare_run": 1, "report_run": 1}),
        ("baseline_answers", {"baseline_answers": 1, "compare_run": 1, "report_run": 1}),
        ("split_samples", SPLIT),
        ("gather_dataset", {"gather_dataset": 1, **SPLIT}),
        (
            "preprocess_part",
            {"preprocess_part": 3, "gather_dataset": 1, **SPLIT},
        ),
        (
            "generate_store",
            {
                "generate_store": 1,
                "preprocess_part": 3,
                "gather_dataset": 1,
                **SPLIT,
            },
        ),
    ],
)
def test_a_forced_rule_runs_with_all_that_follows(finished, rule, again):
    assert finished.rules_to_run("all", "--forcerun", rule) == again


def test_training_is_forced_from_its_last_checkpoint_or_without_one_from_the_start(
    finished, tmp_path
):
    copy = replace(finished, folder=shutil.copytree(finished.folder, tmp_path / "copy"))
    run = copy.folder / "results/runs/tiny"
    model, tested = (run / "model.pt").read_bytes(), (run / "test/metrics.json").stat()
    for first_words in ("go on after epoch 3", "epoch 1/3"):
        done = copy.snakemake("train", "--forcerun", "train_run")
        assert done.returncode == 0, done.stderr
        log = (run / "logs/train.log").read_text()
        assert first_words in log
        assert ("epoch 1/3" in log) == (first_words == "epoch 1/3")
        assert (run / "model.pt").read_bytes() == model
        shutil.rmtree(run / "checkpoints")
    assert (run / "test/metrics.json").stat().st_mtime_ns == tested.st_mtime_ns


def test_each_rule_describes_itself_in_a_sentence(finished):
    lines = finished.snakemake("--list-rules").stdout.splitlines()
    described = dict(re.fullmatch(r"(\w+) \((.+\.)\)", line).groups() for line in lines)
    others = {
        "sweep_table",
        "folds_table",
        "predict_store",
        "evaluate_set",
        "apply_baselines",
        "ensemble_run",
        "calibrate_run",
        "explain_run",
        "ablate_run",
        "tune_trials",
        "study_trials",
    }
    assert set(described) == {*FOLLOWS, *TARGETS, *others}
    assert max(map(len, lines)) < 100
    assert all(text[0].isupper() for text in described.values())
    targets = finished.snakemake("--list-target-rules").stdout
    assert {line.split()[0] for line in targets.splitlines()} == {
        *TARGETS, "all", "split_samples", "gather_dataset", "baseline_answers",
    }  # fmt: skip


def test_the_graph_of_rules_is_that_of_the_stages(finished):
    graph = finished.snakemake("--rulegraph").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    edges = [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", graph)]
    assert {name: {a for a, b in edges if b == name} for name in names.values()} == FOLLOWS


def test_a_dry_run_imports_neither_torch_nor_zarr(finished, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    said = finished.snakemake("--dry-run").stderr
    imported = set(re.findall(r"^import time:.*\| +(\w+)(?:\.\w+)*$", said, re.M))
    assert {"snakemake", "qgpipe", "yaml"} <= imported
    slow = {"torch", "torch_geometric", "zarr", "tensorstore", "matplotlib", "sklearn"}
    assert imported & slow == set()
