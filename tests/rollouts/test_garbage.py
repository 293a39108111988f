"""Collections of garbage are rare while rollouts are collected, and as before afterwards."""

import gc
from threading import Event, Thread

import pytest

from lts_jax.rollouts.garbage import rare_garbage_collection


@pytest.fixture(autouse=True)
def thresholds():
    before = gc.get_threshold()
    gc.set_threshold(600, 11, 12)
    yield
    gc.set_threshold(*before)


def test_nested_and_failing_collections_restore_the_first_thresholds():
    with pytest.raises(ZeroDivisionError), rare_garbage_collection():
        assert gc.get_threshold() == (50_000, 11, 12)
        with rare_garbage_collection():
            assert gc.get_threshold() == (50_000, 11, 12)
        assert gc.get_threshold() == (50_000, 11, 12)
        raise ZeroDivisionError
    assert gc.get_threshold() == (600, 11, 12)


def test_the_last_of_two_threads_restores():
    inside, leave = Event(), Event()

    def other():
        with rare_garbage_collection():
            inside.set()
            leave.wait(10)

    thread = Thread(target=other)
    with rare_garbage_collection():
        thread.start()
        assert inside.wait(10)
    assert gc.get_threshold() == (50_000, 11, 12)  # the other is still collecting
    leave.set()
    thread.join()
    assert gc.get_threshold() == (600, 11, 12)


def test_what_is_switched_off_or_rarer_stays():
    for first in (0, 80_000):
        gc.set_threshold(first, 11, 12)
        with rare_garbage_collection():
            assert gc.get_threshold() == (first, 11, 12)
        assert gc.get_threshold() == (first, 11, 12)
