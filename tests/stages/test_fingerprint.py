import pytest

from qgpipe.config import resolve_config
from qgpipe.stages.fingerprint import Trajectory, trajectory


def of(minimal, data="data", split="split", **training):
    config = {**minimal, "training": {**minimal["training"], **training}}
    return trajectory(resolve_config(config), data, split)


@pytest.mark.parametrize(
    "training",
    [{"num_epochs": 99}, {"device": "cpu"}, {"num_workers": 2}, {"pin_memory": False},
     {"checkpoint_at": 3}, {"keep_checkpoints": 2}, {"checkpoint_every_steps": 50},
     {"loggers": ["tensorboard"]}],
    ids=str,
)  # fmt: skip
def test_a_training_stays_on_its_trajectory_when_it_is_only_done_otherwise(minimal, training):
    assert of(minimal, **training) == of(minimal)


@pytest.mark.parametrize(
    "training",
    [{"optimizer_kwargs": {"lr": 0.5}}, {"batch_size": 3}, {"seed": 5}, {"precision": "bf16"},
     {"gradient_clip": 1.0}, {"accumulate_steps": 2}, {"ema_decay": 0.9}, {"compile": True}],
    ids=str,
)  # fmt: skip
def test_what_shapes_the_weights_leads_to_another_one(minimal, training):
    assert of(minimal, **training).name != of(minimal).name
    assert of(minimal, **training).differences(vars(of(minimal))) == ["config"]


def test_configuration_data_and_split_are_told_apart():
    first = Trajectory("a", "b", "c")
    others = {name: Trajectory(**{**vars(first), name: "x"}) for name in vars(first)}
    for name, other in others.items():
        assert other.name != first.name
        assert first.differences(vars(other)) == [name]
    assert first.differences({}) == ["config", "data", "split"]


def test_the_data_and_the_split_count(minimal):
    assert of(minimal).name == of(minimal, "data", "split").name
    assert of(minimal, data="other").differences(vars(of(minimal))) == ["data"]
    assert of(minimal, split="other").differences(vars(of(minimal))) == ["split"]


def test_code_that_has_no_module_counts_by_its_source(minimal):
    first = of({**minimal, "criterion": lambda outputs, data: outputs[0].mean()})
    again = of({**minimal, "criterion": lambda outputs, data: outputs[0].sum()})
    assert first.differences(vars(again)) == ["config"]
