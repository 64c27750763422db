"""Features that are nearly functions of each other, and hide each other's importance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRONG = 0.9  # |Spearman's rho| from which on features belong together
_MOST_ROWS = 20_000  # ranks of more say the same


def correlated_groups(
    values: NDArray[np.generic], threshold: float = STRONG, seed: int = 0
) -> list[list[int]]:
    """Columns of ``values`` that hang together by strong rank correlations, two or more each.

    ``values``: real [N, F], a row for each node or graph; of more than 20,000 rows so many are
    drawn with ``seed``. Two columns are linked if the absolute value of Spearman's rank correlation
    is above ``threshold``; a group is a connected component of these links, so that no column
    outside is linked to one inside. A constant column is linked to none. Groups and the columns in
    them are in the order of the columns.

    Correlated features hide each other from permutation importance: see "Permutation Importance
    with Multicollinear or Correlated Features" of scikit-learn, which clusters by the same
    correlations.
    """
    from scipy.sparse.csgraph import connected_components
    from scipy.stats import rankdata

    if len(values) > _MOST_ROWS:
        rows = np.random.default_rng(seed).choice(len(values), _MOST_ROWS, replace=False)
        values = values[np.sort(rows)]
    if len(values) < 2 or values.shape[1] < 2:
        return []
    ranks = rankdata(values, axis=0)
    ranks -= ranks.mean(axis=0)
    lengths = np.sqrt((ranks**2).sum(axis=0))
    ranks /= np.where(lengths > 0, lengths, 1)
    linked = np.abs(ranks.T @ ranks) > threshold
    _, group = connected_components(linked, directed=False)
    found = [np.flatnonzero(group == g).tolist() for g in dict.fromkeys(group.tolist())]
    return [columns for columns in found if len(columns) > 1]
