"""What each action does to the desk: functions that give a new state where `where` is true, else the old one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, ANSWER, DELETE, FILTER, NOOP, RETRIEVE, SUMMARISE, UPDATE
from lts_jax.environments.desk.coding import NOTHING, Items, encode_question
from lts_jax.environments.desk.context import context_of, item_at, nearest, newest_facts, push, put, summary, without
from lts_jax.environments.desk.settings import NUM_ATTRIBUTES, NUM_VALUES
from lts_jax.environments.desk.state import Scene, State, alive_entries, holds


def legal_actions(scene: Scene, state: State) -> Array:
    """bool[A]: what can be done now. To do nothing ends a block's turn; once the question is asked it wastes one."""
    shape = scene.shape
    has_slot, has_entry = state.num_slots > 0, jnp.any(alive_entries(state))
    has_number = (state.num_entries < shape.num_entries) & (scene.params.has_memory > 0.0)
    is_asked = state.block == shape.num_blocks
    legal = {
        NOOP: jnp.asarray(True),
        ADD: has_slot & has_number,
        UPDATE: has_slot & has_entry & has_number,
        DELETE: has_entry,
        RETRIEVE: has_entry,
        SUMMARISE: state.num_slots > 1,
        FILTER: has_slot,
        ANSWER: is_asked,
    }
    return jnp.stack([legal[action] for action in range(len(legal))])


def legal_targets(scene: Scene, state: State) -> Array:
    """bool[A, J]: what each action may point at: entries of the drawer, or slots of the context; nothing for others."""
    shape = scene.shape
    entry_j = jnp.concatenate([alive_entries(state), jnp.zeros(shape.num_step_tokens, bool)])
    is_slot = jnp.arange(shape.num_step_tokens) < state.num_slots
    slot_j = jnp.concatenate([jnp.zeros(shape.num_entries, bool), is_slot])
    nothing_j = jnp.zeros(shape.num_targets, bool)
    kinds = {ADD: slot_j, FILTER: slot_j, UPDATE: entry_j, DELETE: entry_j}
    return jnp.stack([kinds.get(action, nothing_j) for action in range(shape.num_actions)])


def add(scene: Scene, state: State, target: Array, where: Array) -> State:
    """Copy a slot into the drawer; a full one refuses."""
    alive_n, one = alive_entries(state), item_at(state.slots, target - scene.shape.num_entries)
    has_room = jnp.sum(alive_n) < scene.params.drawer_slots
    comes, tally = where & has_room, state.tally
    tally = replace(
        tally,
        additions=tally.additions + comes,
        useful_additions=tally.useful_additions + (comes & _is_news(one, state.drawer, alive_n)),
        refused=tally.refused + (where & ~has_room),
    )
    drawer = put(state.drawer, state.num_entries, one, comes)
    return replace(state, drawer=drawer, num_entries=state.num_entries + comes, tally=tally)


def update(scene: Scene, state: State, target: Array, where: Array) -> State:
    """End an entry, and put in its place the slot that is nearest to it and no copy of it, if there is another."""
    old = item_at(state.drawer, target)
    is_slot = jnp.arange(scene.shape.num_slots) < state.num_slots
    is_other = is_slot & jnp.any(state.slots.vector != old.vector, axis=-1)
    may_come = jnp.where(jnp.any(is_other), is_other, is_slot)
    one = item_at(state.slots, jnp.argmax(nearest(state.slots.vector, may_come, old.vector)))
    drawer = put(state.drawer, state.num_entries, one, where)
    tally = replace(state.tally, updates=state.tally.updates + where)
    state = replace(state, died_n=_ended(state, target, where), tally=tally)
    return replace(state, drawer=drawer, num_entries=state.num_entries + where)


def delete(scene: Scene, state: State, target: Array, where: Array) -> State:
    """End an entry. It stays in the log, and nobody sees it any more."""
    tally = replace(state.tally, deletions=state.tally.deletions + where)
    return replace(state, died_n=_ended(state, target, where), tally=tally)


