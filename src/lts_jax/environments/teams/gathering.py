"""The arrays of a finished rollout: its `Trajectory`, what the controller saw, and the truth."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.environments.rollout import events_at, values_at
from lts_jax.environments.teams.answers import answers
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.environments.teams.state import NOTHING, RIGHT, Event, Scene, State
from lts_jax.environments.teams.task import NEEDED, SimulatedTask
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


def gather(scene: Scene, state: State, event_e: Event) -> tuple[Trajectory, DecisionContext, Truth]:
    """One rollout, without the axis G, from the state at its end and its events [E]."""
    shape, task = scene.shape, scene.task
    number_e = jnp.arange(shape.num_events)
    end = answers(scene, state)
    at_place = partial(_at_place, shape, events_at(event_e.place, shape.num_events))
    entry_e = jnp.where(event_e.place < shape.num_events, event_e.entry, shape.num_entries)
    event_n = events_at(entry_e, shape.num_entries)
    reader_bits_nw = jnp.concatenate([state.reader_bits_nw, jnp.zeros_like(state.reader_bits_nw[:1])])
    num_readers_n = jnp.sum(jax.lax.population_count(reader_bits_nw), axis=1).astype(jnp.int32)
    first_pull_n = jnp.concatenate([state.first_pull_seconds_n, jnp.full(1, jnp.inf)])
    entry_kt = at_place(event_e.entry, shape.num_entries)
    num_readers_kt = num_readers_n[entry_kt]
    node_kt, step_mask_kt = at_place(event_e.node, 0), at_place(event_e.place < shape.num_events, False)
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
        num_spared_gkt=jnp.append(_num_spared(state, node_kt, step_mask_kt), 0)[entry_kt],
        first_pull_seconds_gkt=first_pull_n[entry_kt],
        step_seconds_gkt=at_place(event_e.step_seconds, 0.0),
        step_mask_gkt=step_mask_kt,
        decision_mask_gkt=at_place(event_e.is_decided, False),
        rollout_mask_g=jnp.any(end.has_answer_k),
    )
    context = DecisionContext(
        query_d=task.query_d,
        key_gnd=values_at(event_e.step_3d[:, 1], event_n, 0.0),
        num_keys_gkt=at_place(event_e.num_keys, 0),
        step_gktsd=at_place(event_e.step_3d, 0.0),
    )
    truth = Truth(
        node_kt=node_kt,
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


def is_right(truth: Truth) -> Array:
    """bool[..., K, T]: what a reader would take over is right."""
    return truth.variant_kt == RIGHT


def _num_spared(state: State, node_kt: Array, step_mask_kt: Array) -> Array:
    """i32[N] teams that pulled the entry and never worked on its node; of several such entries the first counts."""
    num_teams, num_nodes = state.variant_km.shape
    team_k, node_m = jnp.arange(num_teams), jnp.arange(num_nodes)
    has_worked_km = jnp.any((node_kt[..., None] == node_m) & step_mask_kt[..., None], axis=1)
    word_nk = state.reader_bits_nw[:, team_k // 32]
    is_spared_nk = ((word_nk >> (team_k % 32).astype(jnp.uint32)) & 1 == 1) & ~has_worked_km[:, state.node_n].T
    is_about_nm = state.node_n[:, None] == node_m
    spared_nkm = is_spared_nk[..., None] & is_about_nm[:, None]
    is_first_nkm = spared_nkm & (jnp.cumsum(spared_nkm, axis=0) == 1)
    return jnp.sum(is_first_nkm, axis=(1, 2), dtype=jnp.int32)


def _held(task: SimulatedTask, state: State) -> Array:
    node_m = jnp.arange(task.kind_m.shape[0])
    is_held_km = (task.kind_m == NEEDED) & (((state.known_bits_k[:, None] >> node_m) & 1) == 1)
    return jnp.where(is_held_km, state.variant_km, NOTHING)


def _at_place(shape: SimulatorShape, event_x: Array, value_e: Array, padding: float) -> Array:
    """Events [E, ...] to [K, T, ...]."""
    return values_at(value_e, event_x, padding).reshape(shape.num_teams, shape.max_steps, *value_e.shape[1:])
