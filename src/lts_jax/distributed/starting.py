"""Starting Ray, which must come before jax: Ray starts processes, and a process in which jax runs should not fork."""

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from lts_jax.errors import UserError, describe

ENVIRONMENT = {  # of Ray's own processes: a busy machine takes longer to start them than Ray thinks
    "RAY_raylet_start_wait_time_s": "400",
    "RAY_agent_register_timeout_ms": "400000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_USAGE_STATS_ENABLED": "0",
}
STORE_BYTES = 256 * 2**20  # of Ray's object store where Ray is started here; a rollout has a fifth of a megabyte
FLAG = "--workers"


def start_ray(workers: str) -> None:
    """Start Ray here for so many workers, or join the cluster at `ray://HOST:PORT`. Where it runs already, nothing.

    Raises:
        UserError: neither a number nor an address, Ray is not installed, or nobody answers at the address.
    """
    number, address = read_workers(workers)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UserError('workers: needs Ray: pip install "lts-jax[ray]"') from None
    if ray.is_initialized():
        return
    if address:
        wait_for(address)
    where: dict[str, Any] = (
        {"address": address} if address else {"num_cpus": number, "object_store_memory": STORE_BYTES}
    )
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    try:
        ray.init(include_dashboard=None if address else False, **where, **quiet)
    except Exception as error:  # Ray raises many kinds
        raise UserError(f"workers: Ray did not start ({describe(error)})") from None


def wait_for(address: str, seconds: float = 60.0) -> None:
    """Wait for a cluster's head, which may be starting as well. Ray by itself would try for as long as it is let.

    Raises:
        UserError: nobody answers at `HOST:PORT` for so long.
    """
    host, _, port = address.rpartition(":")
    until, has_told = time.monotonic() + seconds, False
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
            return
        except OSError as error:
            told = f"nobody answers at ray://{address} ({error.strerror or describe(error)})"
        if time.monotonic() >= until:
            raise UserError(f"workers: {told}; is the head of the cluster running?")
        if not has_told:
            has_told = True
            print(f"lts: {told}; trying for {seconds:g} seconds", file=sys.stderr, flush=True)
        time.sleep(min(1.0, seconds))


def stop_ray() -> None:
    """End Ray's processes of this machine, or leave the cluster."""
    import ray

    ray.shutdown()


def on_this_node() -> Any:
    """Where an actor is to run that must not be lost with another machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def read_workers(workers: str) -> tuple[int, str]:
    """The number of local workers, or 0 and the address of a cluster.

    Raises:
        UserError: it is neither.
    """
    if workers.isdecimal() and 1 <= int(workers) <= 1024:
        return int(workers), ""
    host, _, port = workers.removeprefix("ray://").rpartition(":")
    if workers.startswith("ray://") and host and port.isdecimal():
        return 0, f"{host}:{port}"
    raise UserError(f"workers: expected a number from 1, or ray://HOST:PORT, got {workers!r}")


def workers_of(arguments: Sequence[str]) -> str:
    """What a command line says of workers; empty where it says nothing."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{FLAG}="):
            return argument.partition("=")[2]
        if argument == FLAG and place + 1 < len(arguments):
            return arguments[place + 1]
    return ""
