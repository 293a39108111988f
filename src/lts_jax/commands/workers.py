"""`--workers` of a command: who runs its rollouts, and what became of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lts_jax.rollouts.executor import LOCAL, Executor


@contextmanager
def executor_of(workers: str, folder: Path) -> Iterator[Executor]:
    """The executor that a command line names, for a run folder; its workers end with it.

    Raises:
        UserError: neither a number nor `ray://HOST:PORT`, or Ray is not there.
    """
    if not workers:
        yield LOCAL
        return
    from lts_jax.distributed.executor import LOGS, Workers
    from lts_jax.distributed.ray_staff import RayStaff
    from lts_jax.distributed.starting import stop_ray

    made = Workers(RayStaff(workers, folder / LOGS), folder)
    try:
        yield made
        if made.ledger.num_jobs:
            print(f"workers: {made.ledger.told()}")
    finally:
        made.close()
        stop_ray()
