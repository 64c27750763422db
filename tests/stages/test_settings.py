import copy

import pytest

from qgpipe.config import resolve_config
from qgpipe.stages.registry import stage_section

STAGES = ("preprocess", "split", "train", "test", "plot", "report")


def changed_stages(config, path, value):
    other = copy.deepcopy(config)
    *parents, last = path.split(".")
    section = other
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value
    before, after = resolve_config(config), resolve_config(other)
    return {s for s in STAGES if stage_section(before, s) != stage_section(after, s)}


@pytest.mark.parametrize(
    ("path", "value", "stages"),
    [
        ("data.reader", "mymodule.reader", {"preprocess"}),
        ("data.pre_filter", "mymodule.keep", {"preprocess"}),
        ("data.validate_order", True, {"preprocess"}),
        ("data.on_bad_sample", "skip", {"preprocess"}),
        ("data.compress", True, {"preprocess"}),
        ("data.split", [0.6, 0.2, 0.2], {"split"}),
        ("data.subset", 0.5, {"split"}),
        ("report.sensitivity", ["flip_share"], {"preprocess", "plot", "report"}),
        ("data.transform", "mymodule.t", {"train", "test"}),
        ("training.seed", 9, {"split", "train"}),
        ("training.num_epochs", 9, {"train"}),
        ("training.optimizer_kwargs", {"lr": 0.5}, {"train"}),
        ("model.encoder_type", "torch.nn.ReLU", {"train"}),
        ("criterion", "mymodule.other", {"train", "test"}),
        ("validation", {"batch_size": 7}, {"train"}),
        ("testing", {"batch_size": 7}, {"test"}),
        ("training.device", "cpu", set()),
        ("training.num_workers", 3, set()),
        ("training.pin_memory", False, set()),
        ("training.message_passing", "dense", set()),
        ("training.bucket_by_size", True, {"train"}),
        ("training.precision", "bf16", {"train"}),
        ("training.gradient_clip", 1.0, {"train"}),
        ("training.accumulate_steps", 2, {"train"}),
        ("training.ema_decay", 0.9, {"train"}),
        ("training.compile", True, {"train"}),
        ("training.deterministic", True, {"train"}),
        ("training.checkpoint_at", 1, set()),
        ("training.loggers", ["tensorboard"], set()),
        ("training.keep_checkpoints", 1, set()),
        ("training.checkpoint_every_steps", 1, set()),
        ("data.n_processes", 4, set()),
        ("data.residency", "mmap", set()),
        ("log_level", "DEBUG", set()),
    ],
)
def test_a_key_is_in_the_sections_of_the_stages_that_it_shapes(minimal, path, value, stages):
    assert changed_stages(minimal, path, value) == stages


def test_what_a_split_is_stratified_by_is_kept(minimal):
    minimal["data"]["split_method"] = "stratified"
    assert changed_stages(minimal, "data.stratify_by", "flip_share") == {"preprocess", "split"}


@pytest.mark.parametrize(("key", "value"), [("subset", 0.5), ("shuffle", True)])
def test_how_a_stage_draws_from_its_own_data_shapes_the_split(minimal, key, value):
    minimal["data"]["split"] = [0.9, 0.1]
    minimal["testing"] = {"data": {"files": ["t.zarr"]}}
    assert changed_stages(minimal, f"testing.data.{key}", value) == {"split"}


def test_a_transform_of_a_stages_own_data_shapes_that_stage(minimal):
    minimal["data"]["split"] = [0.9, 0.1]
    minimal["testing"] = {"data": {"files": ["t.zarr"]}}
    assert changed_stages(minimal, "testing.data.transform", "mymodule.t") == {"test"}


def test_the_order_of_keys_does_not_matter(minimal):
    shuffled = {key: minimal[key] for key in reversed(minimal)}
    shuffled["training"] = dict(reversed(minimal["training"].items()))
    one, other = resolve_config(minimal), resolve_config(shuffled)
    assert all(repr(stage_section(one, s)) == repr(stage_section(other, s)) for s in STAGES)
