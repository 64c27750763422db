from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qgpipe.causets.generators.flat_order import flat_order
from qgpipe.causets.order import order_violation

PROPERTY = settings(max_examples=30, deadline=None, derandomize=True)


def test_points_are_related_if_light_or_less_joins_them():
    t = np.array([1.0, 0.0, 0.5])
    x = np.array([[0.5], [0.0], [2.0]])
    labels, relations = flat_order(t, x)
    assert labels.tolist() == [1, 2, 0]
    assert np.argwhere(relations).tolist() == [[0, 2]]


def test_null_separated_points_are_related():
    _, relations = flat_order(np.array([0.0, 1.0]), np.array([[0.0], [1.0]]))
    assert relations[0, 1]


@PROPERTY
@given(arrays(np.float64, (12, 2), elements=st.sampled_from([-0.3, 0.0, 0.1, 0.2, 0.3, 0.6])))
def test_rounding_never_breaks_the_order_of_null_separated_points(points):
    _, relations = flat_order(points[:, 0], points[:, 1:])
    assert order_violation(relations) is None


@pytest.mark.parametrize("space", [1, 2, 3])
def test_relations_are_those_of_the_light_cone(space, rng):
    t, x = rng.random(40), rng.random((40, space))
    labels, relations = flat_order(t, x)
    for i, j in np.ndindex(40, 40):
        a, b = labels[i], labels[j]
        causal = t[b] - t[a] > 0 and t[b] - t[a] >= np.linalg.norm(x[b] - x[a])
        assert relations[i, j] == causal
