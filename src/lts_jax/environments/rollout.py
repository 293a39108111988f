"""Whole rollouts of any environment: the loop over events, groups of one task, batches of tasks."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.contract import Controller, Environment, Rollouts, Script
from lts_jax.environments.lanes import lanes_last
from lts_jax.environments.once import any_at_all


def rollout(
    environment: Environment, task: Any, prng_key: Array, controller: Controller, script: Script | None = None
) -> Rollouts:
    """One rollout. Arrays of the result lack the axis G; `group` adds it.

    Args:
        environment: its params may be traced.
        task: as drawn by `environment.draw_task`.
        prng_key: typed key of this rollout, from which all its draws are made.
        controller: decides.
        script: what a replay prescribes, for an environment that follows scripts.
    """
    params, task, controller, script = jax.tree.map(jnp.asarray, (environment.params, task, controller, script))
    scene, start = environment.begin(environment.shape, params, task, prng_key, script)
    state, event_e = lanes_last(partial(_events, environment), apart=2)(scene, start, controller)
    return environment.gather(scene, state, event_e)


Carry = tuple[Array, Any, Any]


def _events(environment: Environment, scene: Any, start: Any, controller: Controller) -> tuple[Any, Any]:
    """The state at the end and all event records [E, ...]; after the last one there is padding.

    The loop ends with the last event of the longest rollout of the batch.
    """
    num_events = environment.shape.num_teams * environment.shape.max_steps

    def next_event(state: Any, event: Array) -> tuple[Any, Any]:
        return environment.step(scene, state, controller, event)

    def body(carry: Carry) -> Carry:
        event, state, event_e = carry
        state, new = next_event(state, event)
        put = partial(jax.lax.dynamic_update_index_in_dim, index=event, axis=0)
        return event + 1, state, jax.tree.map(put, event_e, new)

    def goes_on(carry: Carry) -> Array:
        return (carry[0] < num_events) & any_at_all(environment.is_running(scene, carry[1]))

    one = jax.eval_shape(next_event, start, jnp.zeros((), jnp.int32))[1]
    empty_e = jax.tree.map(lambda leaf: jnp.zeros((num_events, *leaf.shape), leaf.dtype), one)
    empty_e = replace(empty_e, place=jnp.full_like(empty_e.place, num_events))
    _, state, event_e = jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), start, empty_e))
    return state, event_e


def group(environment: Environment, task: Any, prng_key_g: Array, controller: Controller) -> Rollouts:
    """G rollouts of one task, one key each: arrays [G, ...], the context's query without G."""
    run = partial(rollout, environment, task, controller=controller)
    trajectory, context, truth = jax.vmap(run)(prng_key_g)
    return trajectory, replace(context, query_d=context.query_d[0]), truth


def fresh_group(environment: Environment, prng_key: Array, controller: Controller, num_rollouts: int) -> Rollouts:
    """G rollouts of a fresh task, all drawn from one key."""
    task, key_g = draw_group(environment, prng_key, num_rollouts)
    return group(environment, task, key_g, controller)


def draw_group(environment: Environment, prng_key: Array, num_rollouts: int) -> tuple[Any, Array]:
    """A fresh task, and the keys [G] of its rollouts."""
    task_key, rollout_key = jax.random.split(prng_key)
    task = environment.draw_task(environment.shape, environment.params, task_key)
    return task, jax.random.split(rollout_key, num_rollouts)


def groups(
    environment: Environment, prng_key: Array, controller: Controller, *, num_tasks: int, num_rollouts: int
) -> Rollouts:
    """B fresh tasks, G rollouts each: arrays [B, G, ...], all drawn from `prng_key`."""
    one = partial(fresh_group, environment, controller=controller, num_rollouts=num_rollouts)
    return jax.vmap(one)(jax.random.split(prng_key, num_tasks))


def lone_rollouts(environment: Environment, prng_key: Array, controller: Controller, num_tasks: int) -> Rollouts:
    """B fresh tasks, one rollout each: arrays [B, 1, ...], what policies are measured on."""

    def one(key: Array) -> Rollouts:
        task_key, rollout_key = jax.random.split(key)
        task = environment.draw_task(environment.shape, environment.params, task_key)
        return group(environment, task, rollout_key[None], controller)

    return jax.vmap(one)(jax.random.split(prng_key, num_tasks))


def events_at(index_e: Array, num_places: int) -> Array:
    """i32[num_places] the event at each place; E where none is. Events without a place name one past the last."""
    number_e = jnp.arange(index_e.shape[0])
    return jnp.full(num_places, index_e.shape[0]).at[index_e].set(number_e, mode="drop")


def values_at(value_e: Array, event_x: Array, padding: float) -> Array:
    """Values of events [E, ...] at places [X, ...]; places that no event has get `padding`."""
    return jnp.take(value_e, event_x, axis=0, mode="fill", fill_value=padding)
