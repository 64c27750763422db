"""Generators of causal sets by name.

A generator is a function f(rng, n, **kwargs) that returns a causal set of n elements, or its
relation matrix; a user's own function is named by its module.
"""

from collections.abc import Callable
from typing import Any

from rapidfuzz import process

from qgpipe.config.objects import dotted_name, import_object
from qgpipe.errors import ConfigError, shown

GENERATORS = {
    "minkowski": "qgpipe.causets.generators.sprinklings.minkowski",
    "polynomial": "qgpipe.causets.generators.sprinklings.polynomial",
    "random": "qgpipe.causets.generators.random_orders.random_order",
    "layered": "qgpipe.causets.generators.layered.layered",
    "kr": "qgpipe.causets.generators.layered.kr",
    "destroyed": "qgpipe.causets.generators.perturbed.destroyed",
    "merged": "qgpipe.causets.generators.perturbed.merged",
    "grid": "qgpipe.causets.generators.lattices.grid",
    "complex_topology": "qgpipe.causets.generators.topology.complex_topology",
    "de_sitter": "qgpipe.causets.generators.spacetimes.de_sitter",
    "anti_de_sitter": "qgpipe.causets.generators.spacetimes.anti_de_sitter",
    "cylinder": "qgpipe.causets.generators.spacetimes.cylinder",
    "quasicrystal": "qgpipe.causets.generators.quasicrystals.quasicrystal",
    "percolation": "qgpipe.causets.generators.random_orders.percolation",
    "inserted": "qgpipe.causets.generators.perturbed.inserted",
    "joined": "qgpipe.causets.generators.perturbed.joined",
    "destroyed_ambiguous": "qgpipe.causets.generators.perturbed.destroyed_ambiguous",
    "merged_ambiguous": "qgpipe.causets.generators.perturbed.merged_ambiguous",
}


def import_generator(generator: Any, key: str) -> Callable[..., Any]:
    """The function that ``generator`` stands for: a known name, a dotted name, or a function.

    Raises ``ConfigError`` with ``key`` if there is no such function.
    """
    if isinstance(generator, str) and "." not in dotted_name(generator):
        name = dotted_name(generator)
        if name not in GENERATORS:
            raise ConfigError(f"no generator is called '{name}'", key=key, remedy=_nearest(name))
        generator = GENERATORS[name]
    function = import_object(generator, key)
    if not callable(function):
        raise ConfigError(
            f"{shown(generator)} is no function",
            key=key,
            remedy="name one that takes (rng, n, **kwargs)",
        )
    return function


def _nearest(name: str) -> str:
    best = process.extractOne(name, list(GENERATORS), score_cutoff=60)
    if best:
        return f"did you mean '{best[0]}'?"
    return f"give one of {', '.join(GENERATORS)}, or the dotted name of your own function"
