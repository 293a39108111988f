"""A function over many items as Ray tasks: a task that is lost is given again, by us and not by Ray."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from lts_jax.distributed.dispatch import MOST_LOSSES
from lts_jax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_WAITING = 1000  # tasks that Ray is given at one time


def over_tasks(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[Item, Result]]:
    """Each item with the function's result, in the order in which they end.

    Args:
        function: one that another process can import.
        items: what it is called with.
        num_cpus: of a task.
        num_gpus: of a task.
        tell: is told of each task that is lost.

    Raises:
        UserError: the function's own; or an item was lost three times, with its last reason.
        RuntimeError: a mistake of ours in the function.
    """
    import ray

    remote: Any = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(_call)
    waiting = list(enumerate(items))[::-1]
    losses: dict[int, int] = {}
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < MOST_WAITING:
            place, item = waiting.pop()
            running[remote.remote(function, item)] = place
        [ready], _ = ray.wait(list(running), num_returns=1)
        place = running.pop(ready)
        try:
            result = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from None
            raise RuntimeError(str(error)[-4000:]) from None
        except ray.exceptions.RayError as error:
            losses[place] = losses.get(place, 0) + 1
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            if losses[place] >= MOST_LOSSES:
                raise UserError(f"workers: a chunk was lost {losses[place]} times ({reason})") from None
            tell(f"a chunk is lost, and computed again: {reason}")
            waiting.append((place, items[place]))
            continue
        yield items[place], result


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)
