import numpy as np
import pytest

from qgpipe.baselines.answers import BaselineAnswers, TargetAnswers, read_answers, save_answers
from qgpipe.errors import DataError


@pytest.fixture
def answers():
    one = TargetAnswers("kind", 3, np.array([0, 2]), {"linear": np.eye(3)[:2]}, {"boosting": "no"})
    other = TargetAnswers("size", None, np.array([1.5, np.nan]), {"constant": np.ones(2)})
    return BaselineAnswers(["a/0", "ä b/7"], 80, 20, ["x"], [one, other], {"two_order": "none"})


def test_what_was_saved_is_read(answers, tmp_path):
    save_answers(answers, tmp_path / "answers")
    found = read_answers(tmp_path / "answers")
    assert (found.ids, found.num_train, found.fitted_to) == (answers.ids, 80, 20)
    assert (found.features, found.left_out) == (["x"], {"two_order": "none"})
    for mine, theirs in zip(answers.targets, found.targets, strict=True):
        assert (mine.name, mine.num_classes, mine.left_out) == (
            theirs.name, theirs.num_classes, theirs.left_out,
        )  # fmt: skip
        np.testing.assert_array_equal(mine.target, theirs.target)
        np.testing.assert_equal(mine.outputs, theirs.outputs)


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:20], lambda b: b"x" * 100])
def test_a_damaged_file_is_named_with_a_remedy(answers, tmp_path, damage):
    path = tmp_path / "answers"
    save_answers(answers, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"answers is damaged: .*--forcerun baseline_answers"):
        read_answers(path)


def test_answers_that_do_not_belong_to_the_graphs_are_refused(answers, tmp_path):
    answers.ids.append("a/9")
    save_answers(answers, tmp_path / "answers")
    with pytest.raises(DataError, match="'target' of 'kind' has the shape"):
        read_answers(tmp_path / "answers")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such file: .*--forcerun baseline_answers"):
        read_answers(tmp_path / "answers")
