from __future__ import annotations

import numpy as np
import pytest

from qgpipe.causets.causal_set import CausalSet
from qgpipe.causets.generators.classes import resolve_classes
from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.errors import ConfigError


def total_order(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.triu(np.ones((n, n), bool), 1)


def as_integers(rng: np.random.Generator, n: int, value: int = 1) -> np.ndarray:
    return np.triu(np.full((n, n), value), 1)


def one_too_large(rng: np.random.Generator, n: int) -> np.ndarray:
    return total_order(rng, n + 1)


def not_closed(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.eye(n, k=1, dtype=bool)


def failing(rng: np.random.Generator, n: int) -> np.ndarray:
    raise ValueError("no idea")


def not_boolean(rng: np.random.Generator, n: int) -> CausalSet:
    return CausalSet(np.zeros((n, n)))


def generate(entry, n: int = 6) -> CausalSet:
    return resolve_classes([entry])[0].generate(np.random.default_rng(0), n)


def test_a_class_is_called_by_its_name_or_else_by_its_generator():
    classes = resolve_classes(
        [
            "minkowski",
            {"type": "minkowski", "name": "four", "kwargs": {"dimension": 4}},
            total_order,
            "!pyobject qgpipe.causets.generators.layered.kr",
            {"type": "random", "name": None, "kwargs": None},
        ]
    )
    assert [c.name for c in classes] == ["minkowski", "four", "total_order", "kr", "random"]
    assert classes[1].kwargs == {"dimension": 4}
    assert classes[1].function is minkowski


def test_a_function_in_a_module_of_the_user_can_be_named(user_folder):
    (user_folder / "my_orders.py").write_text(
        "import numpy as np\n"
        "def ladder(rng, n, rungs):\n"
        "    return np.triu(np.ones((n, n), bool), rungs)\n"
    )
    relations = generate({"type": "my_orders.ladder", "kwargs": {"rungs": 6}}).relations
    assert not relations.any()


@pytest.mark.parametrize("function", [total_order, as_integers])
def test_a_function_may_return_a_bare_matrix(function):
    causal_set = generate(function)
    np.testing.assert_array_equal(causal_set.relations, np.triu(np.ones((6, 6), bool), 1))
    assert not causal_set.manifold_like


def test_an_unknown_generator_is_an_error_with_key_and_nearest_name():
    with pytest.raises(ConfigError) as caught:
        resolve_classes(["minkowski", "polinomial"])
    assert str(caught.value) == (
        "generate.classes[1]: no generator is called 'polinomial'; did you mean 'polynomial'?"
    )


def test_a_name_like_none_lists_the_generators():
    with pytest.raises(ConfigError, match=r"give one of minkowski, polynomial, .* your own"):
        resolve_classes(["zzz"])


def test_a_module_that_is_not_there_is_an_error_with_key():
    with pytest.raises(ConfigError, match=r"generate.classes\[0\]: no module named 'no_such'"):
        resolve_classes(["no_such.function"])


def test_what_is_no_function_is_an_error():
    with pytest.raises(ConfigError, match=r"classes\[0\]: 'math.pi' is no function"):
        resolve_classes(["math.pi"])


def test_a_misspelt_argument_is_an_error_that_lists_the_right_ones():
    with pytest.raises(ConfigError) as caught:
        resolve_classes([{"type": "minkowski", "kwargs": {"dimensions": 3}}])
    assert str(caught.value) == (
        "generate.classes[0].kwargs: 'minkowski' cannot be called as f(rng, n, **kwargs): "
        "got an unexpected keyword argument 'dimensions'; its keyword arguments are dimension"
    )


def test_two_classes_of_one_name_are_an_error():
    entries = ["minkowski", {"type": "minkowski", "kwargs": {"dimension": 3}}]
    with pytest.raises(ConfigError, match=r"classes\[1\]: two classes are called 'minkowski'"):
        resolve_classes(entries)


def test_a_wrong_argument_is_an_error_with_the_key_of_the_class():
    with pytest.raises(ConfigError, match=r"^generate.classes\[0\].kwargs: 'dimension' is 7"):
        generate({"type": "minkowski", "kwargs": {"dimension": 7}})


def test_a_failing_function_is_an_error_that_keeps_the_cause():
    with pytest.raises(
        ConfigError, match="'failing' failed for n = 6: ValueError: no idea"
    ) as caught:
        generate(failing)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("function", [one_too_large, not_boolean])
def test_a_matrix_of_wrong_shape_or_type_is_an_error(function):
    with pytest.raises(ConfigError, match=r"return the relation matrix, bool of shape \(n, n\)"):
        generate(function)


def test_a_matrix_that_is_not_closed_is_an_error_that_says_how_to_close_it():
    with pytest.raises(
        ConfigError, match=r"not transitive: 0 ≺ 1 ≺ 2, .*order\.transitive_closure"
    ):
        generate(not_closed)
