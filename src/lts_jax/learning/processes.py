"""One program over many processes: who writes, who waits for whom and for how long, and what ends one that hangs.

JAX finds the processes by itself under SLURM, Open MPI and on GKE; elsewhere they are told. Process 0 writes, logs and
prints; every process reads for itself. No barrier is without a limit, and one that is missed says who was missing.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lts_jax.errors import UserError, describe

STALLED = 75  # exit code: nothing is lost, the same command goes on (EX_TEMPFAIL of sysexits.h)
MEET_SECONDS = 1800.0  # for all processes to come to a barrier, where nothing else is said
HEARTBEAT_SECONDS = 30  # after which a process that is gone ends the others


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of this program, and which of them this one is."""

    index: int = 0
    count: int = 1
    seconds: float = MEET_SECONDS  # for all to meet
    step: Callable[[], None] = lambda: None  # to be called whenever something was done, see `Watchdog`

    @property
    def is_writer(self) -> bool:
        """Whether this is the one that writes, logs and prints."""
        return self.index == 0

    def meet(self, name: str) -> None:
        """Wait for all others at a place that each of them comes to once.

        Raises:
            UserError: some did not come in time: which.
        """
        self.step()
        if self.count == 1:
            return
        from jax._src import distributed  # the only way to a barrier that has a limit

        client = distributed.global_state.client
        assert client is not None
        client.key_value_set(f"lts {name}/{self.index}", "here")
        try:
            client.wait_at_barrier(f"lts {name}", int(1000 * self.seconds))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            came = {int(key.rpartition("/")[2]) for key, _ in client.key_value_dir_get(f"lts {name}/")}
            missing = ", ".join(str(one) for one in range(self.count) if one not in came) or "none any more"
            told = f"not all processes came to {name!r} within {self.seconds:g} seconds; missing: {missing}"
            raise UserError(f"distributed: {told}") from None


ALONE = Processes()


def agree(flags: Sequence[bool], processes: Processes) -> list[bool]:
    """The flags of the process that writes, in every process."""
    if processes.count == 1:
        return list(flags)
    from jax.experimental import multihost_utils

    processes.meet("to agree on what is missing")
    return [bool(flag) for flag in multihost_utils.broadcast_one_to_all(np.asarray(flags, np.int32))]


def start_processes(text: str, seconds: float = MEET_SECONDS) -> Processes:
    """Join the processes of this program, before anything is computed.

    Args:
        text: `auto`, for JAX to find them (SLURM, Open MPI, GKE); or `HOST:PORT,COUNT,INDEX`, the address of process 0,
            how many there are, and which this is.
        seconds: for all of them to meet, here and later.

    Raises:
        UserError: another text, or they did not find each other.
    """
    told = _told(text)
    try:
        jax.distributed.initialize(**told, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"distributed: the processes did not find each other ({describe(error)})") from None
    return Processes(jax.process_index(), jax.process_count(), seconds)


def _told(text: str) -> dict[str, Any]:
    if text == "auto":
        return {}
    address, *numbers = text.split(",")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers) or ":" not in address:
        raise UserError(f"distributed: expected auto, or HOST:PORT,COUNT,INDEX, got {text!r}")
    count, index = map(int, numbers)
    if not 0 <= index < count:
        raise UserError(f"distributed: expected an INDEX from 0 to {count - 1}, got {index}")
    return {"coordinator_address": address, "num_processes": count, "process_id": index}


class Watchdog:
    """Ends this process where nothing was done for too long: one that hangs would hang all others with it."""

    def __init__(self, seconds: float, end: Callable[[int], None] = os._exit) -> None:
        """Watch from now on, in a thread of its own."""
        self._seconds, self._end = seconds, end
        self._last = time.monotonic()
        self._has_stopped = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def step(self) -> None:
        """Something was done."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """Watch no more."""
        self._has_stopped.set()

    def _watch(self) -> None:
        while not self._has_stopped.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._last > self._seconds:
                text = f"lts: nothing was done for {self._seconds:g} seconds (--mesh.stall-seconds); this is where:"
                print(text, file=sys.stderr, flush=True)
                faulthandler.dump_traceback(file=sys.stderr)
                print("lts: ended with code 75; the same command goes on", file=sys.stderr, flush=True)
                return self._end(STALLED)


Update = Callable[..., tuple[Any, Any, Any]]


def over_processes(update: Update, mesh: Mesh | None, processes: Processes) -> Update:
    """An update that was compiled for a mesh over the devices of all processes, called with what each of them has.

    Every process has the whole state and the whole batch; its own part of the tasks goes onto its devices. What comes
    back lies on every device, and is given back as this process has it. Without a mesh each process computes the whole
    update, with the bits of one process alone.
    """
    if mesh is None or processes.count == 1:
        return update
    everywhere, by_task = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))

    def run(state: Any, trajectory: Any, context: Any) -> tuple[Any, Any, Any]:
        whole = jax.tree.map(lambda leaf: placed(leaf, everywhere), state)
        batch = jax.tree.map(lambda leaf: _own_part(leaf, by_task), (trajectory, context))
        return jax.tree.map(_here, update(whole, *batch))

    return run


def placed(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process has whole, on the devices of a sharding, which may be other processes' too."""
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    plain = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
    spread = jax.make_array_from_callback(plain.shape, sharding, lambda index: plain[index])
    return jax.random.wrap_key_data(spread, impl=jax.random.key_impl(leaf)) if is_key else spread


def _own_part(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """A whole array [B, ...] of which this process's devices take their tasks."""
    places = sharding.addressable_devices_indices_map(leaf.shape).values()
    rows = [index[0].indices(leaf.shape[0])[:2] for index in places if index is not None]
    first, last = min(row[0] for row in rows), max(row[1] for row in rows)
    return jax.make_array_from_process_local_data(sharding, leaf[first:last], leaf.shape)


def _here(leaf: jax.Array) -> jax.Array:
    return leaf.addressable_shards[0].data
