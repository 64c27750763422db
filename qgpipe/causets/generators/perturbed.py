"""Causal sets that are perturbed: pairs flipped, or another order inserted."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.causal_set import CausalSet, Values
from qgpipe.causets.generators.classes import CausalSetClass, resolve_class
from qgpipe.causets.generators.layered import layered
from qgpipe.causets.generators.parameters import IntegerParameter, RealParameter, draw_real
from qgpipe.causets.generators.sprinklings import (
    DEFAULT_DECAY,
    DEFAULT_ORDER,
    described,
    sprinkle_polynomial,
)
from qgpipe.causets.order import transitive_closure
from qgpipe.causets.pairs import draw_pairs

ClassEntry = Any  # a generator's name, a function, or {type, kwargs}, as in generate.classes


def destroyed(
    rng: np.random.Generator,
    n: int,
    flips: RealParameter = (0.0, 1.0),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """A polynomial sprinkling with a share ``flips`` of its n (n-1) / 2 pairs flipped, closed.

    Flipping relates an unrelated pair and unrelates a related one. ``order`` and ``decay`` are
    those of :func:`~qgpipe.causets.generators.sprinklings.polynomial`.
    """
    relations, points, factor = sprinkle_polynomial(rng, n, order, decay)
    share = draw_real(rng, flips, "flips", 0.0, 1.0)
    flipped = np.zeros(n * (n - 1) // 2, bool)  # of each pair, row by row
    count = round(share * len(flipped))
    flipped[rng.permutation(len(flipped))[:count]] = True
    relations[~np.tri(n, dtype=bool)] ^= flipped
    return CausalSet(
        transitive_closure(relations),
        of_elements={"coordinates": points},
        made_of={**described(factor), "flip_share": count / max(1, len(flipped))},
    )


def destroyed_ambiguous(
    rng: np.random.Generator,
    n: int,
    flips: RealParameter = (0.001, 0.05),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """:func:`destroyed` at the threshold: so few flips that it nearly is a sprinkling."""
    return destroyed(rng, n, flips, order, decay)


def merged(
    rng: np.random.Generator,
    n: int,
    share: RealParameter = (0.0, 1.0),
    link_probability: RealParameter = (0.0, 1.0),
    layers: IntegerParameter = (2, 20),
    connectivity: RealParameter = (0.05, 1.0),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """A layered order inserted as a block into a polynomial sprinkling, and closed.

    ``share`` of the n elements (at least one) are layered. The block is inserted at a random place
    of the sprinkling's natural labelling. Each pair of an element before the block and one in it is
    related with ``link_probability``, and so is each pair of an element in the block and one after
    it. ``layers`` and
    ``connectivity`` are those of :func:`~qgpipe.causets.generators.layered.layered`, ``order`` and
    ``decay`` those of :func:`~qgpipe.causets.generators.sprinklings.polynomial`.
    """

    def sprinkling(size: int) -> CausalSet:
        relations, points, factor = sprinkle_polynomial(rng, size, order, decay)
        return CausalSet(relations, of_elements={"coordinates": points}, made_of=described(factor))

    size = _block_size(rng, n, share)
    probability = draw_real(rng, link_probability, "link_probability", 0.0, 1.0)
    first = int(rng.integers(n - size + 1))
    return _insert(
        rng,
        n,
        slice(first, first + size),
        probability,
        lambda size: layered(rng, size, layers, connectivity),
        sprinkling,
    )


def merged_ambiguous(
    rng: np.random.Generator,
    n: int,
    share: RealParameter = (0.0, 0.1),
    link_probability: RealParameter = (0.0, 1.0),
    layers: IntegerParameter = (2, 20),
    connectivity: RealParameter = (0.05, 1.0),
    order: IntegerParameter = DEFAULT_ORDER,
    decay: RealParameter = DEFAULT_DECAY,
) -> CausalSet:
    """:func:`merged` at the threshold: with so small a block that it nearly is a sprinkling."""
    return merged(rng, n, share, link_probability, layers, connectivity, order, decay)


def inserted(
    rng: np.random.Generator,
    n: int,
    host: ClassEntry = "polynomial",
    insertion: ClassEntry = "kr",
    share: RealParameter = (0.0, 1.0),
    place: RealParameter = (0.0, 1.0),
    link_probability: RealParameter = (0.0, 1.0),
) -> CausalSet:
    """One causal set inserted as a block into another one, and closed.

    ``host``, ``insertion``: what is inserted into what, each a class as in ``generate.classes``.
    ``share`` of the n elements (at least one) are those of the block; it follows a share ``place``
    of the elements of the host in their natural labelling: 0 is before all of them, 1 after.
    ``link_probability`` is that of :func:`merged`.
    """
    around, block = resolve_class(host, "host"), resolve_class(insertion, "insertion")
    return _inserted(rng, n, around, block, share, place, link_probability)


def joined(
    rng: np.random.Generator,
    n: int,
    first: ClassEntry = "polynomial",
    second: ClassEntry = "layered",
    share: RealParameter = (0.0, 1.0),
    link_probability: RealParameter = (0.0, 1.0),
) -> CausalSet:
    """Two causal sets, the ``second`` after the ``first``, and closed.

    ``share`` of the n elements (at least one) are those of the second. Each pair of an element of
    the first and one of the second is related with ``link_probability``.
    """
    earlier, later = resolve_class(first, "first"), resolve_class(second, "second")
    return _inserted(rng, n, earlier, later, share, 1.0, link_probability)


def _inserted(
    rng: np.random.Generator,
    n: int,
    host: CausalSetClass,
    insertion: CausalSetClass,
    share: RealParameter,
    place: RealParameter,
    link_probability: RealParameter,
) -> CausalSet:
    size = _block_size(rng, n, share)
    first = round((n - size) * draw_real(rng, place, "place", 0.0, 1.0))
    probability = draw_real(rng, link_probability, "link_probability", 0.0, 1.0)
    return _insert(
        rng,
        n,
        slice(first, first + size),
        probability,
        lambda size: insertion.generate(rng, size),
        lambda size: host.generate(rng, size),
    )


def _block_size(rng: np.random.Generator, n: int, share: RealParameter) -> int:
    return min(n, max(1, round(n * draw_real(rng, share, "share", 0.0, 1.0))))


def _insert(
    rng: np.random.Generator,
    n: int,
    place: slice,
    probability: float,
    block_of: Callable[[int], CausalSet],
    host_of: Callable[[int], CausalSet],
) -> CausalSet:
    """The elements ``place`` made by ``block_of``, the others, if there are any, by ``host_of``.

    Both are given a number of elements.
    """
    inside = np.zeros(n, bool)
    inside[place] = True
    outside = np.flatnonzero(~inside)
    crossing = (inside[:, None] != inside) & draw_pairs(rng, n, probability)
    relations = np.triu(crossing, 1)
    block = block_of(n - len(outside))
    relations[place, place] = block.relations
    # Without a host one of a single element says under which names nothing is kept.
    host = host_of(max(1, outside.size))
    described_by = host.made_of
    if outside.size:
        before, after = slice(place.start), slice(place.stop, n)
        last = slice(place.start, None)  # elements of the host that come after the block
        relations[before, before] = host.relations[before, before]
        relations[before, after] = host.relations[before, last]
        relations[after, after] = host.relations[last, last]
    else:
        described_by = {name: _unknown(value) for name, value in host.made_of.items()}
    # An element of the block has no place in the spacetime of the host, and no curvature.
    elements = {
        **_spread(block.of_elements, np.flatnonzero(inside), n),
        **_spread(host.of_elements, outside, n),
        "inserted": inside.astype(np.int64),
    }
    elements.pop("scaled_curvature", None)
    kept = {**block.made_of, **described_by}
    kept.pop("mean_scaled_curvature", None)
    return CausalSet(
        transitive_closure(relations),
        of_elements=elements,
        made_of={
            **kept,
            "insertion_size": n - len(outside),
            "insertion_start": place.start,
            "link_probability": probability,
        },
    )


def _spread(arrays: Mapping[str, Values], places: NDArray[np.int64], n: int) -> dict[str, Values]:
    """Arrays of some elements as arrays of n, with -1 or NaN for the others."""
    spread = {}
    for name, values in arrays.items():
        unknown = _unknown(values[0])
        spread[name] = np.full((n, *values.shape[1:]), unknown, np.asarray(unknown).dtype)
        spread[name][places] = values[: len(places)]
    return spread


def _unknown(value: Any) -> Any:
    """What stands for a number, or an array of numbers, that is not known: -1, or NaN."""
    values = np.asarray(value)
    if values.dtype.kind in "biu":
        return np.full(values.shape, -1, np.int64)
    return np.full(values.shape, np.nan)
