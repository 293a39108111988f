"""One function over many points: side by side on one device, divided over all devices, or one after another."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lts_jax.learning.processes import placed


def over_points(one: Callable[..., Any], arguments: tuple[Any, ...], *, is_strict: bool = False) -> Any:
    """`one` at every point of axis S, the first of every array in `arguments`; compiled once.

    The axis is divided over however many devices there are; points are repeated to fill the last share and dropped
    again. With `is_strict`, each device takes its points one after another through one loop, so a point's bits do not
    depend on which or how many others are there, nor on the number of devices. Otherwise they are vmapped: faster, and
    equal to rounding only.

    Where one program runs as several processes, the devices are those of all, and each process gets the whole result,
    as NumPy arrays; all of them must come here with the same arguments.
    """
    num_points = jax.tree.leaves(arguments)[0].shape[0]
    devices = jax.devices()
    if jax.process_count() == 1:  # else every process must have some of them
        devices = devices[: max(1, min(len(devices), num_points))]
    share = -(-num_points // len(devices))
    # A loop over one point would be compiled as no loop at all, with other bits.
    padded = max(share, 2 if is_strict else 1) * len(devices)
    index = np.resize(np.arange(num_points), padded)
    mesh = Mesh(np.array(devices), ("points",))
    along = PartitionSpec("points")
    spread = jax.tree.map(lambda array: placed(array[index], NamedSharding(mesh, along)), arguments)
    result = _compiled(one, tuple(devices), is_strict)(*spread)
    if jax.process_count() > 1:
        result = multihost_utils.process_allgather(result, tiled=True)
    return jax.tree.map(lambda array: array[:num_points], result)


@lru_cache(maxsize=32)
def _compiled(one: Callable[..., Any], devices: tuple[jax.Device, ...], is_strict: bool) -> Callable[..., Any]:
    run = partial(_in_order, one) if is_strict else jax.vmap(one)
    mesh, along = Mesh(np.array(devices), ("points",)), PartitionSpec("points")
    return jax.jit(jax.shard_map(run, mesh=mesh, in_specs=along, out_specs=along, check_vma=False))


def _in_order(one: Callable[..., Any], *arguments: Any) -> Any:
    return jax.lax.map(lambda point: one(*point), arguments)
