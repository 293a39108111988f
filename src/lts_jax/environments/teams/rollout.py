"""Whole rollouts: a loop over events, gathered into the `Trajectory` that the text side collates, and the truth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.teams.answers import answers
from lts_jax.environments.teams.environment import Acting, Fork, Policy, begin, is_running, make_scene, step
from lts_jax.environments.teams.lanes import any_at_all, vmapped_last
from lts_jax.environments.teams.randomness import seed_words
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.state import NOTHING, Event, State
from lts_jax.environments.teams.task import NEEDED, SimulatedTask, draw_task
from lts_jax.trajectory import DecisionContext, Trajectory


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Truth:
    """What no controller and no credit scheme sees. One rollout; groups put G in front."""

    node_kt: Array  # i32[K, T] node that the step's output is about
    variant_kt: Array  # i32[K, T] what a reader would take over: 0 right, above 0 some mistake, -1 nothing
    entry_kt: Array  # i32[K, T] number in the bank; N where nothing was admitted
    event_kt: Array  # i32[K, T] number of the event that finished the step
    score_k: Array  # f32[K] of each team's answer
    is_right_k: Array  # bool[K]
    has_answer_k: Array  # bool[K]
    answer_k: Array  # i32[K] which answer: equal where two teams say the same; anything without one
    held_km: Array  # i32[K, M] values of needed facts at the end, as in `variant_kt`; -1 where a team has none
    num_readers_kt: Array  # i32[K, T]


def rollout(
    shape: SimulatorShape,
    params: SimulatorParams,
    task: SimulatedTask,
    prng_key: Array,
    policy: Policy,
    policy_params: Any,
    acting: Acting,
    forced_kt: Array | None = None,
    fork: Fork | None = None,
) -> tuple[Trajectory, DecisionContext, Truth]:
    """One rollout. Arrays of the result lack the axis G; `group` adds it.

    Args:
        shape: sizes; static.
        params: numbers of the process.
        task: as drawn by `draw_task`.
        prng_key: typed key of this rollout; all its draws are made from it and from coordinates.
        policy: (policy_params, observation) -> logits.
        policy_params: whatever the policy takes.
        acting: how logits become actions.
        forced_kt: i32[K, T] actions that are not the policy's, ASK (-1) elsewhere.
        fork: draw other numbers from a decision on.
    """
    seed_w = seed_words(prng_key)
    parts = jax.tree.map(jnp.asarray, (params, task, seed_w, policy_params, acting, forced_kt, fork))
    state, event_e = vmapped_last(partial(_events, shape, policy), apart=3)(*parts)
    scene, number_e = make_scene(shape, params, task, seed_w), jnp.arange(shape.num_events)
    end = answers(scene, state, seed_w if fork is None else fork.seed_w)
    event_x = _inverse(event_e.place, shape.num_events)
    at_place = partial(_at_place, shape, event_x)
    event_n = _inverse(event_e.entry, shape.num_entries)
    reader_bits_nw = jnp.concatenate([state.reader_bits_nw, jnp.zeros_like(state.reader_bits_nw[:1])])
    num_readers_n = jnp.sum(jax.lax.population_count(reader_bits_nw), axis=1).astype(jnp.int32)
    first_pull_n = jnp.concatenate([state.first_pull_seconds_n, jnp.full(1, jnp.inf)])
    entry_kt = at_place(event_e.entry, shape.num_entries)
    num_readers_kt = num_readers_n[entry_kt]
    trajectory = Trajectory(
        reward_agg_g=end.reward_agg,
        reward_first_g=end.reward_first,
        runtime_g=end.runtime,
        finish_seconds_gk=state.finish_seconds_k,
        action_gkt=at_place(event_e.action, 0),
        behavior_log_prob_gkt=at_place(event_e.log_prob, 0.0),
        decision_seconds_gkt=at_place(event_e.decision_seconds, jnp.inf),
        used_gkt=num_readers_kt > 0,
        num_other_readers_gkt=num_readers_kt,
        first_pull_seconds_gkt=first_pull_n[entry_kt],
        step_seconds_gkt=at_place(event_e.step_seconds, 0.0),
        step_mask_gkt=at_place(event_e.place < shape.num_events, False),
        decision_mask_gkt=at_place(event_e.is_decided, False),
        rollout_mask_g=jnp.any(end.has_answer_k),
    )
    context = DecisionContext(
        query_d=task.query_d,
        key_gnd=_taken(event_e.step_3d[:, 1], event_n, 0.0),
        num_keys_gkt=at_place(event_e.num_keys, 0),
        step_gktsd=at_place(event_e.step_3d, 0.0),
    )
    truth = Truth(
        node_kt=at_place(event_e.node, 0),
        variant_kt=at_place(event_e.variant, 0),
        entry_kt=entry_kt,
        event_kt=at_place(number_e, 0),
        score_k=end.score_k,
        is_right_k=end.is_right_k,
        has_answer_k=end.has_answer_k,
        answer_k=end.answer_k,
        held_km=_held(task, state),
        num_readers_kt=num_readers_kt,
    )
    return trajectory, context, truth


def _held(task: SimulatedTask, state: State) -> Array:
    node_m = jnp.arange(task.kind_m.shape[0])
    is_held_km = (task.kind_m == NEEDED) & (((state.known_bits_k[:, None] >> node_m) & 1) == 1)
    return jnp.where(is_held_km, state.variant_km, NOTHING)


def _events(
    shape: SimulatorShape,
    policy: Policy,
    params: SimulatorParams,
    task: SimulatedTask,
    seed_w: Array,
    policy_params: Any,
    acting: Acting,
    forced_kt: Array | None,
    fork: Fork | None,
) -> tuple[State, Event]:
    """The state at the end and all events [E, ...]; after the last one there is padding.

    The loop ends with the last event of the longest rollout of the batch.
    """
    scene = make_scene(shape, params, task, seed_w)
    forced_x = None if forced_kt is None else forced_kt.reshape(-1)

    def next_event(state: State, event: Array) -> tuple[State, Event]:
        return step(shape, scene, state, policy, policy_params, acting, forced_x, fork, event)

    def body(carry: Carry) -> Carry:
        event, state, event_e = carry
        state, new = next_event(state, event)
        put = partial(jax.lax.dynamic_update_index_in_dim, index=event, axis=0)
        return event + 1, state, jax.tree.map(put, event_e, new)

    def goes_on(carry: Carry) -> Array:
        return (carry[0] < shape.num_events) & any_at_all(is_running(scene, carry[1]))

    start = begin(shape, scene)
    one = jax.eval_shape(next_event, start, jnp.zeros((), jnp.int32))[1]
    empty_e = jax.tree.map(lambda leaf: jnp.zeros((shape.num_events, *leaf.shape), leaf.dtype), one)
    nowhere = jnp.full_like(empty_e.place, shape.num_events)
    empty_e = replace(empty_e, place=nowhere, entry=jnp.full_like(nowhere, shape.num_entries))
    _, state, event_e = jax.lax.while_loop(goes_on, body, (jnp.zeros((), jnp.int32), start, empty_e))
    return state, event_e


Carry = tuple[Array, State, Event]


def _inverse(place_e: Array, num_places: int) -> Array:
    """i32[num_places] the event at each place; E where none is. Events without a place name one past the last."""
    number_e = jnp.arange(place_e.shape[0])
    return jnp.full(num_places, place_e.shape[0]).at[place_e].set(number_e, mode="drop")


def _taken(value_e: Array, event_x: Array, padding: float) -> Array:
    """Events [E, ...] at places [X, ...]; places that no event has get `padding`."""
    return jnp.take(value_e, event_x, axis=0, mode="fill", fill_value=padding)


def _at_place(shape: SimulatorShape, event_x: Array, value_e: Array, padding: float) -> Array:
    """Events [E, ...] to [K, T, ...]."""
    return _taken(value_e, event_x, padding).reshape(shape.num_teams, shape.max_steps, *value_e.shape[1:])


Rollouts = tuple[Trajectory, DecisionContext, Truth]


def group(
    shape: SimulatorShape,
    params: SimulatorParams,
    task: SimulatedTask,
    prng_key_g: Array,
    policy: Policy,
    policy_params: Any,
    acting: Acting,
    forced_gkt: Array | None = None,
) -> Rollouts:
    """G rollouts of one task, one key each: arrays [G, ...], the context's query without G."""
    one = partial(rollout, shape, params, task, policy=policy, policy_params=policy_params, acting=acting)
    run: Callable[..., Rollouts] = lambda prng_key, forced: one(prng_key, forced_kt=forced)  # noqa: E731
    trajectory, context, truth = jax.vmap(run, in_axes=(0, None if forced_gkt is None else 0))(prng_key_g, forced_gkt)
    return trajectory, replace(context, query_d=context.query_d[0]), truth


def groups(
    shape: SimulatorShape,
    params: SimulatorParams,
    prng_key: Array,
    policy: Policy,
    policy_params: Any,
    acting: Acting,
    *,
    num_tasks: int,
    num_rollouts: int,
) -> Rollouts:
    """B fresh tasks, G rollouts each: arrays [B, G, ...], all drawn from `prng_key`."""

    def one(key: Array) -> Rollouts:
        task_key, rollout_key = jax.random.split(key)
        task = draw_task(shape, params, task_key)
        return group(shape, params, task, jax.random.split(rollout_key, num_rollouts), policy, policy_params, acting)

    return jax.vmap(one)(jax.random.split(prng_key, num_tasks))
