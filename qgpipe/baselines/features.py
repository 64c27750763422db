"""The features that baselines are fitted to, by name. Does not import numpy: used by the plan."""

from __future__ import annotations

from difflib import get_close_matches

from qgpipe.causets import observables
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError, shown

DIMENSION = "myrheim_meyer_dimension"
TWO_ORDER = "two_order"  # name of the observable and of the method that uses it
INVARIANTS = (
    "ordering_fraction",
    DIMENSION,
    *(
        f"{name}{suffix}"
        for suffix in ("_normalized", "_normalized_2d")
        for name in ("link_fraction", "longest_chain_fraction", "interval_abundances_10")
    ),
    "ordering_fraction_past",
    *(
        f"{name}_normalized"
        for name in (
            "max_pathlens_future",
            "in_degree",
            "in_degrees_link",
            "out_degrees_link",
            "two_chain_density_through",
        )
    ),
)
"""Observables that baselines are fitted to, unless ``baseline.features`` names others.

Observables that grow with the number of elements are normalised, so that predictions do not depend
on it.
"""


def require_known_features(config: Config) -> None:
    """Raise ``ConfigError`` if ``baseline.features`` names an unknown observable."""
    section = config["baseline"]
    for place, name in enumerate([] if isinstance(section, bool) else section["features"]):
        if observables.find(name) is None:
            known = [*observables.names("graph"), *observables.names("node")]
            near = get_close_matches(name, known, n=1)
            raise ConfigError(
                f"there is no observable {shown(name)}",
                key=f"baseline.features[{place}]",
                remedy=f"did you mean '{near[0]}'?" if near else "see docs/your-data.md",
            )
