import pytest
import torch

from qgpipe.config.schema import validate
from qgpipe.errors import ConfigError
from qgpipe.training.optimizer import build_optimizer, build_scheduler, step_scheduler


def training(**keys):
    return validate({"seed": 0, "num_epochs": 1, "batch_size": 1, **keys}, "training", "training")


def parameters():
    return [torch.nn.Parameter(torch.ones(1))]


def sgd(**keys):
    section = training(optimizer_type="torch.optim.SGD", optimizer_kwargs={"lr": 1.0}, **keys)
    optimizer = build_optimizer(parameters(), section)
    return optimizer, build_scheduler(optimizer, section)


def rates(optimizer, scheduler, watched):
    seen = []
    for value in watched:
        optimizer.step()
        step_scheduler(scheduler, value)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_adam_is_the_default():
    assert type(build_optimizer(parameters(), training())) is torch.optim.Adam


def test_args_and_kwargs_reach_the_optimizer():
    section = training(
        optimizer_type=torch.optim.SGD, optimizer_args=[0.5], optimizer_kwargs={"momentum": 0.9}
    )
    (group,) = build_optimizer(parameters(), section).param_groups
    assert (group["lr"], group["momentum"]) == (0.5, 0.9)


def test_rates_may_be_written_as_yaml_reads_them():
    section = training(optimizer_kwargs={"lr": "1e-4"})
    assert build_optimizer(parameters(), section).param_groups[0]["lr"] == 1e-4


def test_an_unknown_argument_is_an_error_that_lists_the_known():
    section = training(optimizer_kwargs={"learning_rate": 0.1})
    with pytest.raises(ConfigError) as caught:
        build_optimizer(parameters(), section)
    assert str(caught.value).startswith(
        "training.optimizer_kwargs.learning_rate: Adam takes no 'learning_rate'; "
        "it takes lr, betas, eps, weight_decay"
    )


def test_a_refused_value_is_an_error_with_its_key():
    section = training(optimizer_kwargs={"lr": -1.0})
    with pytest.raises(ConfigError, match=r"training\.optimizer_type: cannot construct Adam"):
        build_optimizer(parameters(), section)


def test_without_a_schedule_the_rate_stays():
    optimizer, scheduler = sgd()
    assert scheduler is None
    assert rates(optimizer, scheduler, [1.0, 1.0]) == [1.0, 1.0]


def test_a_schedule_takes_a_step_an_epoch():
    optimizer, scheduler = sgd(
        lr_scheduler_type="torch.optim.lr_scheduler.StepLR",
        lr_scheduler_kwargs={"step_size": 2, "gamma": 0.5},
    )
    assert rates(optimizer, scheduler, [0.0] * 4) == [1.0, 0.5, 0.5, 0.25]


def test_a_plateau_schedule_looks_at_the_watched_value():
    optimizer, scheduler = sgd(
        lr_scheduler_type=torch.optim.lr_scheduler.ReduceLROnPlateau,
        lr_scheduler_kwargs={"patience": 0, "factor": 0.5},
    )
    assert rates(optimizer, scheduler, [3.0, 2.0, 2.0, 1.0, 5.0]) == [1.0, 1.0, 0.5, 0.5, 0.25]


class OwnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    pass


def test_so_does_a_subclass_of_it():
    optimizer, scheduler = sgd(lr_scheduler_type=OwnPlateau, lr_scheduler_kwargs={"patience": 0})
    assert rates(optimizer, scheduler, [1.0, 1.0]) == pytest.approx([1.0, 0.1])


def test_a_tagged_function_in_kwargs_is_imported():
    optimizer, scheduler = sgd(
        lr_scheduler_type="torch.optim.lr_scheduler.LambdaLR",
        lr_scheduler_kwargs={"lr_lambda": "!pyobject math.exp"},
    )
    assert rates(optimizer, scheduler, [0.0]) == pytest.approx([2.718281828])


SCHEDULERS = "torch.optim.lr_scheduler"
LINEAR = {
    "type": f"{SCHEDULERS}.LinearLR",
    "kwargs": {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 3},
}


@pytest.mark.parametrize("decay", [
    {"type": f"{SCHEDULERS}.ExponentialLR", "kwargs": {"gamma": 0.5}},
    [f"!pyobject {SCHEDULERS}.ExponentialLR", [0.5]],
])  # fmt: skip
def test_a_warm_up_comes_before_another_schedule(decay):
    schedulers = {"schedulers": [LINEAR, decay], "milestones": [3]}
    optimizer, scheduler = sgd(
        lr_scheduler_type=f"{SCHEDULERS}.SequentialLR", lr_scheduler_kwargs=schedulers
    )
    assert optimizer.param_groups[0]["lr"] == 0.25
    # 1/4 + 3/4 · epoch/3, then a half each epoch, from the full rate on
    assert rates(optimizer, scheduler, range(6)) == pytest.approx([0.5, 0.75, 1, 0.5, 0.25, 0.125])


def test_schedules_may_act_at_once():
    constant = {"type": f"{SCHEDULERS}.ConstantLR", "kwargs": {"factor": 0.1, "total_iters": 2}}
    decay = {"type": f"{SCHEDULERS}.ExponentialLR", "args": [0.5]}
    optimizer, scheduler = sgd(
        lr_scheduler_type=f"{SCHEDULERS}.ChainedScheduler", lr_scheduler_args=[[constant, decay]]
    )
    assert rates(optimizer, scheduler, range(3)) == pytest.approx([0.05, 0.25, 0.125])


def test_a_wrong_argument_of_an_inner_schedule_has_its_key():
    wrong = {"type": f"{SCHEDULERS}.ExponentialLR", "kwargs": {"gama": 0.5}}
    with pytest.raises(
        ConfigError, match=r"lr_scheduler_kwargs\.schedulers\[1\]\.kwargs\.gama: Exp"
    ):
        sgd(
            lr_scheduler_type=f"{SCHEDULERS}.SequentialLR",
            lr_scheduler_kwargs={"schedulers": [LINEAR, wrong], "milestones": [3]},
        )
