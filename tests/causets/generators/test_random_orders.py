from __future__ import annotations

import numpy as np
import pytest

from qgpipe.causets.generators.random_orders import percolation
from qgpipe.causets.order import transitive_reduction


def expected_counts(n: int, p: float) -> tuple[float, float]:
    """Mean numbers of relations and of links.

    ``share[a]``: the probability that a of the m elements from i on follow from i or are i. A
    further element is related to i with 1 - q^a, and linked to it with p q^(a - 1).
    """
    q, sizes = 1 - p, np.arange(n + 1)
    share = np.zeros(n + 1)
    share[1] = 1.0
    related, linked = [], []
    for _ in range(1, n):
        grows = 1 - q**sizes
        related.append(share @ grows)
        linked.append(share @ (p * q ** np.maximum(sizes - 1, 0) * (sizes > 0)))
        share = share * (1 - grows) + np.roll(share * grows, 1)
    pairs = n - np.arange(1, n)  # pairs at each distance of their labels
    return float(pairs @ related), float(pairs @ linked)


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5])
def test_percolation_has_the_relations_and_links_of_its_growth(p, rng):
    n, relations, links = 60, [], []
    for _ in range(300):
        made = percolation(rng, n, p).relations
        relations.append(np.count_nonzero(made))
        links.append(np.count_nonzero(transitive_reduction(made)))
    for found, expected in zip((relations, links), expected_counts(n, p), strict=True):
        error = np.std(found) / np.sqrt(len(found))
        assert error < 0.05 * expected
        assert abs(np.mean(found) - expected) < 4 * error


def test_percolation_without_chance_is_an_antichain_and_with_certainty_a_chain(rng):
    assert not percolation(rng, 20, 0.0).relations.any()
    assert np.count_nonzero(percolation(rng, 20, 1.0).relations) == 190


def test_every_element_is_born_alike(rng):
    """Discrete general covariance: the last element is related to the others as any other is."""
    last, first = np.zeros(400), np.zeros(400)
    for k in range(400):
        relations = percolation(rng, 30, 0.08).relations
        last[k], first[k] = relations[:, -1].sum(), relations[0].sum()
    error = np.hypot(last.std(), first.std()) / np.sqrt(400)
    assert abs(last.mean() - first.mean()) < 4 * error
