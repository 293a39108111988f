"""Fewer searches for garbage while rollouts are collected: their records are many, live long and hold no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_ALLOCATIONS = 50_000  # new objects between two searches of the youngest; Python's own 700 suits small programs
_lock = Lock()
_before: list[tuple[int, int, int]] = []  # of the collections under way the first one's thresholds


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Search for garbage more rarely inside, as before outside. Where it is off, it stays off.

    May be entered again, also by other threads; the last to leave restores.
    """
    with _lock:
        _before.append(_before[-1] if _before else gc.get_threshold())
        youngest, *older = _before[-1]
        if 0 < youngest < _ALLOCATIONS:
            gc.set_threshold(_ALLOCATIONS, *older)
    try:
        yield
    finally:
        with _lock:
            before = _before.pop()
            if not _before:
                gc.set_threshold(*before)
