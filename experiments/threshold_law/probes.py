"""What an admission would be worth to the objective: decisions of a trained controller, each replayed the other way.

Of every rollout a few decisions are drawn at random. Each is replayed with its action turned and all random numbers
kept, so that for both actions it is known whether the entry was used, what the rollout returned, and hence how far the
group-relative advantage moves. Latent kinds of steps come from the simulator's truth.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.credit.group_relative import standard_deviation, subtract_mean
from lts_jax.credit.returns import total_reward
from lts_jax.environments.contract import ASK, Acting, Controller, Environment, Policy, Script
from lts_jax.environments.policies import of_network
from lts_jax.environments.rollout import group, rollout
from lts_jax.environments.teams.state import NOTHING, RIGHT, STALE
from lts_jax.environments.teams.task import DEAD_END, DETOUR, NEEDED, SimulatedTask
from lts_jax.models.policy_network import PolicyNetwork

KINDS = (
    "fact, right",
    "fact, stale",
    "fact, wrong",
    "detour, passed",
    "dead end, left",
    "fact, nothing found",
    "other, nothing found",
)


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How many decisions of how many rollouts are replayed, per trained controller."""

    num_tasks: int = 24
    num_rollouts: int = 5  # G, as in training: advantages are relative to it
    num_places: int = 6  # decisions of a rollout


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Probes:
    """One entry per replayed decision, [B, G, R]; whatever is not real is padding."""

    is_real: Array  # bool
    weight: Array  # f32 decisions of the rollout that this one stands for, so that long rollouts count as in the loss
    kind: Array  # i32 place in KINDS
    admit_probability: Array  # f32 of the sampling policy
    is_paid: Array  # bool, had it been admitted: used, in a rollout that returned something
    advantage_effect: Array  # f32 group-relative advantage if admitted minus if rejected
    reward_effect: Array  # f32 aggregated reward, the same
    seconds_effect: Array  # f32 runtime, the same


def probe(
    environment: Environment, policy: Policy, settings: ProbeSettings, params: Any, temperature: Array, prng_key: Array
) -> Probes:
    """Probes of one controller on fresh tasks, acting as it does in training."""
    shape, controller = environment.shape, Controller(policy, params, Acting(temperature, False))

    def one(task_key: Array) -> Probes:
        draw_key, rollout_key, place_key = jax.random.split(task_key, 3)
        task = environment.draw_task(shape, environment.params, draw_key)
        key_g = jax.random.split(rollout_key, settings.num_rollouts)
        trajectory, _, truth = group(environment, task, key_g, controller)
        draw_gx = jax.random.uniform(place_key, (settings.num_rollouts, shape.num_events))
        decided_gx = trajectory.decision_mask_gkt.reshape(settings.num_rollouts, -1)
        place_gr = jnp.argsort(jnp.where(decided_gx, draw_gx, 2.0), axis=1)[:, : settings.num_places]

        def at(array_gkt: Array) -> Array:
            """f32[G, K, T, ...] at the drawn places, [G, R, ...]."""
            flat_gx = array_gkt.reshape(settings.num_rollouts, shape.num_events, *array_gkt.shape[3:])
            return jax.vmap(lambda flat_x, place_r: flat_x[place_r])(flat_gx, place_gr)

        def turned(key: Array, place: Array, action: Array) -> tuple[Array, ...]:
            forced_x = jnp.full(shape.num_events, ASK).at[place].set(1 - action)
            forced_kt = forced_x.reshape(shape.num_teams, shape.max_steps)
            other = rollout(environment, task, key, controller, Script(forced_kt))[0]
            used = other.used_gkt.reshape(-1)[place]
            return other.reward_agg_g, other.reward_first_g, other.runtime_g, used

        over_places = jax.vmap(turned, in_axes=(None, 0, 0))
        action_gr = at(trajectory.action_gkt)
        agg_gr, first_gr, runtime_gr, used_gr = jax.vmap(over_places)(key_g, place_gr, action_gr)
        own_g = total_reward(trajectory.reward_agg_g, trajectory.reward_first_g, first_weight=1.0)
        other_gr = total_reward(agg_gr, first_gr, first_weight=1.0)
        is_in_gr = action_gr == 1
        sign_gr = jnp.where(is_in_gr, 1.0, -1.0)
        used_if_in_gr = jnp.where(is_in_gr, at(trajectory.used_gkt), used_gr)
        return_if_in_gr = jnp.where(is_in_gr, own_g[:, None], other_gr)
        probability_gr = jnp.exp(at(trajectory.behavior_log_prob_gkt))
        num_decisions_g1 = jnp.sum(decided_gx, axis=1, keepdims=True)
        return Probes(
            is_real=at(trajectory.decision_mask_gkt),
            weight=num_decisions_g1 / jnp.clip(num_decisions_g1, 1, settings.num_places) * jnp.ones(place_gr.shape),
            kind=kinds(task, at(truth.node_kt), at(truth.variant_kt)),
            admit_probability=jnp.where(is_in_gr, probability_gr, 1.0 - probability_gr),
            is_paid=used_if_in_gr & (return_if_in_gr > 0.0),
            advantage_effect=sign_gr * advantage_changes(own_g, other_gr),
            reward_effect=sign_gr * (trajectory.reward_agg_g[:, None] - agg_gr),
            seconds_effect=sign_gr * (trajectory.runtime_g[:, None] - runtime_gr),
        )

    return jax.vmap(one)(jax.random.split(prng_key, settings.num_tasks))


def advantage_changes(return_g: Array, other_gr: Array) -> Array:
    """A_g(R) - A_g(R with its own return replaced by other_gr[g, r]), f32[G, R]: how far one replay moves Eq. 7."""

    def advantage(place: Array, value: Array) -> Array:
        value_g = return_g.at[place].set(value)
        counted_g = jnp.ones_like(value_g, bool)
        return (
            subtract_mean(value_g, counted_g)
            / standard_deviation(value_g, counted_g, divisor="population", epsilon=1e-6)
        )[place]

    place_g = jnp.arange(return_g.shape[0])
    own_g = jax.vmap(advantage)(place_g, return_g)
    return own_g[:, None] - jax.vmap(jax.vmap(advantage, in_axes=(None, 0)))(place_g, other_gr)


def kinds(task: SimulatedTask, node: Array, variant: Array) -> Array:
    """Places in KINDS of steps about these nodes with these outcomes."""
    kind = task.kind_m[node]
    is_fact = kind == NEEDED
    value = jnp.where(variant == RIGHT, 0, jnp.where(variant >= STALE, 1, 2))
    elsewhere = jnp.where(kind == DETOUR, 3, jnp.where(kind == DEAD_END, 4, 6))
    return jnp.where(variant == NOTHING, jnp.where(is_fact, 5, 6), jnp.where(is_fact, value, elsewhere))


def make_probe(environment: Environment, network: PolicyNetwork, settings: ProbeSettings) -> Any:
    """The probe as a function of what differs between controllers: (params, temperature, key)."""
    return partial(probe, environment, of_network(network), settings)
