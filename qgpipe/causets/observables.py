"""Names of the observables that can be computed from the relations of a causal set.

Does not import numpy: names are checked while the workflow is planned. An observable is a function
in ``node_observables`` or ``graph_observables``, called by its base name; a name may have these
suffixes:

- the number of its columns, where the observable has several: ``interval_abundances_20``;
- ``_normalized``: divided by how it grows with the number of elements n in a causal diamond of the
  dimension that the order itself has by :func:`~.graph_observables.myrheim_meyer_dimension`, so
  that it stays of order one; ``_normalized_2d``: in two dimensions, where means are known also for
  few elements.
"""

import re
from dataclasses import dataclass
from typing import Literal

NODE = (
    "max_pathlens_future",
    "max_pathlens_past",
    "in_degree",
    "out_degree",
    "in_degrees_link",
    "out_degrees_link",
    "two_chain_density_past",
    "two_chain_density_future",
    "two_chain_density_through",
    "height_rank",
    "ordering_fraction_past",
    "ordering_fraction_future",
    "dimension_past",
    "dimension_future",
)  # the default features come first

GRAPH = (
    "ordering_fraction",
    "myrheim_meyer_dimension",
    "link_fraction",
    "longest_chain_fraction",
    "interval_abundances",
    "longest_chain",
    "height_profile",
    "midpoint_dimension",
    "action_2d",
    "action_4d",
    "hasse_spectrum",
    "two_order",
)

COLUMNS = {
    "interval_abundances": 10,
    "height_profile": 10,
    "hasse_spectrum": 10,
}  # default numbers of columns

NORMALIZED = (
    *NODE[:9],
    "link_fraction",
    "longest_chain_fraction",
    "interval_abundances",
    "longest_chain",
    "action_2d",
    "action_4d",
    "hasse_spectrum",
)  # observables that grow with n

_DIMENSIONLESS = ("in_degree", "out_degree", *NODE[6:9])  # grow alike in any dimension


@dataclass(frozen=True)
class Observable:
    """The observable that the name of a feature stands for.

    ``base``: the function. ``level``: one value an element, or one a causal set. ``width``: number
    of columns. ``normalized``: divided by how it grows, ``in_two_dimensions`` or in that of the
    order itself.
    """

    name: str
    base: str
    level: Literal["node", "graph"]
    width: int = 1
    normalized: bool = False
    in_two_dimensions: bool = False


def find(name: str) -> Observable | None:
    """The observable called ``name``, None if there is none."""
    match = re.fullmatch(r"(\w+?)(?:_(\d+))?(_normalized(?:_2d)?)?", name)
    if not match:
        return None
    base, columns, suffix = match.groups()
    if base not in (*NODE, *GRAPH) or (columns and (base not in COLUMNS or int(columns) < 1)):
        return None
    if suffix and (base not in NORMALIZED or (suffix.endswith("2d") and base in _DIMENSIONLESS)):
        return None
    return Observable(
        name,
        base,
        "node" if base in NODE else "graph",
        int(columns or COLUMNS.get(base, 1)),
        bool(suffix),
        bool(suffix) and suffix.endswith("2d"),
    )


def names(level: Literal["node", "graph"]) -> list[str]:
    """All names of a level, without those with a number of columns."""
    bases = NODE if level == "node" else GRAPH
    suffixed = [
        f"{base}{suffix}" for base in bases for suffix in ("", "_normalized", "_normalized_2d")
    ]
    return [name for name in suffixed if find(name)]
