"""Node features with several columns, in the order of Python and of Julia."""

import numpy as np
import pytest
import zarr

from qgpipe.data.layouts.registry import open_store
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import ConfigError, DataError

NAME = "coordinates"


def both(sets):
    return [np.stack(pair, axis=1) for pair in zip(sets.future, sets.past, strict=True)]


def stacked(sets, write_stacked, transposed):
    padded = np.zeros((len(sets), sets.sizes.max(), 2), "f4")
    for row, values in zip(padded, both(sets), strict=True):
        row[: len(values)] = values
    return write_stacked(sets, changes={NAME: padded.swapaxes(1, 2) if transposed else padded})


def groups(sets, write_groups, transposed, length=None):
    path = write_groups(sets)
    root = zarr.open_group(path, mode="r+")
    for i, values in enumerate(both(sets)):
        written = np.zeros((length or len(values), 2), "f4")
        written[: len(values)] = values
        written = written.T.copy() if transposed else written
        root[f"cset_{i + 1}"].create_array(NAME, data=written, chunks=written.shape)
    return path


def read(path, **kwargs):
    store = open_store(path)
    reader = CausalSetReader(node_features=[NAME], **kwargs)
    names = reader.describe(store)["node_features"]
    return names, reader.read(store, 0, store.num_samples).attributes["x"].values


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("layout", ["stacked", "groups"])
def test_the_axis_of_the_elements_is_the_one_that_fits(
    layout, transposed, causal_sets, write_stacked, write_groups
):
    if layout == "stacked":
        path = stacked(causal_sets, write_stacked, transposed)
    else:
        path = groups(causal_sets, write_groups, transposed)
    names, x = read(path)
    assert names == [f"{NAME}[0]", f"{NAME}[1]"]
    np.testing.assert_array_equal(x, np.concatenate(both(causal_sets)))


def test_padding_of_julias_order_is_cut_off(causal_sets, write_groups):
    _, x = read(groups(causal_sets, write_groups, transposed=True, length=12))
    np.testing.assert_array_equal(x, np.concatenate(both(causal_sets)))


def test_where_the_shape_does_not_tell_a_key_does(make_sets, write_groups):
    sets = make_sets([2, 5, 4])
    path = groups(sets, write_groups, transposed=True)
    with pytest.raises(DataError, match="set 'element_axis' of the reader's kwargs to last"):
        read(path)
    _, x = read(path, element_axis="last")
    np.testing.assert_array_equal(x, np.concatenate(both(sets)))


def test_as_many_columns_as_elements_are_read_in_pythons_order(make_sets, write_stacked):
    sets = make_sets([2, 2, 2])
    _, x = read(stacked(sets, write_stacked, transposed=False))
    np.testing.assert_array_equal(x, np.concatenate(both(sets)))
    _, x = read(stacked(sets, write_stacked, transposed=True), element_axis="last")
    np.testing.assert_array_equal(x, np.concatenate(both(sets)))


def test_other_axes_are_refused():
    with pytest.raises(ConfigError, match=r"kwargs\.element_axis: expected first or last, got 1"):
        CausalSetReader(element_axis=1)
