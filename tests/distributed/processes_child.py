"""One process of a program of several: `python processes_child.py PART ADDRESS COUNT INDEX`. Prints a line of JSON."""

import json
import os
import signal
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lts_jax.errors import UserError
from lts_jax.lab.sharding import over_points
from lts_jax.learning.processes import ALONE, agree, over_processes, start_processes
from lts_jax.learning.update import make_update  # noqa: F401  what a learner of many processes compiles


def wave(value, key):
    """A point whose bits would show if anything were computed in another order."""
    noise = jax.random.normal(key, (64,))
    return {"sum": jnp.sum(jnp.sin(value * noise)), "curve": jnp.cumsum(noise * value)[::8]}


def points(num_points, is_strict):
    values = jnp.linspace(0.0, 1.0, num_points, dtype=jnp.float32)
    keys = jax.vmap(jax.random.key)(jnp.arange(num_points, dtype=jnp.uint32))
    found = over_points(wave, (values, keys), is_strict=is_strict)
    return {name: np.asarray(value).tobytes().hex() for name, value in found.items()}


def tables():
    """What every process gets, from points that divide evenly and ones that do not."""
    return {f"{number}-{strict}": points(number, strict) for number in (1, 4, 5) for strict in (True, False)}


def learner(processes):
    """A gradient step on the mean over tasks, divided over the devices of all processes."""
    mesh = Mesh(np.array(jax.devices()).reshape(-1, 1), ("data", "model"))
    everywhere, by_task = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in ((), ("data",))
    )

    def step(state, batch, context):
        slope = jax.grad(lambda weight: jnp.mean((batch @ weight - context) ** 2))(state["weight"])
        return {"weight": state["weight"] - 0.1 * slope, "key": state["key"]}, {"loss": jnp.sum(slope)}, batch[:, 0]

    update = jax.jit(step, in_shardings=(everywhere, by_task, by_task), out_shardings=everywhere)
    update = over_processes(update, mesh, processes)
    state = {"weight": jnp.ones(3), "key": jax.random.key(1)}
    batch = np.arange(12, dtype=np.float32).reshape(4, 3) / 12
    for _ in range(3):
        state, metrics, first_b = update(state, batch, batch.sum(1))
    jax.random.normal(state["key"])  # a local computation with what came back
    return [*np.asarray(state["weight"]).tolist(), float(metrics["loss"]), *np.asarray(first_b).tolist()]


def main(part, address, count, index):
    if count == 1:
        print(json.dumps({"tables": tables(), "learner": learner(ALONE)}), flush=True)
        return
    processes = start_processes(f"{address},{count},{index}", seconds=120.0)
    if part == "killed":
        processes.meet("the beginning")
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            processes.meet("what one never comes to")
        except UserError as error:
            print(f"lts: {error}", flush=True)
        os._exit(75)
    if part == "short":
        print(json.dumps({"tables": tables(), "learner": learner(processes)}), flush=True)
        processes.meet("the end")
        os._exit(0)
    found = {"tables": tables(), "learner": learner(processes), "agreed": agree([index == 0] * 3, processes)}
    if index == 1:
        time.sleep(45.0)
    late = jax.jit(partial(jnp.mean))(
        jax.make_array_from_process_local_data(
            jax.sharding.NamedSharding(Mesh(np.array(jax.devices()), ("data",)), jax.sharding.PartitionSpec("data")),
            np.full((1,), float(index), np.float32),
        )
    )
    found["mean_after_45_seconds"] = float(late.addressable_data(0))
    processes.meet("all but the last")
    if index != count - 1:
        try:
            type(processes)(index, count, 2.0).meet("what one never comes to")
        except UserError as error:
            found["missed"] = str(error)
        print(json.dumps(found), flush=True)
        os._exit(0)
    print(json.dumps(found), flush=True)
    time.sleep(15.0)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
