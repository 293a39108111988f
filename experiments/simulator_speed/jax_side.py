"""The contender: simulator and learner in one compiled program."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.reinforce import reinforce
from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import of_network
from lts_jax.environments.rollout import groups
from lts_jax.environments.teams.environment import TEAMS
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import Learner, update_once
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.trajectory import DecisionContext, Trajectory

SHAPE = SimulatorShape(num_teams=3, max_steps=12, num_nodes=12, num_entries=36, embedding_width=8)
WORLD = SimulatorParams(step_limit=12.0)
ENVIRONMENT = replace(TEAMS, shape=SHAPE, params=WORLD)
LEARNING = LearningSettings()
ACTING = Acting(LEARNING.temperature, False)
NETWORK = pooled(PooledSettings(embedding_width=8, hidden_width=16, sees_keys=False))
SEEING = pooled(PooledSettings(embedding_width=8, hidden_width=16, key_window=36))


def batch(
    network: PolicyNetwork, params: object, prng_key: Array, num_tasks: int, num_rollouts: int
) -> tuple[Trajectory, DecisionContext]:
    """Rollouts of fresh tasks."""
    sizes = {"num_tasks": num_tasks, "num_rollouts": num_rollouts}
    return groups(ENVIRONMENT, prng_key, Controller(of_network(network), params, ACTING), **sizes)[:2]


def train(
    network: PolicyNetwork, num_updates: int, num_tasks: int, num_rollouts: int, prng_key: Array
) -> tuple[TrainState, Array]:
    """A training run: the final state, and the real team steps of all its rollouts."""

    def iterate(state: TrainState, number: Array) -> tuple[TrainState, Array]:
        trajectory, context = batch(
            network, state.params, jax.random.fold_in(prng_key, number), num_tasks, num_rollouts
        )
        state, _, _ = update_once(Learner(network, reinforce, LEARNING), state, trajectory, context)
        return state, jnp.sum(trajectory.step_mask_gkt)

    state, steps_i = jax.lax.scan(iterate, init_state(network, LEARNING, prng_key), jnp.arange(num_updates))
    return state, jnp.sum(steps_i)


def simulate(
    network: PolicyNetwork, params: object, num_updates: int, num_tasks: int, num_rollouts: int, prng_key: Array
) -> tuple[Array, Array]:
    """The same rollouts without a learner: mean reward, and real team steps."""

    def iterate(_: None, number: Array) -> tuple[None, tuple[Array, Array]]:
        key = jax.random.fold_in(prng_key, number)
        trajectory, _ = batch(network, params, key, num_tasks, num_rollouts)
        return None, (jnp.mean(trajectory.reward_agg_g), jnp.sum(trajectory.step_mask_gkt))

    _, (reward_i, steps_i) = jax.lax.scan(iterate, None, jnp.arange(num_updates))
    return jnp.mean(reward_i), jnp.sum(steps_i)


def compiled_train(network: PolicyNetwork, num_updates: int, num_tasks: int, num_rollouts: int) -> Callable[..., tuple]:
    """`train` for one seed."""
    return jax.jit(partial(train, network, num_updates, num_tasks, num_rollouts))
