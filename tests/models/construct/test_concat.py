import pytest
import torch
from torch import nn

from qgpipe.errors import ConfigError
from qgpipe.models.construct.concat import build_join

A = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
B = torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])


class Difference(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, tensors):
        return self.factor * (tensors[0] - tensors[1])


def weighted(tensors, first, second=1.0):
    return first * tensors[0] + second * tensors[1]


def join(kind, args=None, kwargs=None):
    return build_join(kind, args, kwargs, name="aggregate_pooling")


@pytest.mark.parametrize("kind", [None, "!pyobject torch.cat", torch.concat])
def test_cat_puts_features_side_by_side(kind):
    assert join(kind)([A, B]).tolist() == [[1, 2, 10, 20], [3, 4, 30, 40], [5, 6, 50, 60]]


def test_cat_takes_tensors_of_different_width():
    assert join(torch.cat)([A, B[:, :1]]).shape == (3, 3)


@pytest.mark.parametrize(("args", "kwargs"), [([0], {}), ([], {"dim": 0})])
def test_a_given_dim_is_honoured(args, kwargs):
    assert join(torch.cat, args, kwargs)([A, B]).shape == (6, 2)


def test_stack_keeps_one_row_a_graph():
    joined = join("torch.stack")([A, B])

    assert joined.shape == (3, 2, 2)
    assert joined[0].tolist() == [[1, 2], [10, 20]]


@pytest.mark.parametrize(
    ("kind", "first_row"),
    [
        ("torch.sum", [11, 22]),
        ("torch.mean", [5.5, 11]),
        ("torch.prod", [10, 40]),
        ("torch.amax", [10, 20]),
        ("torch.amin", [1, 2]),
    ],
)
def test_reductions_act_element_by_element(kind, first_row):
    joined = join(kind)([A, B])

    assert joined.shape == (3, 2)
    assert joined[0].tolist() == first_row


def test_the_dim_of_a_reduction_counts_in_the_stacked_tensors():
    assert join(torch.sum, None, {"dim": 2})([A, B]).tolist() == [[3, 7, 11], [30, 70, 110]]


def test_a_function_gets_the_list_and_then_its_own_arguments():
    assert join(weighted, [2.0], {"second": 0.5})([A, B])[0].tolist() == [7, 14]


def test_a_module_is_constructed_and_gets_the_list():
    assert join(Difference, [2])([B, A])[0].tolist() == [18, 36]


def test_a_type_that_is_no_module_is_refused():
    with pytest.raises(ConfigError, match="aggregate_pooling_type: <class 'dict'> is not a torch"):
        join(dict)


class Pair(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x, y):
        return self.weight * (x - y)


def concat(x, y):
    return torch.cat((x, y), dim=1)


def scaled(x, y, factor):
    return factor * (x - y)


@pytest.mark.parametrize(
    ("kind", "args", "kwargs"),
    [(Pair, [2], None), (scaled, [2], None), (scaled, None, {"factor": 2})],
)
def test_what_takes_two_tensors_gets_each_as_an_argument(kind, args, kwargs):
    """``concat(x, y)``, as QuantumGravPy calls what joins graph features."""
    assert torch.equal(join(kind, args, kwargs)([A, B]), 2 * (A - B))
    assert torch.equal(join(concat)([A, B]), torch.cat([A, B], 1))
