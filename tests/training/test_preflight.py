import pytest
import torch

from qgpipe.errors import ConfigError
from qgpipe.training.preflight import check_targets


def test_classes_beyond_the_outputs_are_named_with_both_numbers():
    with pytest.raises(ConfigError) as error:
        check_targets({0: torch.zeros(2, 3)}, 1, torch.tensor([0, 4]))
    assert str(error.value) == (
        "model.downstream_tasks[0]: targets go up to 4 but head 0 has 3 outputs; "
        "give the head 5 outputs, or list the values of the target in 'classes' of the reader's "
        "kwargs"
    )


def test_negative_classes_are_named():
    with pytest.raises(ConfigError, match="targets go down to -1; number the classes from 0"):
        check_targets({0: torch.zeros(2, 3)}, 1, torch.tensor([0, -1]))


def test_each_column_of_targets_belongs_to_the_head_of_its_number():
    heads = {0: torch.zeros(2, 5), 1: torch.zeros(2, 2)}
    targets = torch.tensor([[4, 1], [3, 0]])
    check_targets(heads, 2, targets)
    with pytest.raises(ConfigError, match="targets go up to 4 but head 1 has 2 outputs"):
        check_targets(heads, 2, targets.flip(1))
    with pytest.raises(ConfigError, match="targets go up to 4 but head 1 has 2 outputs"):
        check_targets({1: heads[1]}, 2, targets.flip(1))


@pytest.mark.parametrize(
    ("heads", "targets"),
    [
        ({0: torch.zeros(2, 3)}, torch.tensor([0, 2])),
        ({0: torch.zeros(2, 3)}, torch.tensor([0, -100])),
        ({0: torch.zeros(2, 3)}, torch.tensor([-100, -100])),
        ({0: torch.zeros(2, 3)}, torch.tensor([7.5, 0.0])),
        ({0: torch.zeros(2, 1)}, torch.tensor([0, 1])),
        ({0: torch.zeros(2, 1)}, torch.tensor([10, 145])),  # values, not classes
        ({0: torch.zeros(2)}, torch.tensor([-1, 2])),
        ({1: torch.zeros(2, 3)}, torch.tensor([9, 9])),
        ({0: torch.zeros(2, 3)}, torch.zeros(0, dtype=torch.int64)),
        ({0: torch.zeros(2, 3)}, torch.tensor([[9, 9]])),
    ],
)
def test_targets_that_fit_or_cannot_be_judged_pass(heads, targets):
    check_targets(heads, max(heads) + 1, targets)
