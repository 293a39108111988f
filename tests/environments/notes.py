"""A second environment: teams take turns and find notes, good or bad; the bank is worth its good notes less its bad."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Controller, Environment, Observation
from lts_jax.environments.policies import choose_action
from lts_jax.environments.rollout import events_at, values_at
from lts_jax.errors import UserError
from lts_jax.trajectory import DecisionContext, Trajectory


@dataclass(frozen=True)
class Sizes:
    num_teams: int = 2
    max_steps: int = 4
    num_entries: int = 8
    embedding_width: int = 4


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbers:
    has_memory: float = 1.0
    good_probability: float = 0.5
    step_seconds: float = 10.0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Event:
    place: Array
    action: Array
    log_prob: Array
    num_keys: Array
    is_decided: Array
    is_good: Array
    step_3d: Array


State = dict[str, Array]


def check(params: Numbers, shape: Sizes) -> None:
    if not 0 <= params.good_probability <= 1:
        raise UserError(f"world.good_probability: expected from 0 to 1, got {params.good_probability:g}")


def begin(shape: Sizes, params: Numbers, task: Array, prng_key: Array, script: None) -> tuple[Any, State]:
    is_good_x = jax.random.uniform(prng_key, (shape.num_teams * shape.max_steps,)) < params.good_probability
    key_nd = jnp.zeros((shape.num_entries, shape.embedding_width))
    zero = jnp.zeros((), jnp.int32)
    return (params, task, prng_key, is_good_x), {"done": zero, "kept": zero, "worth": zero, "key_nd": key_nd}


def is_running(scene: Any, state: State) -> Array:
    return state["done"] < scene[3].shape[0]


def step(shape: Sizes, scene: Any, state: State, controller: Controller, event: Array) -> tuple[State, Event]:
    (params, query_d, prng_key, is_good_x), is_on = scene, is_running(scene, state)
    place = state["done"] % shape.num_teams * shape.max_steps + state["done"] // shape.num_teams
    is_good = is_good_x[place]
    shown_d = jnp.array([jnp.where(is_good, 0.6, -0.6), 0.8, 0.0, 0.0])
    step_3d = jnp.broadcast_to(shown_d, (3, 4))
    logit_a = controller.policy(controller.params, Observation(query_d, state["key_nd"], state["kept"], step_3d))
    draw = jax.random.uniform(jax.random.fold_in(prng_key, place))
    logit = (logit_a[1] - logit_a[0]) / controller.acting.temperature
    action, log_prob = choose_action(logit, draw, controller.acting)
    is_decided = is_on & (params.has_memory > 0)
    action = jnp.where(is_decided, action, 0)
    here_n = (jnp.arange(shape.num_entries) == state["kept"]) & (action == 1)
    record = Event(
        jnp.where(is_on, place, is_good_x.shape[0]), action, log_prob, state["kept"], is_decided, is_good, step_3d
    )
    return {
        "done": state["done"] + is_on,
        "kept": state["kept"] + action,
        "worth": state["worth"] + action * jnp.where(is_good, 1, -1),
        "key_nd": jnp.where(here_n[:, None], shown_d, state["key_nd"]),
    }, record


def gather(shape: Sizes, scene: Any, state: State, event_e: Event) -> tuple[Trajectory, DecisionContext, Any]:
    event_x = events_at(event_e.place, shape.num_teams * shape.max_steps)

    def at_place(value_e: Array, padding: float) -> Array:
        return values_at(value_e, event_x, padding).reshape(shape.num_teams, shape.max_steps, *value_e.shape[1:])

    decided, action = at_place(event_e.is_decided, False), at_place(event_e.action, 0)
    seconds = scene[0].step_seconds * (1.0 + jnp.arange(shape.max_steps)) * jnp.ones((shape.num_teams, 1))
    used, worth = (action == 1) & at_place(event_e.is_good, False), state["worth"] / event_x.shape[0]
    trajectory = Trajectory(
        reward_agg_g=worth,
        reward_first_g=worth,
        runtime_g=seconds[0, -1],
        finish_seconds_gk=seconds[:, -1],
        action_gkt=action,
        behavior_log_prob_gkt=jnp.where(decided, at_place(event_e.log_prob, 0.0), 0.0),
        decision_seconds_gkt=jnp.where(decided, seconds, jnp.inf),
        used_gkt=used,
        num_other_readers_gkt=used.astype(jnp.int32),
        first_pull_seconds_gkt=jnp.where(used, seconds, jnp.inf),
        step_seconds_gkt=jnp.full(decided.shape, scene[0].step_seconds),
        step_mask_gkt=jnp.ones(decided.shape, bool),
        decision_mask_gkt=decided,
        rollout_mask_g=jnp.asarray(True),
    )
    num_keys, step_3d = at_place(event_e.num_keys, 0), at_place(event_e.step_3d, 0.0)
    return trajectory, DecisionContext(scene[1], state["key_nd"], num_keys, step_3d), None


def notes(num_teams: int = 2) -> Environment:
    """The environment for so many teams."""
    shape = Sizes(num_teams=num_teams, num_entries=4 * num_teams)
    return Environment(
        name="notes",
        shape=shape,
        params=Numbers(),
        check=check,
        draw_task=lambda shape, params, key: jax.random.normal(key, (shape.embedding_width,)),
        begin=begin,
        is_running=is_running,
        step=partial(step, shape),
        gather=partial(gather, shape),
    )


NOTES = notes()