def _ended(state: State, target: Array, where: Array) -> Array:
    """i32[N]: the next decision no longer sees the target."""
    here_n = (jnp.arange(state.died_n.shape[0]) == target) & where
    return jnp.where(here_n, state.num_done + 1, state.died_n)


def retrieve(scene: Scene, state: State, where: Array) -> State:
    """Bring the entries nearest to the question, or before it is asked to the newest slot, the nearest last."""
    shape, alive_n = scene.shape, alive_entries(state)
    is_asked = state.block == shape.num_blocks
    wanted_d = jnp.where(
        is_asked, encode_question(scene.stream.asked_2), item_at(state.slots, state.num_slots - 1).vector
    )
    closeness, chosen = jax.lax.top_k(nearest(state.drawer.vector, alive_n, wanted_d), shape.retrieve_top)
    count = jnp.sum((closeness > -2.0) & where, dtype=jnp.int32)
    rank = jnp.arange(shape.retrieve_top)
    brought = jnp.take(chosen, jnp.maximum(count - 1 - rank, 0))  # the nearest come first, and lie down last
    context, fell = push(context_of(state), item_at(state.drawer, brought), count)
    is_needed = jnp.take(holds(state.drawer, scene.stream.asked_2), brought) & (rank < count)
    tally = replace(
        state.tally,
        retrievals=state.tally.retrievals + where,
        retrieved=state.tally.retrieved + count,
        needed_retrieved=state.tally.needed_retrieved + jnp.sum(is_needed, dtype=jnp.int32),
        overflows=state.tally.overflows + fell,
    )
    return replace(state, slots=context[0], num_slots=context[1], tally=tally)


def summarise(scene: Scene, state: State, where: Array) -> State:
    """All slots become one, with at most three newest facts."""
    one = summary(scene.params, state.slots)
    empty = jax.tree.map(jnp.zeros_like, state.slots)
    blank = Items(empty.vector, *(jnp.full_like(leaf, NOTHING) for leaf in empty[1:]))
    slots = put(blank, jnp.zeros((), jnp.int32), one, jnp.asarray(True))
    slots = jax.tree.map(lambda new, old: jnp.where(where, new, old), slots, state.slots)
    tally = replace(state.tally, summaries=state.tally.summaries + where)
    return replace(state, slots=slots, num_slots=jnp.where(where, 1, state.num_slots), tally=tally)


def take_out(scene: Scene, state: State, target: Array, where: Array) -> State:
    """Filter: one slot leaves the context."""
    slots, number = without(context_of(state), target - scene.shape.num_entries, where)
    tally = replace(state.tally, filters=state.tally.filters + where)
    return replace(state, slots=slots, num_slots=number, tally=tally)


def answer(scene: Scene, state: State, draw: Array, where: Array) -> State:
    """Say the newest value in the context of each attribute that is asked for; a guess where there is none."""
    asked_2, answer_2 = scene.stream.asked_2, scene.stream.answer_2
    newest_c3 = newest_facts(state.slots)
    is_it = newest_c3[None] & (state.slots.attribute[None] == asked_2[:, None, None])
    said_2 = jnp.max(jnp.where(is_it, state.slots.value, NOTHING), axis=(1, 2))
    guess = jnp.floor(draw * NUM_VALUES).astype(jnp.int32)
    right_2 = jnp.where(said_2 == NOTHING, guess, said_2) == answer_2
    is_asked = asked_2 != NOTHING
    score = jnp.sum(right_2 & is_asked) / jnp.maximum(jnp.sum(is_asked), 1)
    return replace(
        state,
        score=jnp.where(where, score, state.score),
        has_answered=state.has_answered | where,
        is_over=state.is_over | where,
    )


def _is_news(one: Items, drawer: Items, alive_n: Array) -> Array:
    """bool[]: a fact of the user's of which the drawer holds nothing as new."""
    is_own = (one.attribute != NOTHING) & (one.attribute < NUM_ATTRIBUTES)
    same = (drawer.attribute[:, :, None] == one.attribute) & (drawer.time[:, :, None] >= one.time)
    is_known = jnp.any(same & alive_n[:, None, None], axis=(0, 1))
    return jnp.any(is_own & ~is_known)
