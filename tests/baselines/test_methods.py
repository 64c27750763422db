import numpy as np
import pytest

from qgpipe.baselines.methods import (
    Features,
    NotApplicable,
    Target,
    asked,
    boosting,
    constant,
    linear,
    named_dimensions,
)


@pytest.mark.parametrize(
    ("names", "dimensions"),
    [
        (["2d", "3d", "4d"], [2, 3, 4]),
        (["minkowski_4", "minkowski_2"], [4, 2]),
        (["flat 3D", "flat 2D"], [3, 2]),
        (["dimension=2", "dimension=3"], [2, 3]),
        (["polynomial", "destroyed"], None),
        (["2d", "2d"], None),
        (["2d", "random"], None),
        (["0d", "1d"], None),
        (["1", "2"], None),
        (["kr_3", "kr_4"], None),
        ([], None),
    ],
)
def test_a_dimension_is_read_from_the_names_of_classes(names, dimensions):
    found = named_dimensions(names)
    assert (found if found is None else found.tolist()) == dimensions


def test_methods_of_the_configuration_stand_for_baselines():
    assert asked(["linear", "constant"]) == ["constant", "linear"]
    assert asked(["two_order"]) == ["two_order"]
    assert asked(["boosting", "two_order"]) == ["boosting", "two_order", "boosting+two_order"]
    assert asked([]) == []


def test_the_constant_answer_is_the_best_one():
    of_classes = constant(Target("a", np.array([0, 2, 2, -100]), 3))
    assert of_classes == pytest.approx([2 / 6, 1 / 6, 3 / 6])
    assert constant(Target("a", np.array([1.0, 4.0, np.nan]))) == pytest.approx(2.5)
    with pytest.raises(NotApplicable):
        constant(Target("a", np.array([np.nan])))


@pytest.mark.parametrize("method", [linear, boosting])
def test_a_class_that_is_not_trained_on_has_no_share(method):
    rng = np.random.default_rng(0)
    train = rng.integers(0, 2, 200) * 2
    rows = train[:, None] + rng.normal(0, 0.2, (200, 2))
    shares = method(Target("a", train, 4), Features(rows, rows))
    assert shares.shape == (200, 4)
    assert (shares[:, [1, 3]] == 0).all()
    assert (shares.argmax(axis=1) == train).mean() > 0.98


def test_ridge_regression_finds_a_line():
    x = np.random.default_rng(0).normal(size=(100, 3))
    y = 4 + x @ [1, -2, 0]
    assert linear(Target("a", y), Features(x, x[:5])) == pytest.approx(y[:5], abs=0.01)


def test_without_features_it_says_why():
    none = Features(np.zeros((3, 0)), np.zeros((1, 0)), "no reason")
    with pytest.raises(NotApplicable, match="no reason"):
        linear(Target("a", np.arange(3.0)), none)
