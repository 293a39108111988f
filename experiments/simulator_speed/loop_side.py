"""The loop that people write: Python steps one rollout after another and asks a jitted policy at every decision."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax_side import LEARNING, NETWORK, SHAPE, WORLD

from lts_jax.credit.reinforce import reinforce
from lts_jax.environments.randomness import seed_words
from lts_jax.environments.teams.task import draw_task
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import make_update
from lts_jax.trajectory import DecisionContext, Trajectory

_PATH = Path(__file__).parents[2] / "tests" / "reference" / "simulator_twin.py"
_SPEC = importlib.util.spec_from_file_location("simulator_twin", _PATH)
twin = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(twin)

NO_KEYS_ND = np.zeros((SHAPE.num_entries, SHAPE.embedding_width), np.float32)


@jax.jit
def _logit(params: dict[str, jax.Array], query_d: jax.Array, num_keys: jax.Array, step_3d: jax.Array) -> jax.Array:
    logits = NETWORK.decision_logits(params, query_d, NO_KEYS_ND, num_keys, step_3d)
    return logits[1] - logits[0]


_TASK = jax.jit(lambda key: draw_task(SHAPE, WORLD, key))
_UPDATE = make_update(NETWORK, reinforce, LEARNING)


@dataclass
class Loop:
    """One training run by the loop. `answer` replaces the policy where the loop alone is to be measured."""

    state: TrainState
    num_updates: int = 0

    def update(self, num_tasks: int, num_rollouts: int, *, asks: bool = True) -> int:
        """Rollouts of fresh tasks and one optimiser step; the number of team steps."""
        params, num_steps, rolled, tasks = self.state.params, 0, [], []
        for number in range(num_tasks):
            key = jax.random.fold_in(jax.random.key(self.num_updates), number)
            tasks.append(twin.TwinTask.of(_TASK(key)))
            seeds = np.asarray(jax.vmap(seed_words)(jax.random.split(key, num_rollouts))).tolist()

            def decide(query: np.ndarray, keys: list, step: np.ndarray, node: int, variant: int) -> float:
                return float(_logit(params, query, len(keys), step)) if asks else 0.0

            for seed in seeds:
                rolled.append(
                    twin.twin_rollout(SHAPE, WORLD, tasks[-1], seed, decide, temperature=LEARNING.temperature)
                )
                num_steps += len(rolled[-1].steps)
        self.state, _, _ = _UPDATE(self.state, *_stacked(tasks, rolled, num_rollouts))
        self.num_updates += 1
        return num_steps


def new_loop() -> Loop:
    """A fresh run, with the policy and the update compiled."""
    loop = Loop(init_state(NETWORK, LEARNING, jax.random.key(0)))
    loop.update(2, 2)
    return loop


def _stacked(tasks: list, rolled: list, num_rollouts: int) -> tuple[Trajectory, DecisionContext]:
    """Trajectory and context [B, G, ...] of the slow rollouts; what REINFORCE does not read is left empty."""
    B, G, K, T = len(tasks), num_rollouts, SHAPE.num_teams, SHAPE.max_steps
    action, log_prob, num_keys = (np.zeros((B * G, K, T), kind) for kind in (np.int32, np.float32, np.int32))
    is_step = np.zeros((B * G, K, T), bool)
    step = np.zeros((B * G, K, T, 3, SHAPE.embedding_width), np.float32)
    for row, rollout in enumerate(rolled):
        for (k, t), record in rollout.steps.items():
            is_step[row, k, t] = True
            action[row, k, t], log_prob[row, k, t] = record.action, record.log_prob
            num_keys[row, k, t], step[row, k, t] = record.num_keys, record.triplet
    part = lambda value: jnp.asarray(value).reshape(B, G, *np.shape(value)[1:])  # noqa: E731
    each = lambda name: part(np.array([getattr(one, name) for one in rolled], np.float32))  # noqa: E731
    none = part(np.zeros((B * G, K, T), np.float32))
    trajectory = Trajectory(
        reward_agg_g=each("reward_agg"),
        reward_first_g=each("reward_first"),
        runtime_g=each("runtime"),
        finish_seconds_gk=none[..., 0],
        action_gkt=part(action),
        behavior_log_prob_gkt=part(log_prob),
        decision_seconds_gkt=none,
        used_gkt=none > 0,
        num_other_readers_gkt=none.astype(np.int32),
        first_pull_seconds_gkt=none,
        step_seconds_gkt=none,
        step_mask_gkt=part(is_step),
        decision_mask_gkt=part(is_step),
        rollout_mask_g=part(np.ones(B * G, bool)),
    )
    key_bgnd = jnp.zeros((B, G, *NO_KEYS_ND.shape))
    query_bd = jnp.asarray(np.stack([task.query for task in tasks]))
    return trajectory, DecisionContext(query_bd, key_bgnd, part(num_keys), part(step))
