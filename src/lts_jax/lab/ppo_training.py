"""Training by PPO as one compiled program: episodes side by side, rollouts, advantages, updates, again and again.

A run is a pytree that `advance` takes some updates further, so that it can be stored between two calls and go on with
the same bits. Arrays of a rollout have the episodes E last; states of the environment have them first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Environment, Seen
from lts_jax.environments.randomness import place_words, uniforms, words
from lts_jax.environments.stepping import act_all, begin_all, look_all, seeds_at
from lts_jax.lab.sharding import over_points
from lts_jax.learning.part_credit import PartCredit
from lts_jax.learning.ppo import PpoSettings, PpoState, Steps, init_ppo, legal_log_probs, ppo_update, taken
from lts_jax.models.actor_critic import ActorCritic
from lts_jax.models.policy_network import Params

_CHOICE = 0x7FFFFFFE  # a purpose of its own: what an action draws is not what the environment draws at that step
_INIT, _WORLD = 0, 1


@dataclass(frozen=True)
class PpoPlan:
    """What a compiled program is made for; numbers of the environment and the settings are not looked at."""

    environment: Environment
    network: ActorCritic
    settings: PpoSettings
    own_credit: "OwnCredit | None" = None  # in place of `live`, for a part of the actions with an advantage of its own


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PpoRun:
    """Everything that a run carries."""

    learner: PpoState
    world: Any  # states of E episodes
    carry: Any
    begins_e: Array  # bool: the next step is an episode's first
    seed_ew: Array  # u32[E, 2]
    time: Array  # i32[] steps done


OwnCredit = Callable[
    [Environment, ActorCritic, PpoSettings, PpoRun], tuple[PpoRun, Steps, dict[str, Array], PartCredit]
]
"""What `live` gives, and the advantage of a part of the actions."""


def begin_run(plan: PpoPlan, numbers: tuple[Any, PpoSettings], prng_key: Array) -> PpoRun:
    """A fresh run; `numbers` are the environment's and the settings' that are traced."""
    world, settings = numbers
    num_episodes = plan.settings.num_environments
    seed_ew = jax.random.bits(jax.random.fold_in(prng_key, _WORLD), (num_episodes, 2), jnp.uint32)
    return PpoRun(
        learner=init_ppo(plan.network, settings, jax.random.fold_in(prng_key, _INIT)),
        world=begin_all(replace(plan.environment, params=world), seed_ew),
        carry=plan.network.start(num_episodes),
        begins_e=jnp.ones(num_episodes, bool),
        seed_ew=seed_ew,
        time=jnp.zeros((), jnp.int32),
    )


def advance(
    plan: PpoPlan, num_updates: int, run: PpoRun, numbers: tuple[Any, PpoSettings]
) -> tuple[PpoRun, dict[str, Array]]:
    """Some updates: the run after them, and curves f32[updates]: what the loss told, and means over ended episodes."""
    world, settings = numbers
    environment = replace(plan.environment, params=world)

    def one(run: PpoRun, _: None) -> tuple[PpoRun, dict[str, Array]]:
        if plan.own_credit is None:
            run, steps, told = live(environment, plan.network, settings, run)
            own = None
        else:
            run, steps, told, own = plan.own_credit(environment, plan.network, settings, run)
        learner, learned = ppo_update(plan.network, settings, run.learner, steps, own=own)
        return replace(run, learner=learner), told | learned

    return jax.lax.scan(one, run, None, length=num_updates)


def train_seeds(
    plan: PpoPlan, num_updates: int, numbers: tuple[Any, PpoSettings], key_s: Array, *, is_strict: bool = False
) -> tuple[PpoRun, dict[str, Array]]:
    """Whole trainings of several seeds in one program: runs and curves with the seeds S first.

    With `is_strict` one after another, and a seed has the same bits whatever other seeds are there; otherwise side by
    side, which is faster and equal to rounding (`lab.sharding.over_points`).
    """
    number_s = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(key_s), *jnp.shape(leaf))), numbers)
    return over_points(_whole(plan, num_updates), (number_s, key_s), is_strict=is_strict)


@lru_cache(maxsize=16)
def _whole(plan: PpoPlan, num_updates: int) -> Callable[..., Any]:
    """One object for equal plans, so that its program is shared."""
    return lambda numbers, prng_key: advance(plan, num_updates, begin_run(plan, numbers, prng_key), numbers)


def live(
    environment: Environment, network: ActorCritic, settings: PpoSettings, run: PpoRun
) -> tuple[PpoRun, Steps, dict[str, Array]]:
    """T steps of all episodes by the run's policy: the run after them, the steps, and what episodes came to."""
    start, params = run.carry, run.learner.params

    def step(run: PpoRun, _: None) -> tuple[PpoRun, Any]:
        seen, seed_ew = look_all(environment, run.world), seeds_at(run.seed_ew, run.time)
        carry, action_ie, kept = choose(network, params, (run.carry, run.begins_e), seen, seed_ew)
        world, outcome = act_all(environment, run.world, action_ie.T, seed_ew)
        kept |= {
            "reward_tie": outcome.reward_i.T,
            "done_tie": outcome.done_i.T,
            "truncated_te": outcome.is_truncated,
        }
        ended = {name: jnp.sum(jnp.where(outcome.is_over, value, 0.0)) for name, value in outcome.measures.items()}
        ended["num_episodes"] = jnp.sum(outcome.is_over, dtype=jnp.float32)
        run = replace(run, world=world, carry=carry, begins_e=outcome.is_over, time=run.time + 1)
        return run, (kept, ended)

    run, (kept, ended) = jax.lax.scan(step, run, None, length=settings.rollout_steps)
    remembered = (run.carry, run.begins_e)
    _, _, after = choose(network, params, remembered, look_all(environment, run.world), run.seed_ew)
    told = {name: jnp.sum(value) for name, value in ended.items()}
    number = jnp.maximum(told["num_episodes"], 1.0)
    told = {name: value if name == "num_episodes" else value / number for name, value in told.items()}
    told["reward"] = jnp.sum(kept["reward_tie"]) / jnp.maximum(jnp.sum(kept["active_tie"]), 1)
    return run, Steps(carry=start, last_value_ie=after["value_tie"], **kept), told


