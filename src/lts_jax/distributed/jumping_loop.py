"""An event loop whose clock jumps to the next thing that is due: hours of a driver's waiting take no time.

For models and tests of the driver, which is the same code on either clock. Nothing outside the loop is waited for.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Jumping:
    """A selector to which nothing ever happens; asked to wait, it moves the clock on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, file: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[file] = selectors.SelectorKey(file, int(file), events, data)
        return key

    def unregister(self, file: Any) -> selectors.SelectorKey:
        return self._keys.pop(file)

    def modify(self, file: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.register(file, events, data)

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys

    def get_key(self, file: Any) -> selectors.SelectorKey:
        return self._keys[file]

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due")
        self.seconds += max(0.0, timeout)
        return []

    def close(self) -> None:
        self._keys.clear()


def run_jumping(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a clock that starts at zero and jumps; `asyncio.get_running_loop().time()` tells it.

    Raises:
        RuntimeError: everybody waits for something that nobody will do.
    """
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)  # type: ignore[arg-type]
    loop.time = lambda: selector.seconds  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
