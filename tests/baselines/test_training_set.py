import numpy as np
import pytest

from qgpipe.baselines.answers import read_answers
from qgpipe.baselines.fit import fit_baselines
from qgpipe.baselines.invariants import invariants
from qgpipe.baselines.training_set import (
    GraphFeatures,
    computed_names,
    read_training_set,
    save_training_set,
)
from qgpipe.errors import DataError

from .conftest import DIMENSIONS, SPLIT, pack


@pytest.fixture
def saved(causets, write_data, resolved, tmp_path):
    """A function of a section: the files of the answers and of the training set."""

    def fit(target=DIMENSIONS - 2, **section):
        data = write_data(pack(causets, y=target), target="dimension", class_names=None)
        files = tmp_path / "answers", tmp_path / "training_set"
        fit_baselines(resolved(**section), *data, files[0], 1, files[1])
        return files

    return fit


def test_what_is_read_answers_as_before_it_was_saved(saved, causets):
    answers, file = saved()
    (expected,) = read_answers(answers).targets
    training = read_training_set(file)
    again = file.with_name("again")
    save_training_set(training, again)
    assert again.read_bytes() == file.read_bytes()
    names = computed_names(training.methods, training.invariants)
    values = invariants(pack([causets[k] for k in SPLIT["test"]]), names)
    graphs = GraphFeatures(values, np.zeros((len(values), 0)), [])
    outputs, left_out = training.answers(training.targets[0], graphs, 1)
    assert outputs.keys() == expected.outputs.keys() >= {"myrheim_meyer", "boosting+two_order"}
    assert left_out == expected.left_out
    for name, found in outputs.items():
        assert found == pytest.approx(expected.outputs[name], abs=1e-6)


def test_the_constant_is_of_the_whole_training_set_others_of_what_is_drawn(saved):
    training = read_training_set(saved(max_graphs=20)[1])
    assert (training.num_train, len(training.fitted_to), len(training.features.own)) == (80, 20, 20)
    outputs, _ = training.answers(training.targets[0], training.features, 1)
    counts = np.bincount(DIMENSIONS[SPLIT["train"]] - 2) + 1
    assert outputs["constant"][0] == pytest.approx(counts / counts.sum())
    with_linear = outputs["linear"].argmax(axis=1) == training.targets[0].train[training.fitted_to]
    assert with_linear.mean() > 0.9


def test_graphs_without_invariants_get_a_constant_answer(saved):
    training = read_training_set(saved(DIMENSIONS.astype(np.float32))[1])
    others = GraphFeatures(np.zeros((3, 0), np.float32), np.zeros((3, 0)), [], "no relations")
    outputs, left_out = training.answers(training.targets[0], others, 1)
    assert list(outputs) == ["constant"]
    assert outputs["constant"] == pytest.approx([DIMENSIONS[SPLIT["train"]].mean()] * 3)
    assert left_out["boosting"] == left_out["myrheim_meyer"] == "no relations"


def test_the_constant_alone_needs_no_observables():
    assert computed_names(["constant"], ["in_degree"]) == []
    assert computed_names(["constant", "linear"], ["in_degree"]) == [
        "in_degree", "myrheim_meyer_dimension",
    ]  # fmt: skip


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b"x" * 100])
def test_a_damaged_file_is_named_with_a_remedy(saved, damage):
    _, file = saved(methods=["constant"])
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=r"training_set is damaged: .*--forcerun baseline_answers"):
        read_training_set(file)
    file.unlink()
    with pytest.raises(DataError, match=r"no such file: .*--forcerun baseline_answers"):
        read_training_set(file)
