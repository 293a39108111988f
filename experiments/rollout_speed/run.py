"""How fast simulated rollouts are collected: rules, the learned controller, and a controller called once per decision.

Run on one core: `taskset -c 0 python experiments/rollout_speed/run.py`. Rounds are interleaved; CPU seconds are of this
process, wall seconds of the clock. Ratios are medians over rounds; compare them, not the absolute figures.

With `--against /path/to/other/src` two source trees are compared instead, by the same seeds, their rollouts bit by bit.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
from trees import compare_trees, open_tree

import lts_jax
from lts_jax.admission.rules import admit_all, admit_none, admit_random
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.storage import write_json
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.world import almanac_tasks

RESULTS = Path(__file__).parent / "results" / "rollout_speed.json"
TREES = RESULTS.with_name("trees.json")


UNITS = ("steps", "steps_per_cpu_second", "steps_per_wall_second")


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy, and how many rollouts run side by side."""

    name: str
    policy: object
    num_in_flight: int


def contenders(settings: TrainSettings) -> list[Contender]:
    """Rules, the batched controller, and the same network asked one decision at a time by one rollout at a time."""
    network = make_parts(settings).network
    params = network.init(jax.random.key(0))
    batched = BatchedDecider(network, params, make_encoder(settings.encoder), DeciderSettings())
    single = BatchedDecider(
        network,
        params,
        make_encoder(settings.encoder),
        DeciderSettings(batch_size=1, key_buckets=(network.key_window,)),
    )
    return [
        Contender("none", admit_none(), 64),
        Contender("all", admit_all(), 64),
        Contender("random", admit_random(0.5), 64),
        Contender("learned_batched", LearnedPolicy(batched, "batched"), 64),
        Contender("learned_one_by_one", LearnedPolicy(single, "one by one"), 1),
    ]


def measure(contender: Contender, settings: TrainSettings, num_tasks: int, seed: int) -> dict[str, float | str]:
    """Steps per CPU second and per wall second of one collection, and a digest of every bit of its rollouts."""
    tasks = almanac_tasks(0, "train", num_tasks)
    arm = make_arm(contender.name, settings, contender.policy)
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    groups = collect_groups(
        tasks,
        arm.parts,
        arm.rollout,
        CollectSettings(5, contender.num_in_flight),
        Iteration(seed, 0, arm.counter),
    )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    num_steps = sum(len(rollout.steps) for group in groups for rollout in group.rollouts)
    return {
        "steps": num_steps,
        "steps_per_cpu_second": num_steps / cpu,
        "steps_per_wall_second": num_steps / wall,
        "digest": blake2b(repr(groups).encode(), digest_size=16).hexdigest(),
    }


def serve() -> None:
    """Answer requests on standard input, one JSON line each, until it closes."""
    settings = TrainSettings()
    known = {one.name: one for one in contenders(settings)}
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(measure(known[asked["name"]], settings, asked["tasks"], asked["seed"])), flush=True)


def compare_with(other: Path, num_rounds: int, num_tasks: int) -> None:
    """This package against the one in another folder; prints and stores steps per CPU second, ratios, equality."""
    here = Path(lts_jax.__file__).parents[1]
    names = ["none", "all", "random", "learned_batched"]
    found = compare_trees(open_tree(here), open_tree(other), names, num_rounds, num_tasks)
    for name, each in found.items():
        same = "equal rollouts" if each["equal_rollouts"] else "DIFFERENT rollouts"
        print(f"{name:20} {each['here']:8.0f} against {each['there']:8.0f}: {each['ratio']:.2f} times, {same}")
    write_json(TREES, {"rounds": num_rounds, "tasks": num_tasks, "steps_per_cpu_second": found})


def main() -> None:
    """Warm up, then interleaved rounds; prints and stores medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=14)
    parser.add_argument("--against", type=Path, help="a folder src of another commit: compare two source trees")
    parser.add_argument("--serve", action="store_true", help="internal: answer another process that compares")
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    if arguments.against is not None:
        return compare_with(arguments.against, arguments.rounds, arguments.tasks)
    settings = TrainSettings()
    all_contenders = contenders(settings)
    for contender in all_contenders:
        measure(contender, settings, 4, seed=99)
    rounds = []
    for number in range(arguments.rounds):
        rounds.append({one.name: measure(one, settings, arguments.tasks, seed=number) for one in all_contenders})
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    medians = {
        one.name: {unit: statistics.median(each[one.name][unit] for each in rounds) for unit in UNITS}
        for one in all_contenders
    }
    ratio = statistics.median(
        each["learned_batched"]["steps_per_cpu_second"] / each["learned_one_by_one"]["steps_per_cpu_second"]
        for each in rounds
    )
    for name, values in medians.items():
        print(f"{name:20} {values['steps_per_cpu_second']:8.0f} steps per CPU second")
    print(f"batched / one by one: {ratio:.2f}")
    write_json(RESULTS, {"rounds": arguments.rounds, "medians": medians, "batched_over_one_by_one": ratio})


if __name__ == "__main__":
    main()
