"""A whole training run as one pure function: rollouts, credit, update and evaluation, to be compiled once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.contract import CreditFn
from lts_jax.environments.teams.environment import Acting, Policy
from lts_jax.environments.teams.policies import constant, constant_logit, of_network
from lts_jax.environments.teams.replays import Original, ReplaySettings, with_replays
from lts_jax.environments.teams.rollout import Rollouts, group
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.task import draw_task
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import Learner, Metrics, update_once
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.trajectory import DecisionContext, Trajectory

_INIT, _TRAIN, _EVALUATE = 0, 1, 2  # purposes folded into a run's key
CURVES = (
    "learning/loss",
    "learning/gradient_norm",
    "learning/admit_probability",
    "credit/std",
    "credit/return_mean",
    "memory/admission_fraction",
    "memory/used_fraction",
)


@dataclass(frozen=True)
class Plan:
    """What a compiled program is made for; everything else is traced."""

    shape: SimulatorShape
    network: PolicyNetwork
    make_credit: Callable[[LearningSettings], CreditFn]
    needs: frozenset[str]  # of `flipped`, `coalitions`, `regrouped`
    replays: ReplaySettings
    num_iterations: int
    tasks_per_update: int
    num_rollouts: int
    num_evaluation_tasks: int


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Result:
    """What a run came to. Under vmap every array has the sweep axis S in front."""

    measures: dict[str, Array]  # f32[] each
    curves: dict[str, Array]  # f32[I] each
    params: Params


def train_and_evaluate(plan: Plan, world: SimulatorParams, learning: LearningSettings, prng_key: Array) -> Result:
    """Train `num_iterations` updates on fresh tasks, then act greedily on evaluation tasks that the key alone fixes."""
    state, curves = train(plan, world, learning, prng_key)
    return Result(evaluate(plan, world, learning, state.params, prng_key), curves, state.params)


def train(
    plan: Plan, world: SimulatorParams, learning: LearningSettings, prng_key: Array
) -> tuple[TrainState, dict[str, Array]]:
    """The training loop as a scan: the final state, and the curves of `CURVES` f32[I]."""
    state = init_state(plan.network, learning, jax.random.fold_in(prng_key, _INIT))
    train_key = jax.random.fold_in(prng_key, _TRAIN)
    learner = Learner(plan.network, plan.make_credit(learning), learning)
    acting = Acting(learning.temperature, False)

    def iterate(state: TrainState, iteration: Array) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(train_key, iteration)
        trajectory, context = training_batch(plan, world, key, state.params, acting)
        state, metrics, _ = update_once(learner, state, trajectory, context)
        return state, {name: metrics[name] for name in CURVES}

    return jax.lax.scan(iterate, state, jnp.arange(plan.num_iterations))


def training_batch(
    plan: Plan, world: SimulatorParams, prng_key: Array, params: Params, acting: Acting
) -> tuple[Trajectory, DecisionContext]:
    """B fresh tasks with G rollouts each, and the replays that the credit scheme needs."""
    policy = of_network(plan.network)

    def one(key: Array) -> tuple[Trajectory, DecisionContext]:
        task_key, rollout_key = jax.random.split(key)
        task = draw_task(plan.shape, world, task_key)
        key_g = jax.random.split(rollout_key, plan.num_rollouts)
        trajectory, context, truth = group(plan.shape, world, task, key_g, policy, params, acting)
        original = Original(plan.shape, world, task, key_g, policy, params, acting, trajectory, truth)
        return with_replays(original, plan.replays, plan.needs), context

    return jax.vmap(one)(jax.random.split(prng_key, plan.tasks_per_update))


def evaluate(
    plan: Plan, world: SimulatorParams, learning: LearningSettings, params: Params, prng_key: Array
) -> dict[str, Array]:
    """Measures of the greedy controller, beside no memory, all, and a coin that admits as often, on the same tasks."""
    key = jax.random.fold_in(prng_key, _EVALUATE)
    greedy = Acting(learning.temperature, True)
    rolled = partial(_evaluation_rollouts, plan, key)
    learned = measures(rolled(world, of_network(plan.network), params, greedy)[0])
    rate = jnp.clip(learned["admission_fraction"], 1e-6, 1.0 - 1e-6)
    # One compiled loop for all policies that look at nothing: no memory, everything, a coin.
    logit_p = jnp.stack([constant_logit(0.0), constant_logit(1.0), jnp.log(rate) - jnp.log1p(-rate)])
    has_memory_p = world.has_memory * jnp.asarray([0.0, 1.0, 1.0])

    def blind(logit: Array, has_memory: Array) -> dict[str, Array]:
        arm: Any = replace(world, has_memory=has_memory)  # type: ignore[arg-type]
        return measures(rolled(arm, constant, logit, Acting(1.0, False))[0])

    measured_p = jax.vmap(blind)(logit_p, has_memory_p)
    compared = {
        f"{name}_{arm}": measured_p[name][place]
        for place, arm in enumerate(("none", "all", "random_matched"))
        for name in ("reward", "runtime_seconds")
    }
    saved = 100.0 * (1.0 - learned["runtime_seconds"] / compared["runtime_seconds_none"])
    return learned | {"saved_percent": saved} | compared


def measures(trajectory: Trajectory) -> dict[str, Array]:
    """Means over rollouts [..., G]: what a table of results says of a policy."""
    admitted = trajectory.decision_mask_gkt & (trajectory.action_gkt == 1)
    num_admitted = jnp.maximum(jnp.sum(admitted), 1)
    return {
        "reward": jnp.mean(trajectory.reward_agg_g),
        "reward_first": jnp.mean(trajectory.reward_first_g),
        "runtime_seconds": jnp.mean(trajectory.runtime_g),
        "steps_per_team": jnp.sum(trajectory.step_mask_gkt) / trajectory.finish_seconds_gk.size,
        "admission_fraction": jnp.sum(admitted) / jnp.maximum(jnp.sum(trajectory.decision_mask_gkt), 1),
        "read_rate": jnp.sum(trajectory.used_gkt) / num_admitted,
        "reach": jnp.sum(trajectory.num_other_readers_gkt) / num_admitted,
    }


def _evaluation_rollouts(
    plan: Plan, prng_key: Array, world: SimulatorParams, policy: Policy, policy_params: object, acting: Acting
) -> Rollouts:
    def one(key: Array) -> Rollouts:
        task_key, rollout_key = jax.random.split(key)
        task = draw_task(plan.shape, world, task_key)
        return group(plan.shape, world, task, rollout_key[None], policy, policy_params, acting)

    return jax.vmap(one)(jax.random.split(prng_key, plan.num_evaluation_tasks))
