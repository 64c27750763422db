import pytest

from qgpipe.baselines.features import INVARIANTS, require_known_features
from qgpipe.causets import observables
from qgpipe.errors import ConfigError


def test_all_invariants_are_observables():
    assert all(observables.find(name) for name in INVARIANTS)


def test_an_unknown_feature_is_named_with_the_nearest(resolved):
    with pytest.raises(ConfigError) as caught:
        require_known_features(resolved(features=["in_degree", "link_fractoin"]))
    assert str(caught.value) == (
        "baseline.features[1]: there is no observable 'link_fractoin'; "
        "did you mean 'link_fraction'?"
    )


def test_without_baselines_there_is_nothing_to_check(resolved, minimal):
    assert require_known_features(resolved()) is None
    assert require_known_features({**resolved(), "baseline": False}) is None
