"""`--workers` and `--distributed` of a command: who runs its rollouts, and of which processes this is one."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lts_jax.errors import UserError
from lts_jax.rollouts.executor import LOCAL, Executor

if TYPE_CHECKING:
    from lts_jax.learning.processes import Processes


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


@contextmanager
def processes_of(distributed: str, stall_seconds: float) -> "Iterator[Processes]":
    """The processes that a command line names; without any, this one alone.

    Where another process is lost this one cannot go on: it ends with code 75, and the same command goes on.

    Raises:
        UserError: another text than `auto` or `HOST:PORT,COUNT,INDEX`, or they did not find each other.
    """
    from lts_jax.learning.processes import ALONE, STALLED, Watchdog, start_processes

    if not distributed:
        yield ALONE
        return
    import jax

    processes = start_processes(distributed, stall_seconds)
    dog = Watchdog(stall_seconds)
    processes = replace(processes, step=dog.step)
    try:
        yield processes
        processes.meet("the end")
        jax.distributed.shutdown()
    except BaseException as error:
        is_lost = isinstance(error, jax.errors.JaxRuntimeError)
        told = " ".join(str(error).split())[:500] or type(error).__name__
        said = f"another process is lost ({told}); the same command goes on" if is_lost else told
        if not isinstance(error, UserError) and not is_lost:
            traceback.print_exc()
        print(f"lts: {said}", file=sys.stderr, flush=True)
        # What JAX does at an orderly end would wait for the others, who wait for this one.
        os._exit(STALLED if is_lost else 2 if isinstance(error, UserError) else 70)
    finally:
        dog.stop()
