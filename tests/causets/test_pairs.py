from __future__ import annotations

import numpy as np
import pytest

from qgpipe.causets.pairs import draw_pairs, relate_pairs

SIZES = [1, 127, 128, 129, 300]


@pytest.mark.parametrize("n", SIZES)
def test_drawing_in_strips_takes_the_same_random_numbers(n):
    strips, whole = np.random.default_rng(3), np.random.default_rng(3)
    np.testing.assert_array_equal(draw_pairs(strips, n, 0.3), whole.random((n, n)) < 0.3)
    assert strips.random() == whole.random()


@pytest.mark.parametrize("n", SIZES)
def test_pairs_are_related_above_the_diagonal_only(n, rng):
    x = rng.random(n)
    relations = relate_pairs(n, lambda i, j: x[i, None] <= x[j])
    np.testing.assert_array_equal(relations, np.triu(x[:, None] <= x, 1))