def choose(
    network: ActorCritic, params: Params, remembered: tuple[Any, Array], seen: Seen, seed_ew: Array
) -> tuple[Any, Array, dict[str, Array]]:
    """(carry, action i32[I, E], the step's arrays without T) by chance, as the policy says.

    `remembered` is the carry, and whose episode begins, bool[E].
    """
    carry, begins_e = remembered
    observation_ieo = jnp.swapaxes(seen.observation_io, 0, 1)
    active_ie, legal_aie = seen.active_i.T, jnp.transpose(seen.legal_ia, (2, 1, 0))
    carry, logit_aie, value_ie = network.step(params, carry, observation_ieo, begins_e, active_ie)
    log_prob_aie = legal_log_probs(logit_aie, legal_aie, axis=0)
    uniform_ie = _uniform(seed_ew, active_ie.shape[0])
    action_ie = drawn(log_prob_aie, uniform_ie)
    kept = {
        "observation_tieo": observation_ieo,
        "begins_te": begins_e,
        "active_tie": active_ie,
        "legal_taie": legal_aie,
        "action_tie": action_ie,
        "log_prob_tie": taken(log_prob_aie[None], action_ie[None])[0],
        "value_tie": value_ie,
    }
    return carry, action_ie, kept


def drawn(log_prob_aie: Array, uniform_ie: Array) -> Array:
    """i32[I, E]: the first action at which the running sum of probabilities exceeds a uniform number."""
    below_aie = jnp.cumsum(jnp.exp(log_prob_aie), axis=0)[:-1]
    return jnp.sum(uniform_ie >= below_aie, axis=0, dtype=jnp.int32)


def _uniform(seed_ew: Array, num_agents: int) -> Array:
    """f32[I, E]."""

    def one(seed_w: Array) -> Array:
        return uniforms(words(place_words(seed_w, jnp.asarray(_CHOICE)), num_agents))

    return jax.vmap(one, out_axes=1)(seed_ew)


@partial(jax.jit, static_argnums=(0, 1, 2))
def play(
    environment: Environment, network: ActorCritic, num_steps: int, world: Any, params: Params, seed_ew: Array
) -> tuple[dict[str, Array], Any]:
    """One episode from each of E seeds by a policy, as it was trained: measures f32[E], and the states [T + 1, E, ...].

    `num_steps` is the longest episode's; one that is over stays as it is.
    """
    environment = replace(environment, params=world)
    num_episodes, begun = seed_ew.shape[0], begin_all(environment, seed_ew)
    act = jax.vmap(partial(environment.act, environment.shape, environment.params))

    def step(now: tuple[Any, ...], time: Array) -> tuple[tuple[Any, ...], Any]:
        state, carry, begins_e, over_e, measures = now
        seed_tew = seeds_at(seed_ew, time)
        seen = look_all(environment, state)
        carry, action_ie, _ = choose(network, params, (carry, begins_e), seen, seed_tew)
        after, outcome = act(state, action_ie.T, seed_tew)
        measures = {name: jnp.where(over_e, measures[name], value) for name, value in outcome.measures.items()}
        after = jax.tree.map(partial(_unless, over_e), state, after)
        return (after, carry, jnp.zeros_like(begins_e), over_e | outcome.is_over, measures), after

    action_ei = jnp.zeros((num_episodes, environment.shape.num_agents), jnp.int32)
    names = jax.eval_shape(act, begun, action_ei, seed_ew)[1].measures
    nothing = {name: jnp.zeros(num_episodes) for name in names}
    over_e = jnp.zeros(num_episodes, bool)
    start = (begun, network.start(num_episodes), ~over_e, over_e, nothing)
    (*_, measures), states = jax.lax.scan(step, start, jnp.arange(num_steps))
    return measures, jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), begun, states)


def _unless(over_e: Array, old: Array, new: Array) -> Array:
    return jnp.where(over_e.reshape(-1, *[1] * (old.ndim - 1)), old, new)
