"""Parameters that are one of several values."""

import numpy as np
import pytest

from qgpipe.causets.generators.parameters import require_choice
from qgpipe.errors import ConfigError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_numpy_are_integers(value):
    require_choice(value, "dimension", (2, 3, 4))


@pytest.mark.parametrize("value", [5, 3.0, "3", True, None])
def test_other_values_are_refused(value):
    with pytest.raises(ConfigError, match="give 1, 2, 3 or 4"):
        require_choice(value, "dimension", (1, 2, 3, 4))
