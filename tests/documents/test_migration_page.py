"""The page for those who come from QuantumGravPy has a row for every key that is there."""

import re
from pathlib import Path

import pytest

from qgpipe.config.schema import definition, resolve_part, schema

TEXT = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
EVALUATOR = ["device", "criterion", "apply_model", "evaluator_tasks"]
LOADER = ["batch_size", "num_workers", "pin_memory", "drop_last", "prefetch_factor", "shuffle"]
# The keys of QuantumGravPy's own schemas, by section of the page and our definition.
KEYS = {
    "data": ("data", ["files", "reader", "output", "pre_filter", "pre_transform", "transform",
                      "validate_data", "n_processes", "chunksize", "split", "subset", "shuffle"]),
    "model": ("gnn_model", list(definition("gnn_model")["properties"])),
    "training": ("training", ["seed", "device", "path", "num_epochs", "optimizer_type",
                              "optimizer_args", "optimizer_kwargs", "lr_scheduler_type",
                              "lr_scheduler_args", "lr_scheduler_kwargs", "persistent_workers",
                              "checkpoint_at", *LOADER]),
    "validation": ("validation", ["validator", *LOADER]),
    "testing": ("testing", ["tester", *LOADER]),
    "validator": ("native_evaluator", EVALUATOR),
    "task of an evaluator": ("monitor", ["name", "monitor", "args", "kwargs"]),
    "early_stopping": ("native_early_stopping", ["tasks", "mode", "patience"]),
    "task of early stopping": ("stopping_task", ["metric", "delta", "grace_period",
                                                 "init_best_score", "mode"]),
    "parallel": ("parallel", ["world_size", "output_device", "find_unused_parameters", "rank",
                              "master_addr", "master_port"]),
}  # fmt: skip
HEADINGS = {
    "testing": "validation",
    "validator": "validation",
    "task of an evaluator": "validation",
    "task of early stopping": "early_stopping",
    "parallel": "criterion",
}


def rows_below(heading: str) -> str:
    """The first cells of the tables below the heading that begins with the key ``heading``."""
    section = re.search(rf"^### `{heading}`.*?(?=^##|\Z)", TEXT, re.M | re.S)
    assert section
    return "\n".join(re.findall(r"^\| (.*?) \|", section[0], re.M))


@pytest.mark.parametrize("section", KEYS)
def test_every_key_has_a_row_and_is_known_here(section):
    name, keys = KEYS[section]
    rows = rows_below(HEADINGS.get(section, section))
    for key in keys:
        assert f"`{key}`" in rows, key
        assert key in resolve_part({"$ref": f"#/$defs/{name}"})["properties"], key


def test_every_key_of_the_top_has_a_row():
    there = ("name", "log_level", "training", "data", "model", "validation", "testing",
             "early_stopping", "criterion", "apply_model", "parallel")  # fmt: skip
    for key in there:
        assert key in schema()["properties"]
        assert re.search(rf"^(### |\| )[^|\n]*`{key}`", TEXT, re.M), key
