"""What a learned policy of the desk is measured against: rules, from one that stores nothing to one that knows the end.

Each is a policy without parameters, sure of what it does. Unless it says so, a rule sees what a learned policy sees;
which slot lies in the drawer already is bookkeeping, which it may do.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADD, ANSWER, DELETE, NOOP, RETRIEVE, UPDATE
from lts_jax.environments.contract import Observation
from lts_jax.environments.desk.coding import NOTHING, shows_talk
from lts_jax.environments.desk.context import nearest, newest_facts
from lts_jax.environments.desk.state import Scene, State, alive_entries
from lts_jax.environments.policies import Sure, surely


def never_store(params: Any, seen: Observation) -> Sure:
    """Nothing, and at the question an answer, from what stands in the context."""
    scene, state = seen.latent
    return surely(scene.shape, jnp.where(_is_asked(scene, state), ANSWER, NOOP), 0)


def add_all(params: Any, seen: Observation) -> Sure:
    """Every event into the drawer, for which the oldest entry goes when it is full; then retrieve, then answer."""
    return _keep(seen, jnp.ones(seen.latent[0].shape.num_slots, bool))


def add_first_stage(params: Any, seen: Observation) -> Sure:
    """The same, until the context is cleared; what comes after is not kept."""
    scene, state = seen.latent
    is_first = state.block < scene.shape.num_stored // scene.shape.block_size
    return _keep(seen, jnp.broadcast_to(is_first, (scene.shape.num_slots,)))


def newest_wins(params: Any, seen: Observation, *, threshold: float = 0.9) -> Sure:
    """Every fact into the drawer: in the place of the nearest entry if that has a cosine of `threshold`, else added."""
    return _merge(seen, threshold, same=2.0)


def add_update_skip(params: Any, seen: Observation, *, threshold: float = 0.8, same: float = 0.97) -> Sure:
    """The same, but what is as good as equal to an entry (a cosine of `same`) is left alone, after Mem0's four choices.

    Mem0 (arXiv 2504.19413) asks a language model to add, update, delete or do nothing; here cosines decide.
    """
    return _merge(seen, threshold, same=same)


def oracle(params: Any, seen: Observation) -> Sure:
    """Knows the question from the start: keeps what it asks for in its newest form, retrieves and answers."""
    scene, state = seen.latent
    asked_2 = scene.stream.asked_2
    is_wanted_cf = (state.slots.attribute[..., None] == asked_2).any(-1) & (state.slots.attribute != NOTHING)
    wanted_c = jnp.any(is_wanted_cf & newest_facts(state.slots), axis=-1)
    time_c = jnp.max(jnp.where(is_wanted_cf, state.slots.time, NOTHING), axis=-1)
    old_nf = (state.drawer.attribute[..., None] == asked_2).any(-1) & (state.drawer.attribute != NOTHING)
    same_cn = jnp.any(
        (state.slots.attribute[:, None, :, None] == state.drawer.attribute[None, :, None, :])
        & is_wanted_cf[:, None, :, None]
        & old_nf[None, :, None, :],
        axis=(-1, -2),
    ) & alive_entries(state)
    old_n = jnp.max(state.drawer.time, axis=-1)
    is_known_c = jnp.any(same_cn & (old_n >= time_c[:, None]), axis=1)
    wanted_c &= ~is_known_c & _has_number(scene, state)
    outdated_n = jnp.any(same_cn & (wanted_c[:, None]) & (old_n < time_c[:, None]), axis=0)
    action = jnp.where(jnp.any(outdated_n), DELETE, jnp.where(jnp.any(wanted_c), ADD, NOOP))
    target = jnp.where(action == DELETE, jnp.argmax(outdated_n), _slot(scene, jnp.argmax(wanted_c)))
    return _then_answer(scene, state, action, target)


def _keep(seen: Observation, wanted_c: Array) -> Sure:
    """Add the first slot that is wanted and not in the drawer; of a full drawer the oldest goes first."""
    scene, state = seen.latent
    todo_c = wanted_c & ~_is_stored(state) & _is_filled(state) & _has_number(scene, state)
    is_full = jnp.sum(alive_entries(state)) >= scene.params.drawer_slots
    action = jnp.where(jnp.any(todo_c), jnp.where(is_full, DELETE, ADD), NOOP)
    target = jnp.where(action == DELETE, jnp.argmax(alive_entries(state)), _slot(scene, jnp.argmax(todo_c)))
    return _then_answer(scene, state, action, target)


def _merge(seen: Observation, threshold: float, same: float) -> Sure:
    """Add what is a fact and like no entry, replace what is like one, leave what is as good as the same."""
    scene, state = seen.latent
    alive_n = alive_entries(state)
    slot_cd = state.slots.vector
    cosine_cn = jax.vmap(partial(nearest, state.drawer.vector, alive_n))(slot_cd)
    nearest_c = jnp.max(cosine_cn, axis=1)
    is_new_c = ~_is_stored(state) & (nearest_c < same)
    todo_c = _is_filled(state) & ~shows_talk(slot_cd) & is_new_c & _has_number(scene, state)
    slot = jnp.argmax(todo_c)
    replaces = nearest_c[slot] >= threshold
    is_full = jnp.sum(alive_n) >= scene.params.drawer_slots
    put = jnp.where(replaces, UPDATE, jnp.where(is_full, DELETE, ADD))
    action = jnp.where(jnp.any(todo_c), put, NOOP)
    entry = jnp.where(replaces, jnp.argmax(cosine_cn[slot]), jnp.argmax(alive_n))
    return _then_answer(scene, state, action, jnp.where(action == ADD, _slot(scene, slot), entry))


def _then_answer(scene: Scene, state: State, action: Array, target: Array) -> Sure:
    """Once the question is asked: retrieve if there is anything, and answer."""
    can = jnp.any(alive_entries(state)) & (state.round == 0)
    return surely(scene.shape, jnp.where(_is_asked(scene, state), jnp.where(can, RETRIEVE, ANSWER), action), target)


def _slot(scene: Scene, place: Array) -> Array:
    return place + scene.shape.num_entries


def _is_asked(scene: Scene, state: State) -> Array:
    return state.block == scene.shape.num_blocks


def _is_filled(state: State) -> Array:
    return jnp.arange(state.slots.vector.shape[0]) < state.num_slots


def _has_number(scene: Scene, state: State) -> Array:
    """bool[]: the drawer's log takes another entry; without, a rule that wanted to add would act by chance."""
    return (state.num_entries < scene.shape.num_entries) & (scene.params.has_memory > 0.0)


def _is_stored(state: State) -> Array:
    """bool[C]: slots of which the drawer holds a copy."""
    same_cn = jnp.all(state.slots.vector[:, None] == state.drawer.vector, axis=-1)
    return jnp.any(same_cn & alive_entries(state), axis=1)
