"""A rollout on the desk as the arrays that credit and controller read, with the truth beside them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, UPDATE
from lts_jax.environments.desk.reward import Told, Weights, reward
from lts_jax.environments.desk.settings import DeskParams
from lts_jax.environments.desk.state import Event, Scene, State, Tally, holds
from lts_jax.environments.measures import measures as common_measures
from lts_jax.environments.rollout import events_at, values_at
from lts_jax.trajectory import DecisionContext, Trajectory


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Truth:
    """What nobody is shown."""

    score: Array  # f32[] of the answer; 0 without one
    has_answered: Array  # bool[]
    tally: Tally
    context_fraction: Array  # f32[] of the context's slots that are filled at the end
    is_needed_n: Array  # bool[N] entries with what the question asks for
    entry_kt: Array  # i32[K, T] that an action made; N if none
    event_kt: Array  # i32[K, T] number of the action in the rollout


def gather(scene: Scene, state: State, event_e: Event) -> tuple[Trajectory, DecisionContext, Truth]:
    """Axis K is one: the policy of the desk. Seconds are actions."""
    shape = scene.shape
    num_places = shape.num_teams * shape.max_steps
    event_x = events_at(event_e.place, num_places)

    def at_place(value_e: Array, padding: Any) -> Array:
        return values_at(value_e, event_x, padding).reshape(shape.num_teams, shape.max_steps, *value_e.shape[1:])

    acted = event_x.reshape(shape.num_teams, shape.max_steps) < event_e.place.shape[0]
    seconds = jnp.broadcast_to(1.0 + jnp.arange(shape.max_steps), acted.shape)
    entry, done = at_place(event_e.entry, shape.num_entries), state.num_done.astype(jnp.float32)
    total = reward(told_of(scene, state), weights_of(scene.params))
    is_needed_n = holds(state.drawer, scene.stream.asked_2)
    action = jnp.where(acted, at_place(event_e.action, 0), 0)
    made = ((action == ADD) | (action == UPDATE)) & (entry < shape.num_entries)
    used = made & jnp.take(is_needed_n, entry, mode="fill", fill_value=False)
    trajectory = Trajectory(
        reward_agg_g=total,
        reward_first_g=total,
        runtime_g=done,
        finish_seconds_gk=jnp.where(state.has_answered, done, jnp.inf)[None],
        action_gkt=action,
        behavior_log_prob_gkt=jnp.where(acted, at_place(event_e.log_prob, 0.0), 0.0),
        decision_seconds_gkt=jnp.where(acted, seconds, jnp.inf),
        used_gkt=used,
        num_other_readers_gkt=jnp.zeros(acted.shape, jnp.int32),
        first_pull_seconds_gkt=jnp.full(acted.shape, jnp.inf),
        step_seconds_gkt=acted.astype(jnp.float32),
        step_mask_gkt=acted,
        decision_mask_gkt=acted,
        rollout_mask_g=jnp.asarray(True),
        action_mask_gkta=at_place(event_e.legal_a, False) | (jnp.arange(shape.num_actions) == 0),
        target_gkt=jnp.where(acted, at_place(event_e.target, -1), -1),
        target_mask_gktj=at_place(event_e.target_mask_j, False),
    )
    context = DecisionContext(
        query_d=jnp.zeros(shape.embedding_width),
        key_gnd=state.drawer.vector,
        num_keys_gkt=at_place(event_e.num_keys, 0),
        step_gktsd=at_place(event_e.step_sd, 0.0),
        died_gn=state.died_n,
        sequence_gkt=jnp.broadcast_to(jnp.arange(shape.max_steps), acted.shape),
    )
    filled = state.num_slots / shape.num_slots
    event = jnp.broadcast_to(jnp.arange(shape.max_steps), acted.shape)
    truth = Truth(state.score, state.has_answered, state.tally, filled, is_needed_n, entry, event)
    return trajectory, context, truth


def told_of(scene: Scene, state: State) -> Told:
    """What AgeMem's reward is made of, counted over the whole rollout.

    The release counts memory and tools in the context after stage 3, which was cleared after stage 1, so that what was
    stored then earns nothing; `from_last_context` = 1 does the same.
    """
    shape, asked_2 = scene.shape, scene.stream.asked_2
    forgets = scene.params.from_last_context > 0.0
    tally = jax.tree.map(lambda now, old: now - jnp.where(forgets, old, 0), state.tally, state.tally_at_clearing)
    calls = tally.additions + tally.refused + tally.updates + tally.deletions + tally.retrievals
    calls = calls + tally.summaries + tally.filters
    is_slot = jnp.arange(shape.num_slots) < state.num_slots
    stands_2 = jnp.any((state.slots.attribute[..., None] == asked_2) & is_slot[:, None, None], axis=(0, 1))
    is_asked = asked_2 >= 0
    half = jnp.sum(stands_2 & is_asked) * 2 >= jnp.sum(is_asked)
    tidied = (tally.summaries + tally.filters) > 0
    return Told(
        score=state.score,
        has_answered=state.has_answered,
        is_last_round=~state.has_answered,
        token_ratio=state.num_slots / shape.num_slots,
        prevented=(tidied & (state.tally.overflows == 0)).astype(jnp.float32),
        preserved=half.astype(jnp.float32),
        storage=tally.useful_additions / jnp.maximum(tally.additions, 1),
        maintenance=(tally.updates + tally.deletions > 0).astype(jnp.float32),
        relevance=tally.needed_retrieved / jnp.maximum(tally.retrieved, 1),
        num_calls=calls,
        num_rounds=state.num_done,
        most_rounds=jnp.asarray(shape.max_steps),
        used_retrieve=(tally.retrievals > 0).astype(jnp.float32),
        used_context_tool=tidied.astype(jnp.float32),
        used_add=(tally.additions > 0).astype(jnp.float32),
        overflowed=state.tally.overflows > 0,
    )


def weights_of(params: DeskParams) -> Weights:
    """Of the parts of the reward."""
    return Weights(
        params.task_weight, params.tools_weight, params.context_weight, params.memory_weight, params.penalty_weight
    )


def measures(rollouts: tuple[Trajectory, DecisionContext, Truth]) -> dict[str, Array]:
    """Means over rollouts [..., G]: the common ones, how often the answer is right, and what was done."""
    truth: Truth = rollouts[2]
    tally = truth.tally
    counted = ("additions", "refused", "updates", "deletions", "retrievals", "summaries", "filters", "overflows")
    own = {name: jnp.mean(getattr(tally, name).astype(jnp.float32)) for name in counted}
    own["context_fraction"] = jnp.mean(truth.context_fraction)
    right = {"score": jnp.mean(truth.score), "answered": jnp.mean(truth.has_answered.astype(jnp.float32))}
    return common_measures(rollouts) | right | own
