"""One update of a Qwen3 controller for test_qwen3_devices, in a process of its own with eight forced host devices.

Prints, for every way to divide the work, the loss and the gradient's norm; and what one device computes of a pass.
"""

import json
import sys
from dataclasses import replace
from functools import partial

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lts_jax.credit.schemes import scheme
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import Learner, make_update, update_once
from lts_jax.models.lora import LoraSettings, Weights
from lts_jax.models.policy_network import Frozen, PolicyNetwork
from lts_jax.models.qwen3 import init_weights
from lts_jax.models.qwen3_controller import qwen3_controller
from lts_jax.models.qwen3_mesh import device_mesh, place
from lts_jax.models.qwen3_settings import Qwen3Settings
from lts_jax.models.qwen3_soft_tokens import ControllerSettings
from lts_jax.trajectory import DecisionContext, Trajectory

QWEN3 = Qwen3Settings(
    width=32, num_layers=2, num_heads=8, num_kv_heads=4, head_width=8, mlp_width=48, vocabulary_size=24
)
LEARNING = LearningSettings(learning_rate=0.01)
WIDTH, TASKS, ROLLOUTS, TEAMS, STEPS, KEYS = 12, 8, 2, 2, 3, 5
DIVISIONS = {"data 8": ((8, 1), 0), "data 2, model 4, in two passes": ((2, 4), 4)}


def batch() -> tuple[Trajectory, DecisionContext]:
    """Eight tasks of two rollouts, any numbers."""
    rng, shape = np.random.default_rng(0), (TASKS, ROLLOUTS, TEAMS, STEPS)
    action = rng.integers(0, 2, shape).astype(np.int32)
    trajectory = Trajectory(
        reward_agg_g=rng.random(shape[:2]).astype(np.float32),
        reward_first_g=rng.random(shape[:2]).astype(np.float32),
        runtime_g=np.full(shape[:2], 50.0, np.float32),
        finish_seconds_gk=np.full(shape[:3], 40.0, np.float32),
        action_gkt=action,
        behavior_log_prob_gkt=np.full(shape, np.log(0.5), np.float32),
        decision_seconds_gkt=np.ones(shape, np.float32),
        used_gkt=(action == 1) & (rng.random(shape) < 0.5),
        num_other_readers_gkt=np.zeros(shape, np.int32),
        first_pull_seconds_gkt=np.full(shape, np.inf, np.float32),
        step_seconds_gkt=np.ones(shape, np.float32),
        step_mask_gkt=np.ones(shape, bool),
        decision_mask_gkt=np.ones(shape, bool),
        rollout_mask_g=np.ones(shape[:2], bool),
    )
    context = DecisionContext(
        query_d=rng.normal(size=(TASKS, WIDTH)).astype(np.float32),
        key_gnd=rng.normal(size=(*shape[:2], KEYS, WIDTH)).astype(np.float32),
        num_keys_gkt=rng.integers(0, KEYS + 1, shape).astype(np.int32),
        step_gktsd=rng.normal(size=(*shape, 3, WIDTH)).astype(np.float32),
    )
    return trajectory, context


def over(weights: Weights) -> PolicyNetwork:
    """The controller on a base."""
    own = ControllerSettings(answer_ids=(3, 4), embedding_width=WIDTH, key_window=KEYS)
    return qwen3_controller(own, QWEN3, LoraSettings(rank=2), Frozen(weights, "cafe" * 16))


def flop_of_a_pass(num_data: int) -> float:
    """What the compiler counts on each of `num_data` devices for an update in two passes (it counts a loop once)."""
    mesh = device_mesh(num_data, 1)
    network, settings = (
        over(place(init_weights(QWEN3, jax.random.key(0)), QWEN3, mesh)),
        replace(LEARNING, tasks_per_pass=4),
    )
    state = jax.device_put(init_state(network, settings, jax.random.key(1)), NamedSharding(mesh, PartitionSpec()))
    trajectory, context = jax.device_put(batch(), NamedSharding(mesh, PartitionSpec("data")))
    update = jax.jit(partial(update_once, Learner(network, scheme("usage_aware"), settings)))
    program = update.lower(state, trajectory, context, network.frozen_arrays).compile()
    return program.cost_analysis()["flops"]


def measured(division: tuple[int, int] | None, tasks_per_pass: int = 0) -> dict[str, object]:
    """Two updates; the loss of each, the norm of the second gradient, and how many devices hold a part of the base."""
    weights = init_weights(QWEN3, jax.random.key(0))
    mesh = None if division is None else device_mesh(*division)
    weights = weights if mesh is None else place(weights, QWEN3, mesh)
    network, settings = over(weights), replace(LEARNING, tasks_per_pass=tasks_per_pass)
    update = make_update(network, scheme("usage_aware"), settings, mesh)
    state, losses = init_state(network, settings, jax.random.key(1)), []
    for _ in range(2):
        state, metrics, _ = update(state, *batch())
        losses.append(float(metrics["learning/loss"]))
    share = weights["layers"]["gate"].sharding.shard_shape(weights["layers"]["gate"].shape)
    return {
        "losses": losses,
        "gradient_norm": float(metrics["learning/gradient_norm"]),
        "gate_share": list(share),
        "num_updates": int(state.num_updates),
    }


if __name__ == "__main__":
    found = {"one": measured(None)} | {name: measured(*division) for name, division in DIVISIONS.items()}
    flop = {num_data: flop_of_a_pass(num_data) for num_data in (1, 4)}
    json.dump({"devices": jax.device_count(), "found": found, "flop_of_a_pass": flop}, sys.stdout)
