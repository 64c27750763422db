"""The usual names of the arrays in stores of causal sets."""

from collections.abc import Iterable
from difflib import get_close_matches

ADJACENCY = ("adjacency_matrix", "adj", "adjacency", "link_matrix", "linkmat")
SIZE = ("cset_size", "num_elements")
COUNT = ("num_causal_sets", "num_samples")
TARGET = ("cset_type", "manifold_like", "dimension")
NODE_FEATURES = (
    ("max_pathlens_future", "max_pathlens_past"),
    ("max_pathlen_future", "max_pathlen_past"),
    ("in_degree", "out_degree"),
    ("in_degrees", "out_degrees"),
    ("in_degrees_link", "out_degrees_link"),
)
PATH_LENGTH_PREFIX = "max_pathlen"
KNOWN = frozenset((*ADJACENCY, *SIZE, *TARGET, *(n for pair in NODE_FEATURES for n in pair)))


def is_path_length(name: str) -> bool:
    """Whether an array, perhaps in a subgroup, holds lengths of chains, which may be NaN."""
    return name.rpartition("/")[2].startswith(PATH_LENGTH_PREFIX)


def did_you_mean(word: str, choices: Iterable[str], also: Iterable[str] = ()) -> str:
    """``did you mean 'x'? `` with the nearest of ``choices``, or nothing; then the choices.

    ``also``: further names to suggest, which are not listed.
    """
    choices = list(choices)
    near = get_close_matches(word, [*choices, *also], n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}there are {', '.join(choices) or 'no arrays'}"
