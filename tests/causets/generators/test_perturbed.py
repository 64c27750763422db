from __future__ import annotations

import numpy as np
import pytest

from qgpipe.causets.generators.perturbed import (
    destroyed,
    destroyed_ambiguous,
    inserted,
    joined,
    merged,
    merged_ambiguous,
)
from qgpipe.causets.generators.sprinklings import sprinkle_polynomial
from qgpipe.causets.order import longest_chains, transitive_closure
from qgpipe.errors import ConfigError


def test_the_share_of_flips_is_kept(rng):
    assert destroyed(rng, 30, flips=0.25).made_of["flip_share"] == pytest.approx(0.25, abs=0.002)
    assert destroyed(rng, 1).made_of["flip_share"] == 0


def test_the_pairs_that_are_flipped_are_the_first_of_a_permutation():
    """Stores of earlier versions have these relations."""
    made = destroyed(np.random.default_rng(5), 20, flips=0.02, order=5, decay=3.0)
    rng = np.random.default_rng(5)
    relations, *_ = sprinkle_polynomial(rng, 20, 5, 3.0)
    for pair in rng.permutation(190)[:4]:
        i, j = (labels[pair] for labels in np.triu_indices(20, 1))
        relations[i, j] = not relations[i, j]
    np.testing.assert_array_equal(made.relations, transitive_closure(relations))


def test_size_and_place_of_an_insertion_are_kept(rng):
    made = merged(rng, 40, share=0.25)
    start = made.made_of["insertion_start"]
    assert made.made_of["insertion_size"] == 10
    assert np.flatnonzero(made.of_elements["inserted"]).tolist() == list(range(start, start + 10))
    in_block = made.of_elements["inserted"] == 1
    np.testing.assert_array_equal(in_block, np.isnan(made.of_elements["coordinates"]).all(axis=1))
    np.testing.assert_array_equal(in_block, made.of_elements["layer"] >= 0)


def test_a_block_without_a_host_has_nothing_to_keep_of_one_under_the_same_names(rng):
    for function in (merged, inserted, joined):
        whole, part = (function(rng, 20, share=share) for share in (1.0, 0.5))
        assert set(whole.made_of) == set(part.made_of)
        assert set(whole.of_elements) == set(part.of_elements)
        assert whole.made_of["insertion_size"] == 20
        assert whole.made_of["dimension"] == -1
        assert np.isnan(whole.made_of["factor_decay"])
        assert np.isnan(whole.of_elements["coordinates"]).all()
        assert whole.of_elements["coordinates"].shape == (20, 2)


@pytest.mark.parametrize(("place", "start"), [(0.0, 0), (0.5, 15), (1.0, 30)])
def test_a_block_is_inserted_where_it_is_wanted(place, start, rng):
    made = inserted(rng, 40, share=0.25, place=place, link_probability=1.0)
    assert made.made_of["insertion_start"] == start
    block = slice(start, start + 10)
    assert made.relations[:start, block].all()
    assert made.relations[block, start + 10 :].all()
    assert longest_chains(made.relations[block, block])[0].max() == 2  # KR


def test_without_links_host_and_block_are_as_they_were(rng):
    made = inserted(rng, 60, "minkowski", "kr", share=0.5, link_probability=0.0)
    inside = made.of_elements["inserted"] == 1
    assert not made.relations[np.ix_(inside, ~inside)].any()
    assert not made.relations[np.ix_(~inside, inside)].any()
    t, x = made.of_elements["coordinates"][~inside].T
    expected = (t - t[:, None]) >= np.abs(x - x[:, None])
    np.testing.assert_array_equal(made.relations[np.ix_(~inside, ~inside)], np.triu(expected, 1))


@pytest.mark.parametrize("insertion", ["kr", "layered", "minkowski", "grid", "percolation"])
@pytest.mark.parametrize("host", ["minkowski", "random", "cylinder", "kr"])
def test_anything_can_be_inserted_into_anything(host, insertion, rng):
    made = inserted(rng, 30, host, {"type": insertion}, share=0.4)
    assert made.relations.shape == (30, 30)
    assert not made.manifold_like
    assert made.curvature is None


def test_the_second_of_two_joined_sets_is_the_later_one(rng):
    three = {"type": "minkowski", "kwargs": {"dimension": 3}}
    made = joined(rng, 50, "kr", three, share=0.4, link_probability=0.1)
    assert made.made_of["insertion_start"] == 30
    assert made.of_elements["inserted"].tolist() == [0] * 30 + [1] * 20
    crossing = made.relations[:30, 30:]
    assert crossing.any()
    assert not crossing.all()


def test_links_between_joined_sets_have_their_probability(rng):
    none = {"type": "random", "kwargs": {"connectivity": 0.0}}
    counts = [np.count_nonzero(joined(rng, 40, none, none, 0.5, 0.3).relations) for _ in range(50)]
    error = np.std(counts) / np.sqrt(50)
    assert abs(np.mean(counts) - 0.3 * 400) < 4 * error


def test_ambiguous_sets_are_nearly_sprinklings(rng):
    flips = [destroyed_ambiguous(rng, 64).made_of["flip_share"] for _ in range(40)]
    assert min(flips) > 0
    assert max(flips) <= 0.0505
    sizes = [merged_ambiguous(rng, 64).made_of["insertion_size"] for _ in range(40)]
    assert min(sizes) >= 1
    assert max(sizes) <= 6


def test_an_unknown_insertion_is_an_error_with_its_key(rng):
    with pytest.raises(ConfigError, match=r"^insertion: no generator is called 'krr'"):
        inserted(rng, 10, insertion="krr")
    with pytest.raises(ConfigError, match=r"'place' is 2; give a number from 0 to 1"):
        inserted(rng, 10, place=2)
