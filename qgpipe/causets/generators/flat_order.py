"""The causal order of points in flat spacetime.

In two dimensions it is that of every spacetime in conformally flat coordinates.
"""

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.pairs import relate_pairs


def flat_order(
    t: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label points by time and relate those that a causal curve joins.

    ``t`` (n,) are times, ``x`` (n, d - 1) positions, in units with c = 1. Returns the permutation
    (n,) that sorts the points by time, and the relation matrix (n, n) of the sorted points:
    i ≺ j iff t_j - t_i ≥ |x_j - x_i| and i < j.

    In two dimensions the order is taken in null coordinates u = t + x, v = t - x, where it is
    the product of two linear orders and so transitive in spite of rounding.
    """
    if x.shape[1] == 1:
        u, v = t + x[:, 0], t - x[:, 0]
        labels = np.lexsort((v, u, u + v))
        u, v = u[labels], v[labels]

        def causal(i: slice, j: slice) -> NDArray[np.bool_]:
            return (u[i, None] <= u[j]) & (v[i, None] <= v[j])

    else:
        labels = np.argsort(t, kind="stable")
        t, x = t[labels], x[labels]

        def causal(i: slice, j: slice) -> NDArray[np.bool_]:
            squared_distance = np.square(x[i, None] - x[j]).sum(axis=2)
            return np.square(t[i, None] - t[j]) >= squared_distance

    return labels, relate_pairs(len(t), causal)
