"""Simulated team steps a second: one compiled program against NumPy and against a Python loop; seeds; a GPU.

Run: taskset -c 0 python experiments/simulator_speed/run.py contenders      (one core)
     python experiments/simulator_speed/run.py seeds                        (two cores)
     python experiments/simulator_speed/run.py gpu                          (where there is one)

Only real team steps are counted, never padding. Contenders take turns round by round, so that a busy machine hits all;
a ratio is the median over rounds of one contender's steps a second over another's in the same round.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles

CORES = 2


def flags(mode: str) -> str:
    """Contenders: one thread. Seeds: as many devices of one thread as cores, so that either side may use all."""
    if mode == "gpu":
        return ""
    one_thread = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return one_thread if mode == "contenders" else f"{one_thread} --xla_force_host_platform_device_count={CORES}"


def rounds(contenders: dict[str, Callable[[], int]], num_rounds: int, clock: Callable[[], float]) -> dict[str, list]:
    """Steps a second of each contender in each round; each returns the steps it has done."""
    for work in contenders.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(num_rounds):
        for name, work in contenders.items():
            start = clock()
            num_steps = work()
            found[name].append(num_steps / (clock() - start))
        print(f"round {number + 1}", {name: f"{rates[-1]:,.0f}" for name, rates in found.items()}, file=sys.stderr)
    return found


def compare(found: dict[str, list[float]], pairs: tuple[tuple[str, str], ...]) -> dict[str, object]:
    """Medians and tenths of rates and of ratios."""
    summary: dict[str, object] = {f"steps_per_second/{name}": _spread(rates) for name, rates in found.items()}
    for one, other in pairs:
        ratios = [a / b for a, b in zip(found[one], found[other], strict=True)]
        summary[f"ratio/{one}/{other}"] = _spread(ratios)
    return summary


def _spread(values: list[float]) -> dict[str, float]:
    tenths = quantiles(values, n=10)
    return {"median": median(values), "low": tenths[0], "high": tenths[-1], "best": max(values)}


def contenders(num_rounds: int) -> dict[str, object]:
    """JAX, NumPy and the Python loop on one core, environment and learner; and parts of them."""
    import jax
    import numpy as np
    from check import numpy_equals_jax
    from jax_side import LEARNING, NETWORK, SEEING, SHAPE, WORLD, compiled_train, simulate
    from loop_side import new_loop
    from numpy_side import Learner, draw_tasks, rollouts

    from lts_jax.environments.policies import constant, constant_logit
    from lts_jax.models.policy_network import PolicyNetwork

    agreement = numpy_equals_jax()
    key = jax.random.key(0)
    tasks, each, updates = 30, 16, 10
    compiled, seconds = {}, {}
    coin = PolicyNetwork(None, lambda params, *_: constant(params, None), None, 0, "coin")
    programs = {
        "jax": compiled_train(NETWORK, updates, tasks, each),
        "jax_sees_keys": compiled_train(SEEING, updates, tasks, each),
        "jax_environment": jax.jit(partial(simulate, NETWORK, NETWORK.init(key), updates, tasks, each)),
        "jax_environment_coin": jax.jit(partial(simulate, coin, constant_logit(0.5), updates, tasks, each)),
    }
    for name, program in programs.items():
        start = time.perf_counter()
        compiled[name] = program.lower(key).compile()
        seconds[name] = round(time.perf_counter() - start, 1)
    run = lambda name: int(jax.block_until_ready(compiled[name](key))[1])  # noqa: E731

    rng = np.random.default_rng(0)
    learner = Learner({name: np.array(value) for name, value in NETWORK.init(key).items()}, LEARNING)

    def numpy_side(lanes: int, learns: bool) -> int:
        num_steps = 0
        for _ in range(max(1, 1920 // lanes)):
            seeds = rng.integers(0, 2**32, (2, lanes), np.uint32)
            drawn = draw_tasks(SHAPE, WORLD, rng, lanes // each, each)
            rolled = rollouts(SHAPE, WORLD, drawn, seeds, learner.weights, LEARNING.temperature)
            if learns:
                learner.update(rolled)
            num_steps += rolled.num_steps
        return num_steps

    loop = new_loop()
    loop.update(4, 4)
    found = rounds(
        {
            "jax": lambda: run("jax"),
            "numpy_480": lambda: numpy_side(480, True),
            "numpy_1920": lambda: numpy_side(1920, True),
            "numpy_7680": lambda: numpy_side(7680, True),
            "loop": lambda: loop.update(4, 4),
            "jax_again": lambda: run("jax"),
            "jax_sees_keys": lambda: run("jax_sees_keys"),
            "jax_environment": lambda: run("jax_environment"),
            "jax_environment_coin": lambda: run("jax_environment_coin"),
            "numpy_environment": lambda: numpy_side(1920, False),
            "loop_without_policy": lambda: loop.update(4, 4, asks=False),
        },
        num_rounds,
        time.process_time,
    )
    pairs = (
        ("jax", "loop"),
        ("jax", "numpy_480"),
        ("jax", "numpy_1920"),
        ("jax", "numpy_7680"),
        ("jax_again", "jax"),
        ("jax", "loop_without_policy"),
        ("jax_environment", "numpy_environment"),
        ("jax", "jax_sees_keys"),
    )
    return {"agreement": agreement, "compile_seconds": seconds} | compare(found, pairs)


def seeds(num_rounds: int, num_seeds: int = 128) -> dict[str, object]:
    """Throughput of many seeds, divided over the cores and vmapped on each, against one seed, on all cores."""
    import jax
    import numpy as np
    from jax_side import NETWORK, train

    from lts_jax.lab.sharding import over_points

    pairs = []
    work = {}
    for tasks, each, updates in ((4, 4, 10), (16, 4, 10)):
        one = partial(_counted, partial(train, NETWORK, updates, tasks, each))
        alone = jax.jit(one)
        keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(0), num_seeds)))
        name = f"{tasks * each}_rollouts"
        work[f"one_seed/{name}"] = lambda alone=alone, keys=keys: int(jax.block_until_ready(alone(keys[0])))
        work[f"{num_seeds}_seeds/{name}"] = lambda one=one, keys=keys: int(np.sum(over_points(one, (keys,))))
        pairs.append((f"{num_seeds}_seeds/{name}", f"one_seed/{name}"))
    # Seconds on the wall count what neighbours take away; seconds of the processor tell what two free cores would do.
    return {
        "wall": compare(rounds(work, num_rounds, time.perf_counter), tuple(pairs)),
        "per_processor_second": compare(rounds(work, num_rounds, time.process_time), tuple(pairs)),
    }


def _counted(run: Callable[..., tuple], key_data: object) -> object:
    import jax

    return run(jax.random.wrap_key_data(key_data))[1]


def gpu(num_rounds: int) -> dict[str, object]:
    """On a GPU: steps a second of one large batch, and the time of 2,048 seeds against that of one."""
    import jax
    from jax_side import NETWORK, train

    if jax.default_backend() != "gpu":
        return {"skipped": f"no GPU: jax runs on {jax.default_backend()}"}
    key = jax.random.key(0)
    work: dict[str, Callable[[], int]] = {}
    for lanes in (4096, 65536):
        program = jax.jit(partial(train, NETWORK, 4, lanes // 8, 8))
        work[f"batch_{lanes}"] = lambda program=program: int(jax.block_until_ready(program(key))[1])
    for count in (1, 2048):
        program = jax.jit(jax.vmap(partial(train, NETWORK, 4, 4, 4)))
        keys = jax.random.split(key, count)
        work[f"seeds_{count}"] = lambda program=program, keys=keys: int(jax.block_until_ready(program(keys))[1].sum())
    found = rounds(work, num_rounds, time.perf_counter)
    return {"device": str(jax.devices()[0])} | compare(found, (("seeds_2048", "seeds_1"),))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("contenders", "seeds", "gpu"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.environ["XLA_FLAGS"] = flags(given.mode)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    import jax
    import numpy as np

    from lts_jax.storage import write_json

    measured = {"contenders": contenders, "seeds": seeds, "gpu": gpu}[given.mode](given.rounds)
    about = {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "backend": jax.default_backend(),
        "cores": sorted(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "rounds": given.rounds,
    }
    out = given.out or Path(__file__).parent / "results" / f"{given.mode}.json"
    write_json(out, {"about": about} | measured)
    print(out.read_text())


if __name__ == "__main__":
    main()
