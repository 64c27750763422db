import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qgpipe.system.read_ahead import ahead, map_ahead


def test_items_come_in_order_and_the_next_are_taken_before_one_is_yielded():
    taken = []
    items = (taken.append(i) or i for i in range(5))
    iterator = ahead(items, 2)
    assert taken == []
    assert next(iterator) == 0
    assert taken == [0, 1, 2]
    assert list(iterator) == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [0, 2, 9])
def test_any_number_ahead_gives_the_same_items(number):
    assert list(ahead(range(4), number)) == [0, 1, 2, 3]


def test_results_come_in_the_order_of_the_items_whatever_finishes_first():
    second = threading.Event()

    def work(item):
        if item == 0:
            assert second.wait(30)
        else:
            second.set()
        return 10 * item

    with ThreadPoolExecutor(2) as pool:
        assert list(map_ahead(pool, work, range(3), 2)) == [0, 10, 20]


def test_an_error_is_raised_in_the_place_of_its_item():
    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, lambda item: 1 // item, [1, 0], 1)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
