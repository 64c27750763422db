"""Which features belong together, against correlations that are known."""

import numpy as np
from scipy.stats import spearmanr

from qgpipe.explanation.correlation import correlated_groups


def columns(rows: int = 400) -> np.ndarray:
    """a, a³, b, 1, -exp(a), b + noise, c: monotonic functions of a, a constant, two others."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, rows))
    noisy = b + 0.1 * rng.normal(size=rows)
    return np.stack([a, a**3, b, np.ones(rows), -np.exp(a), noisy, c], axis=1)


def test_monotonic_functions_of_each_other_are_a_group():
    assert correlated_groups(columns()) == [[0, 1, 4], [2, 5]]


def test_links_are_those_of_scipy():
    values = np.random.default_rng(1).normal(size=(50, 6)).cumsum(axis=0)
    rho = np.abs(spearmanr(values).statistic)
    for threshold in (0.3, 0.6, 0.9):
        groups = correlated_groups(values, threshold)
        place = {c: k for k, group in enumerate(groups) for c in group}
        for i, j in zip(*np.nonzero(np.triu(rho > threshold, 1)), strict=True):
            assert place[i] == place[j]
        for group in groups:
            others = [c for c in range(6) if c not in group]
            assert (rho[np.ix_(group, others)] <= threshold).all()


def test_a_chain_of_links_is_one_group():
    rng = np.random.default_rng(2)
    walk = np.cumsum([rng.normal(size=3000), *0.45 * rng.normal(size=(4, 3000))], axis=0).T
    rho = np.abs(spearmanr(walk).statistic)
    assert rho[0, 4] < 0.9 < np.diagonal(rho, 1).min()
    assert correlated_groups(walk) == [[0, 1, 2, 3, 4]]


def test_of_many_rows_some_are_looked_at():
    assert correlated_groups(columns(50_000)) == [[0, 1, 4], [2, 5]]


def test_without_features_or_rows_there_are_no_groups():
    for shape in ((0, 3), (1, 3), (5, 1), (5, 0)):
        assert correlated_groups(np.zeros(shape)) == []
