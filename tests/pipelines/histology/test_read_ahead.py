"""What is made ahead, and what happens when making or using it fails."""

import threading
import time

import pytest

from pipelines.histology.read_ahead import read_ahead


def test_items_come_in_order_from_a_thread_of_their_own() -> None:
    def numbers():
        for number in range(50):
            made_by.add(threading.current_thread().name)
            yield number

    made_by: set[str] = set()
    assert list(read_ahead(numbers(), 3)) == list(range(50))
    assert threading.current_thread().name not in made_by
    assert list(read_ahead([], 3)) == []
    assert list(read_ahead([None, 0, ()], 1)) == [None, 0, ()]


@pytest.mark.parametrize("ahead", [1, 2, 4])
def test_never_more_wait_than_asked_for(ahead: int) -> None:
    made = 0

    def numbers():
        nonlocal made
        for number in range(20):
            made += 1
            yield number

    for used, _ in enumerate(read_ahead(numbers(), ahead)):
        time.sleep(0.002)
        # One is in use, and the others wait.
        assert made <= used + 1 + ahead


def test_what_making_raises_is_raised_in_its_place() -> None:
    def numbers():
        yield 1
        raise KeyError("broken")

    items = read_ahead(numbers())
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_who_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    items = read_ahead(iter(range(1000)))
    next(items)
    items.close()
    assert threading.active_count() == before
