"""A rollout of the pipeline as arrays, with each agent's own reward and the truth beside them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, UPDATE
from lts_jax.environments.desk.coding import NOTHING
from lts_jax.environments.desk.settings import NUM_ATTRIBUTES
from lts_jax.environments.desk.state import Event, Scene, Tally, alive_entries, holds
from lts_jax.environments.desk.state import State as Desk
from lts_jax.environments.desk.task import Stream
from lts_jax.environments.measures import measures as common_measures
from lts_jax.environments.pipeline.settings import AGENTS, LEARNS
from lts_jax.environments.rollout import events_at, values_at
from lts_jax.trajectory import DecisionContext, Trajectory


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Between two actions."""

    desk: Desk  # its `block` is the number of the newest event
    retrieved_n: Array  # bool[N] entries that the retrieval agent has pointed at


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Truth:
    """What nobody is shown."""

    score: Array  # f32[] of the answer
    tally: Tally
    local_k: Array  # f32[K] coverage, soundness, precision
    num_alive: Array  # i32[] entries at the end
    event_kt: Array  # i32[K, T] number of the action in the rollout


def gather(scene: Scene, state: State, event_e: Event) -> tuple[Trajectory, DecisionContext, Truth]:
    """Axis K is the agents in order. Seconds are actions."""
    shape, desk = scene.shape, state.desk
    num_places, size = shape.num_teams * shape.max_steps, (shape.num_teams, shape.max_steps)
    event_x = events_at(event_e.place, num_places)

    def at_place(value_e: Array, padding: Any) -> Array:
        return values_at(value_e, event_x, padding).reshape(*size, *value_e.shape[1:])

    acted = event_x.reshape(size) < event_e.place.shape[0]
    order = event_x.reshape(size)  # number of the action in the rollout
    entry, done = at_place(event_e.entry, shape.num_entries), desk.num_done.astype(jnp.float32)
    action = jnp.where(acted, at_place(event_e.action, 0), 0)
    made = ((action == ADD) | (action == UPDATE)) & (entry < shape.num_entries)
    used = made & jnp.take(state.retrieved_n, entry, mode="fill", fill_value=False)
    local_k = local_rewards(scene, state)
    learns_k = jnp.stack([getattr(scene.params, f"{agent}_acts") == LEARNS for agent in AGENTS])
    trajectory = Trajectory(
        reward_agg_g=desk.score,
        reward_first_g=desk.score,
        runtime_g=done,
        finish_seconds_gk=jnp.where(desk.has_answered, done, jnp.inf) * jnp.ones(shape.num_teams),
        action_gkt=action,
        behavior_log_prob_gkt=jnp.where(acted, at_place(event_e.log_prob, 0.0), 0.0),
        decision_seconds_gkt=jnp.where(acted, 1.0 + order, jnp.inf),
        used_gkt=used,
        num_other_readers_gkt=used.astype(jnp.int32),
        first_pull_seconds_gkt=jnp.where(used, done, jnp.inf),
        step_seconds_gkt=acted.astype(jnp.float32),
        step_mask_gkt=acted,
        decision_mask_gkt=acted & learns_k[:, None],
        rollout_mask_g=jnp.asarray(True),
        action_mask_gkta=at_place(event_e.legal_a, False) | (~acted[..., None] & (jnp.arange(shape.num_actions) == 0)),
        target_gkt=jnp.where(acted, at_place(event_e.target, -1), -1),
        target_mask_gktj=at_place(event_e.target_mask_j, False),
        local_reward_gk=local_k,
    )
    context = DecisionContext(
        query_d=jnp.zeros(shape.embedding_width),
        key_gnd=desk.drawer.vector,
        num_keys_gkt=at_place(event_e.num_keys, 0),
        step_gktsd=at_place(event_e.step_sd, 0.0),
        died_gn=desk.died_n,
        sequence_gkt=jnp.where(acted, order, 0),
    )
    truth = Truth(desk.score, desk.tally, local_k, jnp.sum(alive_entries(desk)), jnp.where(acted, order, 0))
    return trajectory, context, truth


def local_rewards(scene: Scene, state: State) -> Array:
    """f32[K] in [0, 1] of extraction, profile and retrieval.

    Coverage: of what the question needs, the share that the drawer holds in its newest form. Soundness: of the drawer's
    entries, the share that is the user's, current, and no repeat. Precision: of what was retrieved, the share that was
    needed and current. Each is 0 where it would divide by nothing.
    """
    drawer, asked_2 = state.desk.drawer, scene.stream.asked_2
    alive_n = alive_entries(state.desk)
    current_n = jnp.any(is_current(scene.stream, drawer.attribute, drawer.value), axis=-1)
    is_asked_2 = asked_2 != NOTHING
    kept_2n = (drawer.attribute[:, 0] == asked_2[:, None]) & current_n & alive_n
    covered_2 = jnp.any(kept_2n, axis=1) & is_asked_2
    coverage = jnp.sum(covered_2) / jnp.maximum(jnp.sum(is_asked_2), 1)
    place_n = jnp.arange(alive_n.shape[0])
    same_nn = (drawer.attribute[:, None, 0] == drawer.attribute[None, :, 0]) & alive_n & current_n
    is_repeat_n = jnp.any(same_nn & (place_n < place_n[:, None]), axis=1)
    sound_n = alive_n & current_n & ~is_repeat_n
    soundness = jnp.sum(sound_n) / jnp.maximum(jnp.sum(alive_n), 1)
    good_n = state.retrieved_n & holds(drawer, asked_2) & current_n
    precision = jnp.sum(good_n) / jnp.maximum(jnp.sum(state.retrieved_n), 1)
    return jnp.stack([coverage, soundness, precision])


def is_current(stream: Stream, attribute: Array, value: Array) -> Array:
    """bool[...]: facts of the user's whose value is the newest that was said."""
    number_e = jnp.arange(stream.attribute_e.shape[0])
    same = stream.attribute_e == attribute[..., None]
    newest = jnp.argmax(jnp.where(same, number_e, NOTHING), axis=-1)
    is_own = (attribute != NOTHING) & (attribute < NUM_ATTRIBUTES)
    return is_own & (stream.value_e[newest] == value)


def measures(rollouts: tuple[Trajectory, DecisionContext, Truth]) -> dict[str, Array]:
    """Means over rollouts [..., G]: the common ones, how often the answer is right, and how well each agent did."""
    truth: Truth = rollouts[2]
    counted = ("additions", "refused", "updates", "deletions")
    own = {name: jnp.mean(getattr(truth.tally, name).astype(jnp.float32)) for name in counted}
    names = ("coverage", "soundness", "precision")
    local = {name: jnp.mean(truth.local_k[..., place]) for place, name in enumerate(names)}
    kept = {"entries": jnp.mean(truth.num_alive.astype(jnp.float32))}
    return common_measures(rollouts) | {"score": jnp.mean(truth.score)} | local | kept | own
