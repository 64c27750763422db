"""The usual names of the arrays in stores of causal sets, and checks of those that are given."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from qgpipe.errors import ConfigError, shown

ADJACENCY = ("adjacency_matrix", "adj", "adjacency", "link_matrix", "linkmat")
EDGE_INDEX = ("edge_index",)
SPARSE = ("indptr", "indices")
EDGE_PTR = ("edge_ptr", "num_edges")
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
ONE_NAME = ("size", "edge_ptr")  # arguments of the reader; the others may be lists
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


def check_names(given: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` if an argument of the reader is not a name, or a list of names.

    ``given``: arguments by name.
    """
    for key, value in given.items():
        if key == "classes":
            _check_classes(value)
            continue
        if key == "element_axis":
            if value not in (None, "first", "last"):
                raise ConfigError(
                    f"expected first or last, got {shown(value)}",
                    key="data.reader.kwargs.element_axis",
                    remedy="say on which axis of a causal set's node features the elements are",
                )
            continue
        if key == "index_base":
            if type(value) is not int or value not in (0, 1):
                raise ConfigError(
                    f"expected 0 or 1, got {shown(value)}",
                    key="data.reader.kwargs.index_base",
                    remedy="give the index of the first element in the lists of edges",
                )
            continue
        if value is None or (isinstance(value, str) and key != "class_names"):
            continue
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        kinds = (str, int) if key == "class_names" else str
        is_no_pair = key == "adjacency" and is_list and len(value) != 2
        if (
            is_no_pair
            or key in ONE_NAME
            or not is_list
            or not all(isinstance(name, kinds) for name in value)
        ):
            expected = "the name of an array" if key != "class_names" else "a list of names"
            also = ", or a list of names" if key not in (*ONE_NAME, "class_names") else ""
            also = ", or a list of two" if key == "adjacency" else also
            raise ConfigError(
                f"expected {expected}{also}, got {shown(value)}",
                key=f"data.reader.kwargs.{key}",
                remedy="name the classes in the order of their numbers"
                if key == "class_names"
                else "give it as it stands in the store",
            )


def _check_classes(value: Any) -> None:
    if value is None or (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(type(number) is int for number in value)
        and len(set(value)) == len(value)
    ):
        return
    raise ConfigError(
        f"expected different integers, got {shown(value)}",
        key="data.reader.kwargs.classes",
        remedy="list the values of the target in the store, the one that becomes class 0 first",
    )
