"""What rollouts with their axis last are worth: the same programs with and without, in turn, in one process.

    python experiments/simulator_speed/lanes.py            # three minutes on one quiet core

Seconds of the processor, one thread, medians of paired ratios. Below 1.3 in what rolls out by the hundred, the layout
is not worth its interpreter (`environments/lanes.py`).
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
from jax_side import NETWORK, SEEING, batch

from lts_jax.environments import rollout
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import constant, constant_logit, of_network
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.lab.settings import LabSettings, network_of

LAYOUTS: dict[str, Callable[..., Any]] = {"lanes": rollout.lanes_last, "plain": lambda function, apart: function}


def programs() -> dict[str, Callable[[jax.Array], Any]]:
    """What is timed: rollouts of this study, then of the default shape under a coin and under the lab's network."""
    own = network_of(LabSettings())
    coin = Controller(constant, constant_logit(0.5), Acting(1.0))
    learned = Controller(of_network(own), own.init(jax.random.key(1)), Acting(1.2))
    small = partial(batch, NETWORK, NETWORK.init(jax.random.key(1)), num_tasks=96, num_rollouts=5)
    seeing = partial(batch, SEEING, SEEING.init(jax.random.key(1)), num_tasks=96, num_rollouts=5)
    return {
        "480 rollouts of 12 steps": small,
        "480 rollouts of 12 steps, a network that sees keys": seeing,
        "960 rollouts of default size, a coin": lambda key: rollout.groups(
            TEAMS, key, coin, num_tasks=192, num_rollouts=5
        ),
        "40 rollouts of default size, the lab's network": lambda key: rollout.groups(
            TEAMS, key, learned, num_tasks=8, num_rollouts=5
        ),
    }


def compiled(program: Callable[[jax.Array], Any], layout: str) -> Any:
    """The program with rollouts in this layout."""
    rollout.lanes_last = LAYOUTS[layout]
    return (
        jax.jit(lambda key: program(prng_key=key) if isinstance(program, partial) else program(key))
        .lower(jax.random.key(0))
        .compile()
    )


def seconds(program: Any, repeats: int) -> float:
    """Of the processor, for so many runs."""
    begun = time.process_time()
    for _ in range(repeats):
        jax.block_until_ready(program(jax.random.key(0)))
    return time.process_time() - begun


def main(rounds: int) -> None:
    """Time each program in both layouts, in turn."""
    for name, program in programs().items():
        both = {layout: compiled(program, layout) for layout in LAYOUTS}
        repeats = max(1, int(1.0 / max(seconds(both["lanes"], 1), 1e-4)))
        pairs = [(seconds(both["plain"], repeats), seconds(both["lanes"], repeats)) for _ in range(rounds)]
        ratios = [plain / lanes for plain, lanes in pairs]
        print(f"{name}: plain / lanes {median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements a program")
    main(parser.parse_args().rounds)
