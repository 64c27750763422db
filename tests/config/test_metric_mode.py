import functools

import numpy as np
import pytest
import sklearn.metrics
import torchmetrics
import torchmetrics.classification

from qgpipe.config.metric_mode import better


def test_every_score_and_every_loss_of_sklearn_is_known():
    names = [n for n in dir(sklearn.metrics) if n.endswith(("_score", "_loss", "_error"))]
    lower = {n for n in names if not n.endswith("_score")} | {"davies_bouldin_score"}
    assert len(names) > 40
    for name in names:
        expected = "min" if name in lower else "max"
        assert better(f"!pyobject sklearn.metrics.{name}") == expected, name
        assert better(getattr(sklearn.metrics, name)) == expected, name


def test_it_never_contradicts_torchmetrics():
    told = 0
    for module in (torchmetrics, torchmetrics.classification):
        for name in module.__all__:
            higher = getattr(getattr(module, name), "higher_is_better", None)
            known = better(f"{module.__name__}.{name}")
            if higher is not None and known is not None:
                assert known == ("max" if higher else "min"), name
                told += 1
    assert told > 50


@pytest.mark.parametrize(
    "monitor",
    [
        "mymodule.f1_score",
        lambda y_true, y_pred: 0.0,
        np.std,
        "sklearn.metrics.confusion_matrix",
        sklearn.metrics.make_scorer,
    ],
)
def test_nothing_is_said_of_others(monitor):
    assert better(monitor) is None


def test_a_partial_is_what_it_is_a_partial_of():
    f1 = functools.partial(sklearn.metrics.f1_score, average="macro")
    assert better(f1) == "max"
    assert better({"!partial": {"type": "!pyobject sklearn.metrics.f1_score"}}) == "max"
    assert better(np.mean) == better("numpy.mean") == "min"
